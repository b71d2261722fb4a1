//! What every slice speaks: typed values, the error catalogue, the wire's representations.
//! The kernel knows no slice and no table.

pub mod area_codes;
pub mod batch;
pub mod clock;
pub mod db;
pub mod deadline;
pub mod error;
pub mod money;
pub mod network;
pub mod page;
pub mod params;
pub mod per_account;
pub mod phone;
mod pool;
pub mod replica;
pub mod represent;
pub mod room;
pub mod sid;
pub mod text;
pub mod transact;
