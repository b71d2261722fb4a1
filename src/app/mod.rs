//! The server: mounts the versions of the API, and what each thread works with.

mod front;
mod server;

pub use server::{ServerOptions, serve};
