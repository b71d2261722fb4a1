//! The cookies of one conversation, as RFC 6265 has them. The caller of a delivery keeps them, and drops them when the
//! conversation ends.
//!
//! There is no list of public suffixes: in here are only hosts that one tenant chose, so what one of them sets for `co.uk`
//! reaches only others of the same tenant. A crate for cookies would bring such a list, and a second library for times.

use std::fmt::{self, Debug, Formatter};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use url::Host;

use super::target::Target;

/// The most cookies. Where one comes too many, the oldest is dropped.
const MOST: usize = 50;
/// The most bytes of a name, its value, domain and path; longer ones are ignored.
const LONGEST: usize = 4096;
/// The most bytes of all cookies.
const MOST_BYTES: usize = 16 * 1024;

#[derive(Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// It is for this host, and not for those below it.
    host_only: bool,
    path: String,
    secure: bool,
    until: Option<DateTime<Utc>>,
}

/// A jar of cookies, bounded in count and bytes.
#[derive(Clone, Default)]
pub struct Cookies(Vec<Cookie>);

/// Without values.
impl Debug for Cookies {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|cookie| &cookie.name)).finish()
    }
}

impl Cookie {
    /// Reads the value of a `Set-Cookie` header.
    fn read(text: &str, from: &Target, now: DateTime<Utc>) -> Option<Self> {
        let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
        let (name, value) = pair.split_once('=')?;
        let host = from.host_name();
        let mut cookie = Self {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            domain: host.to_owned(),
            host_only: true,
            path: default_path(from.cookie_path()).to_owned(),
            secure: false,
            until: None,
        };
        let mut max_age = None;
        for attribute in attributes.split(';') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "domain" => cookie.set_domain(value, from)?,
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "path" => default_path(from.cookie_path()).clone_into(&mut cookie.path),
                "secure" => cookie.secure = true,
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                "expires" => cookie.until = date(value).or(cookie.until),
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            let lasts = TimeDelta::try_seconds(seconds.max(0)).unwrap_or(TimeDelta::MAX);
            cookie.until = now.checked_add_signed(lasts);
        }
        let is_sendable = |text: &str| text.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f);
        let fits = !cookie.name.is_empty() && cookie.size() <= LONGEST;
        (fits && is_sendable(&cookie.name) && is_sendable(&cookie.value)).then_some(cookie)
    }

    /// A domain must hold the host that names it, and have a dot; an address has no domain.
    fn set_domain(&mut self, value: &str, from: &Target) -> Option<()> {
        let domain = value.strip_prefix('.').unwrap_or(value).to_ascii_lowercase();
        let is_host = domain.is_empty() || domain == from.host_name();
        let is_below = || matches!(from.host(), Host::Domain(host) if domain.contains('.') && is_within(host, &domain));
        if !is_host && !is_below() {
            return None;
        }
        let is_name = matches!(from.host(), Host::Domain(_));
        if !domain.is_empty() && is_name {
            self.domain = domain;
            self.host_only = false;
        }
        Some(())
    }

    fn size(&self) -> usize {
        self.name.len() + self.value.len() + self.domain.len() + self.path.len()
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    fn is_for(&self, target: &Target) -> bool {
        let host = target.host_name();
        let is_its_host = host == self.domain || !self.host_only && is_within(host, &self.domain);
        let path = target.cookie_path();
        let is_its_path = path
            .strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
        is_its_host && is_its_path && (target.is_https() || !self.secure)
    }
}

/// Whether a host is the domain, or below it.
fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The path up to its last slash.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

impl Cookies {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the value of a `Set-Cookie` header. What cannot be read is ignored, as by browsers.
    pub(super) fn set(&mut self, text: &str, from: &Target, now: DateTime<Utc>) {
        let Some(cookie) = Cookie::read(text, from, now) else { return };
        self.0.retain(|kept| !kept.is_same(&cookie) && !kept.is_over(now));
        if !cookie.is_over(now) {
            self.0.push(cookie);
        }
        while self.0.len() > MOST || self.0.iter().map(Cookie::size).sum::<usize>() > MOST_BYTES {
            self.0.remove(0);
        }
    }

    /// The value of the header `Cookie` of a request: longest paths first, then in order of age.
    pub(super) fn header(&self, to: &Target, now: DateTime<Utc>) -> Option<String> {
        let mut sent: Vec<_> = self.0.iter().filter(|cookie| !cookie.is_over(now) && cookie.is_for(to)).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = sent.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// A date as programs write it in cookies, in any of its many forms: by the algorithm of RFC 6265, section 5.1.1.
fn date(text: &str) -> Option<DateTime<Utc>> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let is_delimiter = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != ':';
    for token in text.split(is_delimiter) {
        let digits = token.len() - token.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = || token[..digits].parse::<u32>().ok();
        let month_of = || MONTHS.iter().position(|month| token.to_ascii_lowercase().starts_with(month));
        if time.is_none() && token.contains(':') {
            time = time_of_day(token);
        } else if day.is_none() && (1..=2).contains(&digits) {
            day = number();
        } else if month.is_none()
            && let Some(found) = month_of()
        {
            month = Some(found as u32 + 1);
        } else if year.is_none() && (2..=4).contains(&digits) {
            year = number();
        }
    }
    let year = year.map(|year| match year {
        70..=99 => 1900 + year,
        0..=69 => 2000 + year,
        _ => year,
    });
    let [hour, minute, second] = time?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year?).ok()?, month?, day?)?;
    Some(date.and_hms_opt(hour, minute, second)?.and_utc())
}

fn time_of_day(token: &str) -> Option<[u32; 3]> {
    let parts: Vec<u32> = token.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(url: &str) -> Target {
        Target::read(url).unwrap_or_else(|_| panic!("{url}"))
    }

    fn now() -> DateTime<Utc> {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn jar(from: &str, set: &[&str]) -> Cookies {
        let mut cookies = Cookies::new();
        set.iter().for_each(|text| cookies.set(text, &target(from), now()));
        cookies
    }

    #[track_caller]
    fn assert_sent(cookies: &Cookies, cases: &[(&str, Option<&str>)]) {
        for (url, expected) in cases {
            assert_eq!(cookies.header(&target(url), now()).as_deref(), *expected, "{url}");
        }
    }

    #[test]
    fn a_cookie_goes_to_its_host_and_path_only() {
        let cookies =
            jar("http://app.example.com/voice/start", &["a=1", "b=\"2 3\"; Path=/", "c=3; path=/voice/menu; Secure"]);
        assert_sent(
            &cookies,
            &[
                ("http://app.example.com/voice/menu", Some("a=1; b=\"2 3\"")),
                ("http://APP.example.com:81/voice", Some("a=1; b=\"2 3\"")),
                ("http://app.example.com/voices", Some("b=\"2 3\"")),
                ("https://app.example.com/voice/menu/2", Some("c=3; a=1; b=\"2 3\"")),
                ("http://example.com/voice/menu", None),
                ("http://x.app.example.com/voice/menu", None),
            ],
        );
    }

    #[test]
    fn a_domain_holds_the_host_that_sets_it() {
        let cookies = jar(
            "http://app.example.com/",
            &["a=1; Domain=.Example.com", "b=2; domain=example.org", "c=3; Domain=com", "d=4; Domain=ple.com"],
        );
        assert_sent(
            &cookies,
            &[
                ("http://app.example.com/", Some("a=1")),
                ("http://example.com/", Some("a=1")),
                ("http://b.example.com/", Some("a=1")),
                ("http://badexample.com/", None),
                ("http://example.org/", None),
            ],
        );
        let cookies = jar("http://127.0.0.1/", &["a=1; Domain=127.0.0.1", "b=2; Domain=0.0.1", "c=3; Domain="]);
        assert_sent(&cookies, &[("http://127.0.0.1:3000/", Some("a=1; c=3")), ("http://126.0.0.1/", None)]);
    }

    #[test]
    fn a_cookie_ends_at_its_time() {
        let mut cookies = jar(
            "http://h/",
            &[
                "a=1; Max-Age=60",
                "b=2; Expires=Sat, 31-Jan-2026 12:02:00 GMT",
                "c=3; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=180",
                "d=4; Max-Age=0",
                "e=5; Max-Age=x",
            ],
        );
        let after =
            |cookies: &Cookies, seconds| cookies.header(&target("http://h/"), now() + TimeDelta::seconds(seconds));
        assert_eq!(after(&cookies, 0).unwrap(), "a=1; b=2; c=3; e=5");
        assert_eq!(after(&cookies, 60).unwrap(), "b=2; c=3; e=5");
        assert_eq!(after(&cookies, 121).unwrap(), "c=3; e=5");
        assert_eq!(after(&cookies, 181).unwrap(), "e=5");
        cookies.set("e=6", &target("http://h/"), now());
        cookies.set("a=; Max-Age=-1", &target("http://h/"), now());
        assert_eq!(after(&cookies, 0).unwrap(), "b=2; c=3; e=6");
        assert!(!format!("{cookies:?}").contains('6'));
        let age = i64::MAX;
        cookies.set(&format!("f=7; Max-Age={age}"), &target("http://h/"), now());
        assert_eq!(after(&cookies, 1_000_000_000).unwrap(), "e=6; f=7");
    }

    #[test]
    fn dates_have_many_forms() {
        for text in [
            "Sat, 31 Jan 2026 12:02:03 GMT",
            "Saturday, 31-Jan-26 12:02:03 GMT",
            "Sat, 31-Jan-2026 12:02:03 GMT",
            "Sat Jan 31 12:02:03 2026",
            "31 January 2026 12:02:03 +0000",
        ] {
            assert_eq!(date(text), Some("2026-01-31T12:02:03Z".parse().unwrap()), "{text}");
        }
        for text in
            ["", "tomorrow", "31 Feb 2026 12:00:00", "Sat, 31 Jan 2026", "31 Jan 2026 25:00:00", "1:2:3:4 31 Jan 2026"]
        {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn a_jar_is_bounded() {
        let mut cookies = Cookies::new();
        let from = target("http://h/");
        for index in 0..60 {
            cookies.set(&format!("name{index}=x"), &from, now());
        }
        let sent = cookies.header(&from, now()).unwrap();
        assert!(sent.starts_with("name10=x; ") && sent.ends_with("name59=x"), "{sent}");
        for index in 0..60 {
            cookies.set(&format!("long{index}={}", "x".repeat(4000)), &from, now());
        }
        assert_eq!(cookies.0.len(), 4);
        cookies.set(&format!("longer={}", "x".repeat(4096)), &from, now());
        assert!(!cookies.header(&from, now()).unwrap().contains("longer"));
    }

    proptest! {
        #[test]
        fn whatever_is_set_is_bounded_and_can_be_sent(texts in prop::collection::vec("[a=]{0,3}(?s:.){0,20}(; ?(Domain|Path|Expires|Max-Age)=\\PC{0,12}){0,3}", 0..5)) {
            let mut cookies = Cookies::new();
            let from = target("http://a.example.com/b/c");
            for text in &texts {
                cookies.set(text, &from, now());
            }
            if let Some(sent) = cookies.header(&from, now()) {
                prop_assert!(hyper::header::HeaderValue::try_from(sent).is_ok());
            }
        }
    }
}
