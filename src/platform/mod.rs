//! What lies below a process: a PostgreSQL of its own, certificates, the log.

pub mod embedded_pg;
pub mod telemetry;
pub mod tls;
