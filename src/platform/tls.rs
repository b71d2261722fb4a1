//! The TLS certificate of the service. It is read again when its files change.

use std::fmt::{self, Debug, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

/// How often the files are read.
const READ_EVERY: Duration = Duration::from_secs(2);

/// Where the certificate and its key are, in PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, followed by the chain to its root.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The certificates and the key as bytes, or why they could not be read.
type Contents = Result<[Vec<u8>; 2], String>;

impl Files {
    fn read(&self) -> Contents {
        let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
        Ok([read(&self.certificate)?, read(&self.key)?])
    }

    /// Parses the contents. The parser's errors are not repeated, for they quote the file.
    fn certified(&self, contents: &Contents) -> Result<CertifiedKey, String> {
        let [certificates, key] = contents.as_ref().map_err(String::clone)?;
        let no = |what, path: &Path| format!("{} holds no {what} in PEM", path.display());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| no("certificate", &self.certificate))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| no("private key", &self.key))?;
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
            let (certificate, key) = (self.certificate.display(), self.key.display());
            format!("the certificate in {certificate} and the key in {key} cannot be used together: {error}")
        })
    }
}

/// The certificate that clients are shown.
pub struct Certificate {
    files: Files,
    opened: Contents,
    shown: RwLock<Arc<CertifiedKey>>,
}

/// Prints the files' names only: the contents hold the private key.
impl Debug for Certificate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificate {
    /// # Errors
    /// If a file cannot be read or used, or the key does not belong to the certificate. One line that names the file.
    pub fn open(files: Files) -> Result<Arc<Self>, String> {
        let opened = files.read();
        let shown = RwLock::new(Arc::new(files.certified(&opened)?));
        Ok(Arc::new(Self { files, opened, shown }))
    }

    /// The configuration of a server that shows it.
    ///
    /// # Errors
    /// If the cryptography lacks a version of TLS.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let certificate = Arc::<Self>::clone(self);
        Ok(config.with_safe_default_protocol_versions()?.with_no_client_auth().with_cert_resolver(certificate))
    }

    /// Reads the files again and again, and shows what is new. If that cannot be used, it is logged once, and the old
    /// certificate stays.
    pub async fn keep_current(self: Arc<Self>) {
        let mut tried = self.opened.clone();
        let mut before = tried.clone();
        loop {
            tokio::time::sleep(READ_EVERY).await;
            let certificate = Arc::clone(&self);
            let look = tokio::task::spawn_blocking(move || certificate.files.read());
            let contents = look.await.unwrap_or_else(|error| Err(error.to_string()));
            // The two files are not replaced at the same moment, so only contents read twice are used.
            if contents == before && contents != tried {
                self.show(&contents);
                tried.clone_from(&contents);
            }
            before = contents;
        }
    }

    fn show(&self, contents: &Contents) {
        match self.files.certified(contents) {
            Ok(certified) => {
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                tracing::info!("the certificate was read again: new connections are shown the new one");
            }
            Err(error) => tracing::warn!(%error, "the certificate stays as it was"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_printed_without_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = Files { certificate: folder.path().join("crt"), key: folder.path().join("key") };
        fs::write(&files.certificate, pair.cert.pem()).unwrap();
        fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
        let printed = format!("{:?}", Certificate::open(files).unwrap());
        assert!(printed.contains("key") && printed.len() < 1000, "{printed}");
    }
}
