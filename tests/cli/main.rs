//! The command line, as it is shipped: the real program with its private PostgreSQL.

mod commands;
mod home;
mod import;
mod operations;
mod processes;
mod replica;
mod reports;
mod runs;
mod secrets;
mod tls;
