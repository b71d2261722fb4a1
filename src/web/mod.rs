//! What every API version needs and none of them owns: who asks, what is asked, how long it may take, what an answer
//! may cost, and the connections of clients.

pub mod answer_memory;
pub mod asked;
pub mod bodies;
pub mod caller;
pub mod connections;
pub mod deadline;
mod errors;
pub mod listen;
pub mod pages;
pub mod params;
pub mod site;

pub use errors::status;
