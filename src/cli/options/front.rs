//! How the service is reached: TLS, and the operators' listener.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::platform::tls;

#[derive(Args, Debug)]
pub struct Front {
    /// Serve over TLS with the certificate in this file, in PEM; intermediate certificates follow it
    #[arg(long, env = "NUMBERBANK_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM; both files are read again when they change
    #[arg(long, env = "NUMBERBANK_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Loopback address and port for /health/live, /health/ready and /metrics [default: none]
    #[arg(long, env = "NUMBERBANK_ADMIN_BIND", value_parser = loopback, value_name = "ADDRESS:PORT")]
    pub admin_bind: Option<SocketAddr>,
}

impl Front {
    /// The files of the certificate. `None` means plain HTTP.
    pub fn tls(&self) -> Option<tls::Files> {
        let (certificate, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        Some(tls::Files { certificate, key })
    }
}

/// The listener asks for no credentials, so only this machine may reach it.
fn loopback(text: &str) -> Result<SocketAddr, &'static str> {
    let address: Option<SocketAddr> = text.parse().ok();
    address.filter(is_loopback).ok_or("a loopback address and a port are expected, as in 127.0.0.1:9008")
}

/// Whether only this machine can reach an address.
pub fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_on_this_machine() {
        for address in ["127.0.0.1:9008", "127.1.2.3:0", "[::1]:9008", "[::ffff:127.0.0.1]:9008"] {
            assert!(loopback(address).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:9008", "[::]:9008", "192.0.2.1:9008", "localhost", "9008", ""] {
            assert!(loopback(address).is_err(), "{address}");
        }
    }
}
