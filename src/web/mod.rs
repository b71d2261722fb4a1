//! What every API version needs and none owns: the caller, the request, deadlines, memory for answers, and clients'
//! connections.

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
