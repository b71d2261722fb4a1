//! Settings as plain values. `cli/options` makes them from options and variables.

use std::num::NonZeroU32;
use std::time::Duration;

/// Limits and timeouts of the server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long the head of a request may take to arrive.
    pub header_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long a client's connection may be idle between two requests.
    pub keep_alive: Duration,
    /// Concurrent connections of clients, over all threads.
    pub max_connections: u32,
    /// Memory for the answers with lists, in MiB.
    pub answer_memory: u32,
    /// Requests that may wait for a connection to PostgreSQL, over all threads. As many lookups, lists, updates and
    /// releases each may wait for a batch, and as many purchases for every two threads.
    pub max_waiting: u32,
    /// AuthTokens that may wait to be verified by argon2.
    pub max_unverified: u16,
    /// Requests a second of one account; `None` means no limit.
    pub account_rate: Option<NonZeroU32>,
    /// Wrong AuthTokens a minute from one IPv4 address or IPv6 /64; `None` means no limit.
    pub failed_logins: Option<NonZeroU32>,
    /// Whether to trust `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`. Only if every request comes
    /// through a proxy that sets them.
    pub trust_proxy: bool,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}
