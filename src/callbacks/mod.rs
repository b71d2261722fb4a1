//! Callbacks: requests to a URL that a tenant chose, signed with the tenant's token. An operator's policy says which
//! addresses they may reach.
//!
//! A delivery is one call of [`Callbacks::send`]: look-up, connection, redirects and retries, within 15 seconds. It knows no
//! codes of any face: [`Failure`] says what went wrong.
//!
//! At its largest, a delivery holds its parameters, 64 KiB of a body, 32 KiB of headers, [`Cookies`], and the buffers of a
//! connection: about 64 KiB, and 48 KiB for TLS.

use std::fmt::{self, Debug, Formatter};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_rustls::TlsConnector;

use crate::values::text::Method;

mod client;
mod cookies;
mod overrides;
mod policy;
mod resolver;
mod signature;
mod target;
mod tls;

pub use client::{LONGEST_BODY, MOST_REDIRECTS};
pub use cookies::Cookies;
pub use policy::{Allowed, NotARule, Policy, Why};
pub use resolver::Lookup;
use resolver::Resolver;
pub use target::{NotAUrl, Target};
pub use tls::NotACertificate;

/// What all deliveries share.
pub struct Callbacks {
    policy: Policy,
    resolver: Resolver,
    tls: TlsConnector,
}

impl Debug for Callbacks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Callbacks {
    /// Reads the certificates that the system trusts. `extra_ca` are certificates in PEM that are trusted too.
    ///
    /// # Errors
    /// If `extra_ca` holds none, or one that cannot be read.
    pub fn new(policy: Policy, extra_ca: Option<&[u8]>) -> Result<Self, NotACertificate> {
        Ok(Self { policy, resolver: Resolver::default(), tls: tls::connector(extra_ca)? })
    }

    /// The same with another way to look names up.
    pub fn with_lookup(self, lookup: impl Lookup) -> Self {
        Self { resolver: Resolver::new(lookup), ..self }
    }

    /// Delivers one request. `now` is the time by which cookies are kept; how long to wait is measured in real time.
    pub async fn send(&self, ask: &Ask<'_>, cookies: &mut Cookies, now: DateTime<Utc>) -> Delivery {
        self.send_within(Duration::MAX, ask, cookies, now).await
    }

    /// The same, within a time that may be shorter than 15 seconds.
    pub async fn send_within(
        &self,
        longest: Duration,
        ask: &Ask<'_>,
        cookies: &mut Cookies,
        now: DateTime<Utc>,
    ) -> Delivery {
        let begun = Instant::now();
        let mut delivery = Delivery::unsent(ask);
        let failure = client::deliver(self, ask, cookies, now, longest, &mut delivery).await.err();
        Delivery { failure, took: begun.elapsed(), ..delivery }
    }
}

/// What is to be delivered.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub method: Method,
    /// As it was configured. It may have credentials, and say in its fragment how patient to be.
    pub url: &'a str,
    /// The form of a POST; a GET has them in its query.
    pub parameters: &'a [(String, String)],
    /// With what requests are signed.
    pub token: &'a str,
}

/// Without the token, and what else may be secret.
impl Debug for Ask<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What became of it. Method, URL, signature, address and all of the answer are those of the last request: the first one,
/// or that of the last redirect.
#[derive(Clone)]
pub struct Delivery {
    pub method: Method,
    /// As it was signed, or would have been. Empty if the URL could not be read.
    pub url: String,
    pub signature: String,
    /// Whom the request was sent to. `None` where nobody was asked.
    pub address: Option<SocketAddr>,
    /// How often it was tried: redirects, and credentials after a 401, do not count.
    pub tries: u64,
    pub took: Duration,
    pub status: Option<u16>,
    /// At most 100, with 32 KiB together; bytes beyond UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// At most [`LONGEST_BODY`]. Of a longer one its beginning.
    pub body: Vec<u8>,
    /// The requests that were redirected, first one first.
    pub redirects: Vec<Hop>,
    /// Resolves relative URLs in the answer. `None` if the URL could not be read.
    pub target: Option<Target>,
    pub failure: Option<Failure>,
}

/// Without what may be about people: parameters, headers and bodies.
impl Debug for Delivery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("Delivery");
        printed.field("method", &self.method).field("address", &self.address).field("tries", &self.tries);
        printed.field("took", &self.took).field("status", &self.status).field("redirects", &self.redirects.len());
        printed.field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl Delivery {
    /// One that was not sent; of a URL that can be read, with what would have been signed.
    pub fn unsent(ask: &Ask<'_>) -> Self {
        let (url, signature) = client::signed(ask).unwrap_or_default();
        Self {
            method: ask.method,
            url,
            signature,
            address: None,
            tries: 0,
            took: Duration::ZERO,
            status: None,
            headers: Vec::new(),
            body: Vec::new(),
            redirects: Vec::new(),
            target: None,
            failure: None,
        }
    }
}

/// A request that was answered by a redirect.
#[derive(Clone, PartialEq, Eq)]
pub struct Hop {
    pub method: Method,
    pub url: String,
    pub signature: String,
    pub address: SocketAddr,
    pub status: u16,
}

/// Why a delivery failed, in words that its tenant may read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("it is no absolute http or https URL with a host")]
    BadUrl,
    #[error("the name of its host is not known")]
    NotFound,
    /// The tenant is told what it is told of an unknown name: `why` and `address` are for the log.
    #[error("the name of its host is not known")]
    NotAllowed { why: Why, address: SocketAddr },
    #[error("the connection was refused")]
    Refused,
    #[error("no network leads to its address")]
    Unreachable,
    #[error("no connection came about in time")]
    ConnectTimedOut,
    #[error("the connection was cut before the answer was complete")]
    Cut,
    #[error("the answer took too long")]
    TooSlow,
    #[error("the answer is not HTTP")]
    Broken,
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("it was redirected more than {MOST_REDIRECTS} times")]
    TooManyRedirects,
    #[error("TLS failed: {0}")]
    Tls(Tls),
    #[error("the answer is longer than {} KiB", LONGEST_BODY / 1024)]
    TooLarge,
}

impl From<NotAUrl> for Failure {
    fn from(NotAUrl: NotAUrl) -> Self {
        Self::BadUrl
    }
}

/// What was wrong with TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tls {
    #[error("the certificate is of another name")]
    Name,
    #[error("the certificate has expired")]
    Expired,
    /// Nor by itself: a self-signed certificate is one of these.
    #[error("the certificate was issued by nobody who is trusted")]
    NoPath,
    #[error("{0}")]
    Other(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_not_allowed_looks_like_an_unknown_name() {
        let refused = Failure::NotAllowed { why: Why::Own, address: "127.0.0.1:1".parse().unwrap() };
        assert_eq!(refused.to_string(), Failure::NotFound.to_string());
    }

    #[test]
    fn a_delivery_may_run_on_any_thread() {
        fn assert_send<T: Send>(_: T) {}
        let callbacks = Callbacks::new(Policy::new(Vec::new(), Vec::new()), None).unwrap();
        let ask = Ask { method: Method::Get, url: "", parameters: &[], token: "" };
        assert_send(callbacks.send(&ask, &mut Cookies::new(), DateTime::UNIX_EPOCH));
    }

    #[test]
    fn a_token_is_never_printed() {
        let ask = Ask { method: Method::Post, url: "http://me:x@h/", parameters: &[], token: "secret" };
        assert_eq!(format!("{ask:?}"), "Ask { method: Post, .. }");
    }
}
