//! What the process needs from its machine: a private PostgreSQL, a certificate, the log.

pub mod embedded_pg;
pub mod telemetry;
pub mod tls;
