//! The TLS certificate of the server. It is replaced without a restart when its files change.

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

/// The files of the certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, followed by its intermediate certificates.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The bytes of both files, certificates first, or why they could not be read.
type Contents = Result<[Vec<u8>; 2], String>;

impl Files {
    fn read(&self) -> Contents {
        let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
        Ok([read(&self.certificate)?, read(&self.key)?])
    }

    /// Parses the contents. The parser's errors are dropped, because they quote the file.
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

/// The certificate that new connections get.
pub struct Certificate {
    files: Files,
    opened: Contents,
    shown: RwLock<Arc<CertifiedKey>>,
}

/// Prints only the names of the files: their contents include the private key.
impl Debug for Certificate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// If a file cannot be read or used, or the key does not belong to the certificate: one line that names the file.
    pub fn open(files: Files) -> Result<Arc<Self>, String> {
        let opened = files.read();
        let shown = RwLock::new(Arc::new(files.certified(&opened)?));
        Ok(Arc::new(Self { files, opened, shown }))
    }

    /// The TLS configuration of a server. Each new connection gets the current certificate.
    ///
    /// # Errors
    /// If the cryptography library does not support the default TLS versions.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let certificate = Arc::<Self>::clone(self);
        Ok(config.with_safe_default_protocol_versions()?.with_no_client_auth().with_cert_resolver(certificate))
    }

    /// Reads the files every [`READ_EVERY`], until dropped, and shows a new certificate to new connections. If it
    /// cannot be used, this is logged once, and the old certificate stays.
    pub async fn keep_current(self: Arc<Self>) {
        let mut tried = self.opened.clone();
        let mut before = tried.clone();
        loop {
            tokio::time::sleep(READ_EVERY).await;
            let certificate = Arc::clone(&self);
            let look = tokio::task::spawn_blocking(move || certificate.files.read());
            let contents = look.await.unwrap_or_else(|error| Err(error.to_string()));
            // The two files may not be replaced at the same moment, so contents are used only if two reads agree.
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
