//! The server's address as the client named it, for links back to it.

use std::fmt;
use std::net::Ipv6Addr;

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderValue};

/// The longest name that a host may have.
const LONGEST_NAME: usize = 253;

/// The parts of a request that name the server. They are read only when a refusal needs a link.
pub struct Site {
    /// `X-Forwarded-Proto` and `X-Forwarded-Host`, if a proxy is trusted.
    proto: Option<HeaderValue>,
    forwarded: Option<HeaderValue>,
    host: Option<HeaderValue>,
    is_secure: bool,
}

impl Site {
    pub fn of(request: &HttpRequest, trust_proxy: bool) -> Self {
        let forwarded = |name: &str| if trust_proxy { request.headers().get_all(name).last().cloned() } else { None };
        let (proto, host) = (forwarded("X-Forwarded-Proto"), forwarded("X-Forwarded-Host"));
        let is_secure = request.app_config().secure();
        Self { proto, forwarded: host, host: request.headers().get(HOST).cloned(), is_secure }
    }
}

/// `http://host:port` as the client named it. Empty if it named no host: then links are paths. A header of a proxy
/// counts only if it is trusted, and only the last value.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match last(self.proto.as_ref()) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => "http",
            _ if self.is_secure => "https",
            _ => "http",
        };
        let named = || self.host.as_ref()?.to_str().ok();
        let forwarded = last(self.forwarded.as_ref()).filter(|host| is_host(host));
        match forwarded.or_else(|| named().filter(|host| is_host(host))) {
            Some(host) => write!(f, "{scheme}://{host}"),
            None => Ok(()),
        }
    }
}

fn last(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()?.rsplit(',').next().map(str::trim)
}

/// Whether this is a host name or an address, with or without a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_name = || {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        (1..=LONGEST_NAME).contains(&host.len()) && host.bytes().all(letter)
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    port.is_none_or(is_port) && address.map_or_else(is_name, |address| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for host in
            ["a", "localhost:8008", "numbers.example", "127.0.0.1:80", "[::1]", "[::1]:8008", "a_b-c.d", "1:65535"]
        {
            assert!(is_host(host), "{host}");
        }
        let long = "a".repeat(254);
        for host in [
            "",
            ":80",
            "a:",
            "a:65536",
            "a:+1",
            "a:-1",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "a\"<b>",
            "a,b",
            "[::1",
            "::1",
            "[::1]x",
            "[a]",
            "\u{e9}",
            "javascript:alert(1)",
            &long,
        ] {
            assert!(!is_host(host), "{host}");
        }
    }

    fn reached(trust_proxy: bool, headers: &[(&'static str, &'static str)]) -> String {
        let request = TestRequest::default();
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        Site::of(&request.to_http_request(), trust_proxy).to_string()
    }

    #[test]
    fn a_proxy_is_believed_only_if_it_is_trusted() {
        let (host, proto) = (("Host", "a.example:8008"), "X-Forwarded-Proto");
        let proxied = [host, (proto, "https"), ("X-Forwarded-Host", "b.example")];
        assert_eq!(reached(true, &proxied), "https://b.example");
        assert_eq!(reached(false, &proxied), "http://a.example:8008");
        for (value, site) in [
            ("javascript", "http://a.example:8008"),
            ("http, HTTPS", "https://a.example:8008"),
            ("https, http", "http://a.example:8008"),
            ("", "http://a.example:8008"),
        ] {
            assert_eq!(reached(true, &[host, (proto, value)]), site, "{value}");
        }
        assert_eq!(reached(true, &[host, ("X-Forwarded-Host", "\"<b>")]), "http://a.example:8008");
        // `Forwarded` (RFC 7239) is ignored: a proxy that does not know it would pass on the client's.
        assert_eq!(reached(true, &[host, ("Forwarded", "proto=https;host=b.example")]), "http://a.example:8008");
    }

    #[test]
    fn without_a_host_links_are_paths() {
        for headers in [&[][..], &[("Host", "")], &[("Host", "a\"<b>&c")], &[("Host", "a/b?c#d")]] {
            assert_eq!(reached(false, headers), "", "{headers:?}");
        }
    }
}
