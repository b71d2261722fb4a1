//! Typed values: what each may be, how it is written, and how the database stores it. They know neither HTTP, nor a use
//! case, nor a table.

pub mod area_codes;
pub mod clock;
pub mod dialect;
pub mod money;
pub mod network;
pub mod page;
pub mod phone;
pub mod sid;
pub mod text;
