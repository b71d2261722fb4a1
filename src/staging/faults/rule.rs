//! One rule, as JSON says it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Sight;
use crate::staging::{Part, Routes};
use crate::values::phone::AreaCode;
use crate::values::sid::AccountSid;

/// The longest delay.
const LONGEST_DELAY: u64 = 60_000;

/// The methods of the API. A HEAD counts as a GET.
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

/// The most parameters that a rule looks at.
const MOST_PARAMETERS: usize = 16;

/// A rule: on which requests, and what happens to them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub on: On,
    #[serde(rename = "do")]
    effect: Effect,
    /// How many requests that fit pass first.
    #[serde(default)]
    pub skip: u32,
    /// How many requests it meets; 0: all, until it is cleared.
    #[serde(default = "once")]
    pub times: u32,
    #[serde(default = "always")]
    pub probability: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
}

const fn once() -> u32 {
    1
}

const fn always() -> f64 {
    1.0
}

/// The requests that a rule is for: all those that fit every part that is said.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct On {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// A route, or `…` and the end of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountSid>,
    /// Parameters with their values.
    #[serde(rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<String, String>,
    /// For effects on callbacks: how their URLs begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<String>,
}

/// Exactly one of these, or a delay alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Effect {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Spoilt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<Callback>,
}

/// Before the work, of which nothing is done then, or after it, when all is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    #[default]
    Before,
    After,
}

/// What becomes of the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Spoilt {
    Truncated,
    Garbage,
    Empty,
    Html,
}

/// The answer that a fault gives instead of the program: a status, or none in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timeout: bool,
}

/// An effect that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The delay is all.
    Delay,
    Refuse {
        stage: Stage,
        status: u16,
        code: u32,
        retry_after: u32,
    },
    Cut(Stage),
    Spoil(Spoilt),
    /// An area code is sold out.
    Empty(AreaCode),
    Callback(Callback),
}

impl Rule {
    /// # Errors
    /// If it makes no sense, or is on a route that there is not.
    pub fn check(&self, routes: &Routes) -> Result<(), Part> {
        self.act().map_err(|why| Part::of("do", why))?;
        match &self.on.route {
            Some(wanted) if !routes.all().any(|route| is_route(wanted, route)) => {
                let why = "no route is this or ends so; write … and its end, as in …/IncomingPhoneNumbers/{Sid}";
                Err(Part::of("on.route", why))
            }
            _ => Ok(()),
        }
    }

    /// What the rule does.
    ///
    /// # Errors
    /// Why it makes no sense.
    pub fn act(&self) -> Result<Act, &'static str> {
        if !(self.probability > 0.0 && self.probability <= 1.0) {
            return Err("a probability is more than 0 and at most 1");
        }
        if self.on.parameters.len() > MOST_PARAMETERS {
            return Err("a rule looks at 16 parameters at most");
        }
        if self.effect.delay_ms.is_some_and(|delay| delay > LONGEST_DELAY) {
            return Err("delay_ms is 60000 at most");
        }
        if self.on.method.as_ref().is_some_and(|method| !METHODS.contains(&method.as_str())) {
            return Err("on.method is GET, POST, PUT or DELETE");
        }
        let act = self.effect.act()?;
        let is_plain = (self.skip, self.times, self.probability) == (0, once(), always());
        match (&act, &self.on) {
            (Act::Empty(_), on) if !on.is_any() => Err("empty is for all requests: leave on out"),
            (Act::Empty(_), _) if !is_plain => {
                Err("empty lasts until it is cleared: it takes no skip, times and probability")
            }
            (Act::Empty(_), _) if self.effect.delay_ms.is_some() => Err("empty takes no delay_ms"),
            (Act::Callback(_), On { method: None, route: None, parameters, .. }) if parameters.is_empty() => Ok(act),
            (Act::Callback(_), _) => Err("of on, a callback takes callback and account"),
            (_, On { callback: Some(_), .. }) => Err("on.callback is for the effect callback"),
            _ => Ok(act),
        }
    }

    /// How long the requests that it meets wait before their work.
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.effect.delay_ms.unwrap_or_default())
    }
}

impl Effect {
    fn act(&self) -> Result<Act, &'static str> {
        let Self { status, cut, body, empty, callback, delay_ms, .. } = self;
        let told = self.code.is_some() || self.retry_after.is_some() || self.when.is_some();
        if told && status.is_none() {
            return Err("code, retry_after and when go with a status");
        }
        match (status, cut, body, empty, callback) {
            (Some(status), None, None, None, None) => self.refusal(*status),
            (None, Some(stage), None, None, None) => Ok(Act::Cut(*stage)),
            (None, None, Some(spoilt), None, None) => Ok(Act::Spoil(*spoilt)),
            (None, None, None, Some(code), None) => {
                code.parse().map(Act::Empty).map_err(|_| "empty takes a US area code, as in \"415\"")
            }
            (None, None, None, None, Some(callback)) => callback.act(),
            (None, None, None, None, None) if delay_ms.is_some() => Ok(Act::Delay),
            _ => Err("one of status, cut, body, empty and callback is expected, or delay_ms"),
        }
    }

    fn refusal(&self, status: u16) -> Result<Act, &'static str> {
        if !(400..600).contains(&status) {
            return Err("a status is 400 to 599");
        }
        let code = self.code.unwrap_or(match status {
            401 => 20003,
            405 => 20004,
            _ => 20000 + u32::from(status),
        });
        let (stage, retry_after) = (self.when.unwrap_or_default(), self.retry_after.unwrap_or(1));
        Ok(Act::Refuse { stage, status, code, retry_after })
    }
}

impl Callback {
    fn act(self) -> Result<Act, &'static str> {
        match self {
            Self { status: Some(100..600), timeout: false } | Self { status: None, timeout: true } => {
                Ok(Act::Callback(self))
            }
            _ => Err("a callback takes a status, 100 to 599, or timeout, true"),
        }
    }
}

impl On {
    fn is_any(&self) -> bool {
        let Self { method, route, account, parameters, callback } = self;
        method.is_none() && route.is_none() && account.is_none() && parameters.is_empty() && callback.is_none()
    }

    pub fn fits(&self, sight: &Sight<'_>) -> bool {
        let Sight { method, route, accounts, parameters } = sight;
        let has = |(name, value)| parameters.iter().any(|(sent, of)| (sent, of) == (name, value));
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.route.as_ref().is_none_or(|wanted| route.is_some_and(|route| is_route(wanted, route)))
            && self.account.is_none_or(|account| accounts.contains(&Some(account)))
            && self.parameters.iter().all(has)
    }

    pub fn fits_callback(&self, url: &str, account: AccountSid) -> bool {
        self.callback.as_ref().is_none_or(|beginning| url.starts_with(beginning))
            && self.account.is_none_or(|wanted| wanted == account)
    }
}

/// Whether this is the route, or the end of it after `…`.
pub fn is_route(wanted: &str, route: &str) -> bool {
    match wanted.strip_prefix('…').or_else(|| wanted.strip_prefix("...")) {
        Some(end) => route.ends_with(end),
        None => route == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(rule: &str) -> Result<Act, String> {
        let rule: Rule = serde_json::from_str(rule).map_err(|error| error.to_string())?;
        rule.act().map_err(str::to_owned)
    }

    #[test]
    fn a_status_has_a_code_of_its_own() {
        for (effect, code) in [
            (r#"{"status":503}"#, 20503),
            (r#"{"status":429}"#, 20429),
            (r#"{"status":401}"#, 20003),
            (r#"{"status":418,"code":4711}"#, 4711),
        ] {
            let act = act(&format!(r#"{{"do":{effect}}}"#));
            assert!(matches!(act, Ok(Act::Refuse { code: told, .. }) if told == code), "{effect}: {act:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for effect in [
            "{}",
            r#"{"status":200}"#,
            r#"{"status":600}"#,
            r#"{"code":20503}"#,
            r#"{"cut":"before","when":"after"}"#,
            r#"{"cut":"before","body":"html"}"#,
            r#"{"cut":"between"}"#,
            r#"{"delay_ms":60001}"#,
            r#"{"delay_ms":-1}"#,
            r#"{"empty":"416"}"#,
            r#"{"empty":"415","delay_ms":1}"#,
            r#"{"callback":{}}"#,
            r#"{"callback":{"status":500,"timeout":true}}"#,
            r#"{"stauts":503}"#,
        ] {
            assert!(act(&format!(r#"{{"do":{effect}}}"#)).is_err(), "{effect}");
        }
        for rest in [
            r#""probability":0"#,
            r#""probability":1.1"#,
            r#""times":-1"#,
            r#""on":{"callback":"http://app"}"#,
            r#""on":{"methods":"GET"}"#,
            r#""on":{"method":"get"}"#,
        ] {
            assert!(act(&format!(r#"{{"do":{{"status":503}},{rest}}}"#)).is_err(), "{rest}");
        }
        assert!(act(r#"{"on":{"method":"GET"},"do":{"callback":{"timeout":true}}}"#).is_err());
        assert!(act(r#"{"on":{"method":"GET"},"do":{"empty":"415"}}"#).is_err());
        assert!(act(r#"{"do":{"empty":"415"},"times":2}"#).is_err());
    }

    #[test]
    fn a_route_is_named_whole_or_by_its_end() {
        let route = "/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers/Local";
        for wanted in [route, "…/Local", ".../IncomingPhoneNumbers/Local", "…"] {
            assert!(is_route(wanted, route), "{wanted}");
        }
        for wanted in ["/Local", "…/TollFree", "/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers", ""] {
            assert!(!is_route(wanted, route), "{wanted}");
        }
    }
}
