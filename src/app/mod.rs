//! The server: what lies around every request, and what each worker works with.

mod frame;
mod front;
mod observe;
mod server;

pub use server::{Settings, serve};
