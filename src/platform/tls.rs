//! TLS: the certificate that the service shows, which is read again when its files change.

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

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the certificate and its key are, in PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate first, then those that lead from it to its root.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What the files held: the certificates and the key; or why they could not be read.
type Contents = Result<[Vec<u8>; 2], String>;

impl Files {
    fn read(&self) -> Contents {
        let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
        Ok([read(&self.certificate)?, read(&self.key)?])
    }

    /// What they held, ready to be shown. The errors of the parser are not repeated: they quote the file.
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

/// The certificate that is shown to whoever connects.
pub struct Certificate {
    files: Files,
    opened: Contents,
    shown: RwLock<Arc<CertifiedKey>>,
}

/// Names the files: what they held is the private key too.
impl Debug for Certificate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificate {
    /// # Errors
    /// When a file cannot be read or used, or the key is not that of the certificate: one line that names it.
    pub fn open(files: Files) -> Result<Arc<Self>, String> {
        let opened = files.read();
        let shown = RwLock::new(Arc::new(files.certified(&opened)?));
        Ok(Arc::new(Self { files, opened, shown }))
    }

    /// The settings of a server that shows it.
    ///
    /// # Errors
    /// When the cryptography lacks a version of TLS.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let certificate = Arc::<Self>::clone(self);
        Ok(config.with_safe_default_protocol_versions()?.with_no_client_auth().with_cert_resolver(certificate))
    }

    /// Looks at the files now and then, and shows what they hold by then. Where that cannot be used, the log
    /// says so once and what was shown before stays.
    pub async fn keep_current(self: Arc<Self>) {
        let mut tried = self.opened.clone();
        let mut before = tried.clone();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let certificate = Arc::clone(&self);
            let look = tokio::task::spawn_blocking(move || certificate.files.read());
            let contents = look.await.unwrap_or_else(|error| Err(error.to_string()));
            // Two files are not replaced in one moment: only what two looks have seen is tried.
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
    fn a_certificate_that_is_printed_tells_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = Files { certificate: folder.path().join("crt"), key: folder.path().join("key") };
        fs::write(&files.certificate, pair.cert.pem()).unwrap();
        fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
        let printed = format!("{:?}", Certificate::open(files).unwrap());
        assert!(printed.contains("key") && printed.len() < 1000, "{printed}");
    }
}
