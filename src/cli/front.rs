//! Where a server can be reached: its listeners, and its certificate.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::Failure;
use super::options::{Serve, is_loopback};
use crate::platform::tls::Certificate;

/// Listeners, opened before all other work, so that a port in use is reported at once.
pub struct Front {
    pub listener: TcpListener,
    pub certificate: Option<Arc<Certificate>>,
    /// The operators' listener.
    pub monitoring: Option<TcpListener>,
    pub site: String,
    pub monitoring_site: Option<String>,
}

impl Front {
    pub fn open(settings: &Serve) -> Result<Self, Failure> {
        let certificate = settings.front.tls().map(Certificate::open).transpose().map_err(Failure::Bad)?;
        let listener = listen(settings.bind)?;
        let monitoring = settings.front.admin_bind.map(listen).transpose()?;
        let scheme = if certificate.is_some() { "https" } else { "http" };
        let site = address(scheme, &listener)?;
        let monitoring_site = monitoring.as_ref().map(|listener| address("http", listener)).transpose()?;
        if certificate.is_none() {
            warn_of_plain_http(
                &site,
                &settings.bind,
                "name a certificate with --tls-cert and --tls-key, or put a proxy that speaks TLS before it",
            );
        }
        Ok(Self { listener, certificate, monitoring, site, monitoring_site })
    }

    /// The text that says where the server listens. The first line is for the API.
    pub fn announcement(&self) -> String {
        let monitoring = self.monitoring_site.as_ref().map(|site| format!("operations on {site}\n"));
        format!("listening on {}\n{}", self.site, monitoring.unwrap_or_default())
    }
}

pub fn warn_of_plain_http(site: &str, bind: &SocketAddr, advice: &str) {
    if !is_loopback(bind) {
        tracing::warn!("{site} speaks plain HTTP, over which Basic credentials travel in clear: {advice}");
    }
}

pub fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| Failure::Bad(format!("cannot serve on {address}: {error}")))
}

pub fn address(scheme: &str, listener: &TcpListener) -> Result<String, Failure> {
    Ok(format!("{scheme}://{}", listener.local_addr()?))
}
