//! What all API versions share: authentication, parameters, deadlines, memory for answers, logs and counters of requests,
//! and the connections of clients.

pub mod answer_memory;
pub mod asked;
pub mod bodies;
pub mod buying;
pub mod caller;
pub mod codes;
pub mod connections;
pub mod deadline;
pub mod exception;
pub mod form;
pub mod frame;
pub mod listen;
pub mod multipart;
pub mod observe;
pub mod pages;
pub mod params;
pub mod refusal;
pub mod refused;
pub mod represent;
pub mod routes;
pub mod settings;
pub mod site;
pub mod state;
pub mod traffic;
