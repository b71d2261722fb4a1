//! Typed values: each knows what it can be, how it is spelled and how it is kept. None knows the wire, a use case
//! or a table.

pub mod area_codes;
pub mod clock;
pub mod money;
pub mod network;
pub mod page;
pub mod phone;
pub mod sid;
pub mod text;
