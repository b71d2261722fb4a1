//! TLS to a tenant's program: whom we trust, and what went wrong.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use url::Host;

use super::{Failure, Tls};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds no certificate in PEM, or one that cannot be read")]
pub struct NotACertificate;

/// Trusts what the system trusts, and these certificates.
pub(super) fn connector(extra_ca: Option<&[u8]>) -> Result<TlsConnector, NotACertificate> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in system.errors {
        tracing::warn!(%error, "some certificates that the system trusts cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(pem) = extra_ca {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|_| NotACertificate)?).map_err(|_| NotACertificate)?;
        }
        if roots.len() == before {
            return Err(NotACertificate);
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("ring has the versions of TLS");
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// The name that a certificate must be of.
pub(super) fn server_name(host: Host<&str>) -> Result<ServerName<'static>, Failure> {
    match host {
        Host::Ipv4(address) => Ok(ServerName::IpAddress(std::net::IpAddr::from(address).into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress(std::net::IpAddr::from(address).into())),
        Host::Domain(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| Failure::Tls(Tls::Other("the host is no name that a certificate can be of".to_owned()))),
    }
}

/// What a failed handshake says.
pub(super) fn failure(error: &io::Error) -> Failure {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Failure::Tls(match cause {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Tls::Name,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Tls::Expired,
            // Another key signed it than that of whom it names.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Tls::NoPath,
            other => Tls::Other(other.to_string()),
        },
        Some(error) => Tls::Other(error.to_string()),
        None => Tls::Other("the connection was cut".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extra_ca_is_one_or_more_certificates() {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = pair.cert.pem();
        assert!(connector(Some(pem.as_bytes())).is_ok());
        assert!(connector(Some(pem.repeat(2).as_bytes())).is_ok());
        let broken = pem.replace("MII", "AAA");
        for text in ["", "no PEM", &pair.signing_key.serialize_pem(), &broken] {
            assert_eq!(connector(Some(text.as_bytes())).err(), Some(NotACertificate), "{text}");
        }
    }
}
