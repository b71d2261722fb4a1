//! Typed values: their limits, how they are written, and how the database stores them. They know no HTTP, use case or
//! table.

pub mod area_codes;
pub mod chance;
pub mod clock;
pub mod dialect;
pub mod money;
pub mod network;
pub mod page;
pub mod phone;
pub mod sid;
mod states;
pub mod text;
