//! Mounts the versions of the API on a listener, and makes the state of each worker.

mod front;
mod server;

pub use server::{ServerOptions, serve};
