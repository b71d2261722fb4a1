//! Settings as plain values. The command line makes them (`cli/options`).

use std::num::NonZeroU32;
use std::time::Duration;

/// How much the server takes on at once, and how long clients are waited for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long the head of a request may take to arrive.
    pub header_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long a client's connection may rest between two requests.
    pub keep_alive: Duration,
    /// Connections of clients, over all threads.
    pub max_connections: u32,
    /// Memory for lists, in MiB.
    pub answer_memory: u32,
    /// Requests that may wait for a connection to PostgreSQL, over all threads.
    pub max_waiting: u32,
    /// AuthTokens that may wait to be verified by argon2.
    pub max_unverified: u16,
    /// Requests a second of one account; without a number, any.
    pub account_rate: Option<NonZeroU32>,
    /// Wrong AuthTokens a minute from one address; without a number, any.
    pub failed_logins: Option<NonZeroU32>,
    /// Whether every request comes through a proxy that says where it is from.
    pub trust_proxy: bool,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
