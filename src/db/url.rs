//! Reads database URLs. Where sqlx and libpq differ, libpq's way is taken.

use std::borrow::Cow;
use std::env;
use std::fs::File;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::{Host, Url};

const EXPECTED: &str = "postgres://user:password@host:5432/database is expected";

/// The parameters that sqlx knows. It logs the value of any other: a password, if its name is misspelt.
const KNOWN: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];

/// The parameters that name a file of trusted certificates, and the value that means those of the system.
const ROOTS: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];
const SYSTEM: &str = "system";

/// Reads a database URL.
///
/// # Errors
/// If it is not one. The message does not repeat it, for it may hold a password.
pub fn options(text: &str) -> Result<PgConnectOptions, String> {
    if text.trim().is_empty() {
        return Err(format!("the database URL is set but empty: {EXPECTED}, or none at all"));
    }
    let unreadable = || format!("the database URL cannot be read; {EXPECTED}");
    let url: Url = text.parse().map_err(|_| unreadable())?;
    if !["postgres", "postgresql"].contains(&url.scheme()) || url.cannot_be_a_base() {
        return Err(unreadable());
    }
    let roots = roots(&url);
    let options = PgConnectOptions::from_url(&for_sqlx(&url)).map_err(|_| unreadable())?;
    let options = trusting(options, roots.as_deref(), is_mode_said(&url))?;
    // Poolers refuse such settings in the first message; no float is ever read.
    let options = options.application_name("numberbank").extra_float_digits(None::<i8>);
    Ok(options.disable_statement_logging())
}

/// The same URL with only those parameters that sqlx understands.
fn for_sqlx(url: &Url) -> Url {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    // sqlx takes the brackets for a part of the address. A host in the query comes later, and wins.
    if let Some(Host::Ipv6(address)) = url.host() {
        pairs.push(("host".into(), address.to_string().into()));
    }
    for (name, value) in url.query_pairs() {
        let is_known = KNOWN.contains(&&*name) || name.starts_with("options[") || name == "application_name";
        if !is_known {
            tracing::warn!(%name, "this parameter of the database URL is not known, and is ignored");
        } else if !ROOTS.contains(&&*name) || value != SYSTEM {
            pairs.push((name, value));
        }
    }
    let mut reduced = url.clone();
    reduced.set_query(None);
    if !pairs.is_empty() {
        reduced.query_pairs_mut().extend_pairs(pairs);
    }
    reduced
}

/// The trusted certificates, from the URL or else from the environment.
fn roots(url: &Url) -> Option<String> {
    let said = url.query_pairs().filter(|(name, _)| ROOTS.contains(&&**name)).last();
    said.map(|(_, value)| value.into_owned()).or_else(|| env::var("PGSSLROOTCERT").ok())
}

fn is_mode_said(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| ["sslmode", "ssl-mode"].contains(&&*name)) || env::var_os("PGSSLMODE").is_some()
}

/// As in libpq: `system` demands `verify-full`; a file demands a check of the certificate at least.
fn trusting(options: PgConnectOptions, roots: Option<&str>, is_mode_said: bool) -> Result<PgConnectOptions, String> {
    let mode = options.get_ssl_mode();
    let is_checked = matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    match roots {
        Some(SYSTEM) if is_mode_said && !matches!(mode, PgSslMode::VerifyFull) => {
            Err("sslrootcert=system in the database URL wants sslmode=verify-full, or none".to_owned())
        }
        // An empty list, so that a file named in the environment is not trusted too.
        Some(SYSTEM) => Ok(options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(Vec::new())),
        Some(file) if is_checked || matches!(mode, PgSslMode::Require) => {
            if !file.trim_start().starts_with("-----BEGIN") {
                File::open(file).map_err(|error| format!("cannot read the database URL's sslrootcert: {error}"))?;
            }
            Ok(if is_checked { options } else { options.ssl_mode(PgSslMode::VerifyCa) })
        }
        _ => Ok(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(url: &str) -> PgConnectOptions {
        options(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn an_address_of_ipv6_is_read_without_its_brackets() {
        let url = "postgres://anna:s%40cret@[::1]:6543/registry?sslmode=require";
        let options = read(url);
        assert_eq!((options.get_host(), options.get_port()), ("::1", 6543));
        assert_eq!((options.get_username(), options.get_database()), ("anna", Some("registry")));
        assert!(matches!(options.get_ssl_mode(), PgSslMode::Require));
        assert_eq!(read("postgres://[2001:db8::7]/registry?host=db.internal").get_host(), "db.internal");
        assert_eq!(read("postgres://192.0.2.1/registry").get_host(), "192.0.2.1");
        assert!(read("postgres://anna@%2Frun%2Fpg/registry").get_socket().is_some_and(|path| path.ends_with("run/pg")));
    }

    #[test]
    fn the_system_s_certificates_demand_the_full_check() {
        for url in ["postgres://db/x?sslrootcert=system", "postgres://db/x?sslmode=verify-full&sslrootcert=system"] {
            let options = read(url);
            assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull), "{url}");
            assert!(!options.to_url_lossy().as_str().contains("system"), "{url}: it is no file");
        }
        for mode in ["disable", "prefer", "require", "verify-ca"] {
            let refused = options(&format!("postgres://db/x?sslrootcert=system&sslmode={mode}"));
            assert!(refused.is_err_and(|error| error.contains("verify-full")), "{mode}");
        }
    }

    #[test]
    fn a_named_certificate_is_checked() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let options = read(&format!("postgres://db/x?sslmode=require&sslrootcert={file}"));
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyCa));
        let refused = super::options("postgres://db/x?sslmode=verify-full&sslrootcert=/none/there");
        assert!(refused.is_err_and(|error| error.contains("sslrootcert")));
    }

    #[test]
    fn a_text_that_is_no_url_is_refused_and_not_repeated() {
        for url in [
            "",
            " ",
            "nonsense",
            "mysql://anna:secret@db/x",
            "postgres://anna:secret@db:port/x",
            "postgres://anna:secret@db/x?sslmode=secret",
            "postgres:secret",
        ] {
            let refused = options(url).err();
            let told = |error: String| error.contains(EXPECTED) && !error.contains("secret");
            assert!(refused.clone().is_some_and(told), "{url}: {refused:?}");
        }
        assert!(options("").is_err_and(|error| error.contains("empty")));
    }

    #[test]
    fn parameters_that_sqlx_does_not_know_are_left_out() {
        let url = "postgres://db/x?connect_timeout=5&passwrod=hidden&user=anna&options=-c%20work_mem%3D8MB";
        let reduced = for_sqlx(&url.parse().expect("a URL"));
        assert_eq!(reduced.query(), Some("user=anna&options=-c+work_mem%3D8MB"));
        assert_eq!(read(url).get_username(), "anna");
    }
}
