//! One URL as it is asked for: whom it leads to, what is signed, and what is sent.

use std::fmt::{self, Debug, Formatter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;
use url::form_urlencoded::Serializer;

use super::overrides::Overrides;
use crate::values::text::CallbackUrl;

/// What a request line cannot hold as it is, beside what is not ASCII.
const UNSENDABLE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// It is no absolute http or https URL with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAUrl;

/// A URL in its parts, each as it was written. What cannot be sent so is encoded before it is signed, so that the program
/// sees what was signed.
#[derive(Clone)]
pub struct Target {
    scheme: String,
    /// `user:pass`, as written.
    credentials: Option<String>,
    host: String,
    /// With its colon, or empty.
    port: String,
    /// From the path's slash or the query's question mark on; may be empty.
    path: String,
    fragment: String,
    /// Scheme, host and port as the URL standard understands them. Its path serves to resolve relative URLs.
    url: Url,
}

/// Never with what may be secret: credentials, the path and the query.
impl Debug for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Target {
    pub(super) fn read(text: &str) -> Result<Self, NotAUrl> {
        CallbackUrl::new(text.to_owned()).map_err(|_| NotAUrl)?;
        let mut url = Url::parse(text).map_err(|_| NotAUrl)?;
        let (scheme, rest) = text.split_once("://").ok_or(NotAUrl)?;
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (credentials, place) =
            authority.rsplit_once('@').map_or((None, authority), |(credentials, place)| (Some(credentials), place));
        let after_host = place.rfind(']').unwrap_or_default();
        let (host, port) = place.split_at(place[after_host..].find(':').map_or(place.len(), |at| after_host + at));
        // A name in other scripts is sent, and so signed, as DNS has it.
        let is_sendable = host.is_ascii() && !host.contains('%');
        let host = if is_sendable { host } else { url.host_str().ok_or(NotAUrl)? }.to_owned();
        url.set_fragment(None);
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| NotAUrl)?;
        Ok(Self {
            scheme: scheme.to_owned(),
            credentials: credentials.filter(|credentials| !credentials.is_empty()).map(str::to_owned),
            host,
            port: port.to_owned(),
            path: utf8_percent_encode(path, UNSENDABLE).to_string(),
            fragment: fragment.to_owned(),
            url,
        })
    }

    /// Appends parameters to the query, as a form is written.
    pub(super) fn add_query(&mut self, parameters: &[(String, String)]) {
        if !parameters.is_empty() {
            let between = match self.path.find('?') {
                None => "?",
                Some(_) if self.path.ends_with(['?', '&']) => "",
                Some(_) => "&",
            };
            self.path = format!("{}{between}{}", self.path, form(parameters));
        }
    }

    /// What is signed: without credentials and fragment, https without its port and http with it.
    pub(super) fn signed(&self) -> String {
        let port = if self.is_https() { "" } else { &self.port };
        format!("{}://{}{port}{}", self.scheme, self.host, self.path)
    }

    /// What stands in the request line.
    pub(super) fn request_target(&self) -> String {
        if self.path.starts_with('/') { self.path.clone() } else { format!("/{}", self.path) }
    }

    /// The value of the header `Host`: from it and the request line, a program rebuilds what was signed.
    pub(super) fn authority(&self) -> String {
        format!("{}{}", self.host, self.port)
    }

    /// The value of `Authorization`, if the URL has credentials.
    pub(super) fn basic(&self) -> Option<String> {
        let credentials = self.credentials.as_deref()?;
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let [user, password] = [user, password].map(|part| percent_decode_str(part).collect::<Vec<_>>());
        Some(format!("Basic {}", STANDARD.encode([&user[..], b":", &password].concat())))
    }

    pub(super) fn overrides(&self) -> Overrides {
        Overrides::read(&self.fragment)
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host as it is looked up and judged; an address in any spelling is one here.
    pub(super) fn host(&self) -> url::Host<&str> {
        self.url.host().expect("a URL with a host")
    }

    pub(super) fn host_name(&self) -> &str {
        self.url.host_str().expect("a URL with a host")
    }

    pub(super) fn port(&self) -> u16 {
        self.url.port_or_known_default().expect("http or https")
    }

    /// The path by which cookies are chosen.
    pub(super) fn cookie_path(&self) -> &str {
        self.url.path()
    }

    /// What a reference in the answer means: credentials go along to the same scheme, host and port only.
    pub(super) fn join(&self, reference: &str) -> Result<Self, NotAUrl> {
        let mut joined = match Url::parse(reference) {
            Ok(_) => Self::read(reference)?,
            Err(_) => Self::read(self.url.join(reference).map_err(|_| NotAUrl)?.as_str())?,
        };
        if joined.credentials.is_none() && joined.url.origin() == self.url.origin() {
            joined.credentials.clone_from(&self.credentials);
        }
        Ok(joined)
    }

    /// The URL that a reference in the answer means, to be asked for next. It may hold credentials.
    ///
    /// # Errors
    /// If it is no absolute http or https URL in the end.
    pub fn resolve(&self, reference: &str) -> Result<String, NotAUrl> {
        let Self { scheme, credentials, host, port, path, fragment, .. } = self.join(reference)?;
        let credentials = credentials.map(|credentials| credentials + "@").unwrap_or_default();
        let fragment = if fragment.is_empty() { fragment } else { format!("#{fragment}") };
        Ok(format!("{scheme}://{credentials}{host}{port}{path}{fragment}"))
    }
}

/// Parameters as `application/x-www-form-urlencoded`.
pub(super) fn form(parameters: &[(String, String)]) -> String {
    Serializer::new(String::new()).extend_pairs(parameters).finish()
}

#[cfg(test)]
mod tests {
    use hyper::http::uri::PathAndQuery;
    use proptest::prelude::*;

    use super::*;

    fn target(text: &str) -> Target {
        Target::read(text).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn what_is_signed_is_the_url_as_written_without_secrets_and_the_port_of_https() {
        for (url, signed) in [
            ("http://example.com/", "http://example.com/"),
            ("http://Example.COM:3000/A/../b?x=1&y", "http://Example.COM:3000/A/../b?x=1&y"),
            ("http://example.com:80/a", "http://example.com:80/a"),
            ("https://example.com:8443/a?b", "https://example.com/a?b"),
            ("https://[::1]:8443/a", "https://[::1]/a"),
            ("http://[::1]:3000/a", "http://[::1]:3000/a"),
            ("http://me:se%40cret@example.com:81/a#rt=100", "http://example.com:81/a"),
            ("http://me@you@example.com/a", "http://example.com/a"),
            ("http://example.com", "http://example.com"),
            ("http://example.com?a=b", "http://example.com?a=b"),
            ("http://example.com/a?b#c#d", "http://example.com/a?b"),
            ("http://127.1:3000/a", "http://127.1:3000/a"),
            ("http://bücher.example/ü?q=\"ü\"", "http://xn--bcher-kva.example/%C3%BC?q=%22%C3%BC%22"),
        ] {
            assert_eq!(target(url).signed(), signed);
        }
        assert_eq!(target("http://example.com?a=b").request_target(), "/?a=b");
        assert_eq!(target("https://example.com:8443").authority(), "example.com:8443");
        for url in ["", "/a", "ftp://example.com/", "http://", "http://a b/", "http://exa\nmple.com/", "javascript:x"] {
            assert_eq!(Target::read(url).unwrap_err(), NotAUrl, "{url}");
        }
    }

    #[test]
    fn parameters_go_behind_the_query_that_is_there() {
        let parameters = [("Body", "a b&c=ü+"), ("From", "+1")].map(|(name, value)| (name.into(), value.into()));
        for (url, signed) in [
            ("http://h/a", "http://h/a?Body=a+b%26c%3D%C3%BC%2B&From=%2B1"),
            ("http://h", "http://h?Body=a+b%26c%3D%C3%BC%2B&From=%2B1"),
            ("http://h/a?x", "http://h/a?x&Body=a+b%26c%3D%C3%BC%2B&From=%2B1"),
            ("http://h/a?", "http://h/a?Body=a+b%26c%3D%C3%BC%2B&From=%2B1"),
            ("http://h/a#x?y", "http://h/a?Body=a+b%26c%3D%C3%BC%2B&From=%2B1"),
        ] {
            let mut target = target(url);
            target.add_query(&parameters);
            assert_eq!(target.signed(), signed);
            target.add_query(&[]);
            assert_eq!(target.signed(), signed);
        }
    }

    #[test]
    fn credentials_are_decoded_and_go_to_their_own_origin_only() {
        let base = target("http://me:se%40c:ret@example.com:81/a/b?c");
        assert_eq!(base.basic().unwrap(), format!("Basic {}", STANDARD.encode("me:se@c:ret")));
        assert!(!format!("{base:?}").contains("ret"));
        for (reference, url) in [
            ("d", "http://me:se%40c:ret@example.com:81/a/d"),
            ("/d?e#rt=100", "http://me:se%40c:ret@example.com:81/d?e#rt=100"),
            ("http://EXAMPLE.com:81/d", "http://me:se%40c:ret@EXAMPLE.com:81/d"),
            ("http://you:x@example.com:81/d", "http://you:x@example.com:81/d"),
            ("http://example.com/d", "http://example.com/d"),
            ("https://example.com:81/d", "https://example.com:81/d"),
            ("//example.org:81/d", "http://example.org:81/d"),
        ] {
            assert_eq!(base.resolve(reference).unwrap(), url);
        }
        for reference in ["mailto:me@example.com", "file:///etc/passwd", "http://"] {
            assert_eq!(base.resolve(reference), Err(NotAUrl), "{reference}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_leads_where_the_url_does(url in "https?://([a-z:%]{0,4}@)?([a-z0-9.%]{1,9}|\\[::1\\]|ü.de)(:[0-9]{0,4})?[/?#]?\\PC{0,20}") {
            let Ok(target) = Target::read(&url) else { return Ok(()) };
            let again = Url::parse(&format!("{}://{}{}", target.scheme, target.authority(), target.request_target()));
            let again = again.expect("a URL");
            prop_assert_eq!(again.origin(), target.url.origin());
            prop_assert!(again.username().is_empty() && again.password().is_none());
            prop_assert!(target.request_target().parse::<PathAndQuery>().is_ok(), "{}", target.request_target());
            prop_assert!(again.query_pairs().eq(target.url.query_pairs()), "{}", target.request_target());
        }
    }
}
