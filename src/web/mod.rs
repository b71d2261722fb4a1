//! What every API version needs and none of them owns: who asks, what is asked, how long it may take, what an answer
//! may cost, what is seen of a request from outside, and the connections of clients.

pub mod answer_memory;
pub mod asked;
pub mod bodies;
pub mod caller;
pub mod codes;
pub mod connections;
pub mod deadline;
pub mod form;
pub mod frame;
pub mod listen;
pub mod observe;
pub mod pages;
pub mod params;
pub mod refused;
pub mod routes;
pub mod site;
pub mod state;
pub mod traffic;
