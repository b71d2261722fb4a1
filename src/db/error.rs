//! Why a database cannot be used: texts for the operator.

use refinery_core::error::Kind;
use rustls::{CertificateError, Error as TlsError};

use super::LONG_ACQUIRE_TIMEOUT;

/// What can go wrong before a database can be used.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("cannot connect to the database: {}", connect_message(.0))]
    Connect(#[source] sqlx::Error),
    #[error("the database did not answer within {} s; a pooler before it may have no connection left", LONG_ACQUIRE_TIMEOUT.as_secs())]
    Silent,
    #[error(
        "the database URL leads to a pooler that lends a connection for a transaction at a time, or hands it on \
         without a reset: let it lend them for whole sessions (PgBouncer: pool_mode = session, with \
         server_reset_query = DISCARD ALL), or name PostgreSQL itself"
    )]
    Shared,
    #[error(
        "the database's encoding is {0}, which cannot hold every name: make one with \
         create database … encoding 'UTF8' template template0"
    )]
    NotUtf8(String),
    #[error(
        "the tables are in the schema {0:?}, but numberbank keeps to the schema public: move tables, types and \
         functions there with alter … set schema public"
    )]
    Elsewhere(String),
    #[error(
        "the database is that of a staging world, in which nothing is real: name another one, or say --world NAME to \
         work on a world"
    )]
    World,
    #[error("the database is not that of a staging world")]
    NoWorld,
    #[error("cannot make the schema: {0}")]
    Make(#[source] sqlx::Error),
    #[error("cannot take a lock on the database: {0}")]
    Lock(#[source] sqlx::Error),
    #[error("{0}{1}: gave up waiting")]
    Busy(&'static str, String),
    #[error("migration failed: {}", migrate_message(.0))]
    Migrate(#[source] Box<refinery_core::Error>),
}

/// PostgreSQL's own message on a failed migration, without what refinery adds.
fn migrate_message(error: &refinery_core::Error) -> String {
    if let Kind::MissingVersion(migration) = error.kind() {
        return format!("the database is of a newer numberbank, with migration {migration}: use that version");
    }
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<sqlx::Error>());
    let said = source.and_then(sqlx::Error::as_database_error).map(|said| said.message().to_owned());
    said.unwrap_or_else(|| error.to_string())
}

/// What is wrong with a connection. For a certificate, also what to do.
fn connect_message(error: &sqlx::Error) -> String {
    let sqlx::Error::Io(cause) = error else { return error.to_string() };
    match cause.get_ref().and_then(|cause| cause.downcast_ref()) {
        Some(TlsError::InvalidCertificate(wrong)) => certificate_message(wrong),
        _ => error.to_string(),
    }
}

fn certificate_message(wrong: &CertificateError) -> String {
    match wrong {
        // A bad signature comes from another authority with the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is signed by nobody who is trusted here: name the file of its authority's \
             certificate, or of a self-signed one, as sslrootcert in the database URL"
                .to_owned()
        }
        // What openssl makes by default.
        CertificateError::Other(cause) if cause.to_string().contains("CaUsedAsEndEntity") => {
            "the server's certificate is that of an authority (CA:TRUE), which a server cannot show for itself: make \
             one with openssl req -x509 … -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:…"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is not for the host in the database URL: {wrong}")
        }
        _ => format!("the server's certificate cannot be trusted: {wrong}"),
    }
}
