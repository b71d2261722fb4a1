//! Faults on demand: which requests fail, and how. A rule is armed until it has met as many requests as it should.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::{Part, Refused};
use crate::values::chance::{Chance, Draws};
use crate::values::phone::AreaCode;
use crate::values::sid::AccountSid;

mod arming;
mod rule;

pub use arming::unexpected;
pub use rule::{Act, Callback, Rule, Spoilt, Stage};

/// The most rules at a time, spent ones included: the oldest of those makes way for a new rule.
pub const MOST_FAULTS: usize = 100;

/// What a rule looks at of a request.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    pub method: &'a str,
    /// As in the route table, with the tree before it; `None` if there is no such path.
    pub route: Option<&'a str>,
    /// The account of the path, and the one that authenticates.
    pub accounts: [Option<AccountSid>; 2],
    pub parameters: &'a [(String, String)],
}

/// What is to happen to a request, by which rule.
#[derive(Clone, Debug)]
pub struct Met {
    pub id: String,
    pub delay: Duration,
    pub act: Act,
}

/// The rules of a world, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Rules>);

#[derive(Debug, Default)]
struct Rules {
    /// How many there were since the last reset.
    made: u32,
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    id: String,
    rule: Rule,
    act: Act,
    /// How many requests it fits were let through so far, of those to be skipped.
    skipped: u32,
    hits: u32,
    chance: Chance,
    last_request_id: Option<String>,
}

/// A rule, as it is shown.
#[derive(Debug, Serialize)]
pub struct Shown {
    pub id: String,
    #[serde(flatten)]
    rule: Rule,
    /// How many requests it has met.
    hits: u32,
    /// How many more it will meet; `null` if there is no end.
    left: Option<u32>,
    last_request_id: Option<String>,
}

impl Faults {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule. Its draws come from `seed`, unless it says another one.
    ///
    /// # Errors
    /// [`Refused::TooManyFaults`], and if it makes no sense.
    pub fn add(&self, rule: Rule, seed: i64) -> Result<Shown, Refused> {
        let act = rule.act().map_err(|why| Part::of("do", why))?;
        let mut rules = self.rules();
        if rules.armed.len() >= MOST_FAULTS {
            // One that is spent does nothing any more.
            let spent = rules.armed.iter().position(Armed::is_spent).ok_or(Refused::TooManyFaults)?;
            rules.armed.remove(spent);
        }
        rules.made += 1;
        let (id, seed) = (format!("F{}", rules.made), rule.seed.unwrap_or(seed));
        let chance = Chance::seeded(Draws { seed, start: 0, drawn: 0 });
        let armed = Armed { id, rule, act, skipped: 0, hits: 0, chance, last_request_id: None };
        let shown = armed.shown();
        rules.armed.push(armed);
        Ok(shown)
    }

    /// What a fault does to this request: the first one that fits.
    pub fn meet(&self, sight: &Sight<'_>) -> Option<Met> {
        let mut rules = self.rules();
        rules.count_emptied(sight);
        rules.armed.iter_mut().find_map(|armed| armed.meet(sight))
    }

    /// The answer that a fault gives instead of the program at this URL.
    /// `sid` is that of the call or message.
    pub fn meet_callback(&self, url: &str, account: AccountSid, sid: &str) -> Option<(String, Callback)> {
        let mut rules = self.rules();
        rules.armed.iter_mut().find_map(|armed| armed.meet_callback(url, account, sid))
    }

    /// Clears all, and counts from the beginning again.
    pub fn begin_anew(&self) {
        *self.rules() = Rules::default();
    }

    /// Notes which request a rule has met last.
    pub fn note(&self, id: &str, request_id: &str) {
        let mut rules = self.rules();
        if let Some(armed) = rules.armed.iter_mut().find(|armed| armed.id == id) {
            armed.last_request_id = Some(request_id.to_owned());
        }
    }

    pub fn shown(&self) -> Vec<Shown> {
        let rules = self.rules();
        rules.armed.iter().map(Armed::shown).collect()
    }

    /// The ids of rules that have met nothing yet.
    pub fn unspent(&self) -> Vec<String> {
        let rules = self.rules();
        rules.armed.iter().filter(|armed| armed.hits == 0).map(|armed| armed.id.clone()).collect()
    }

    /// Takes away one rule, or all, and returns their ids.
    pub fn clear(&self, id: Option<&str>) -> Vec<String> {
        let mut rules = self.rules();
        let cleared = rules.armed.extract_if(.., |armed| id.is_none_or(|id| armed.id == id));
        cleared.map(|armed| armed.id).collect()
    }
}

impl Rules {
    /// Counts requests for emptied area codes. Stock refuses them, not the fault.
    fn count_emptied(&mut self, sight: &Sight<'_>) {
        self.armed.iter_mut().filter(|armed| armed.empties(sight)).for_each(|armed| armed.hits += 1);
    }
}

impl Armed {
    fn shown(&self) -> Shown {
        let left = (self.rule.times > 0 && !matches!(self.act, Act::Empty(_)))
            .then(|| self.rule.times.saturating_sub(self.hits));
        let Self { id, rule, hits, last_request_id, .. } = self;
        Shown { id: id.clone(), rule: rule.clone(), hits: *hits, left, last_request_id: last_request_id.clone() }
    }

    fn is_spent(&self) -> bool {
        !matches!(self.act, Act::Empty(_)) && self.rule.times > 0 && self.hits >= self.rule.times
    }

    fn is_of_requests(&self) -> bool {
        !matches!(self.act, Act::Empty(_) | Act::Callback(_))
    }

    /// Whether the request asks for numbers that this rule has taken out of sale.
    fn empties(&self, sight: &Sight<'_>) -> bool {
        let Act::Empty(code) = self.act else { return false };
        let code = code.to_string();
        sight.parameters.iter().any(|(name, value)| name == "AreaCode" && *value == code)
    }

    fn meet(&mut self, sight: &Sight<'_>) -> Option<Met> {
        let fits = self.is_of_requests() && self.rule.on.fits(sight) && self.strikes();
        fits.then(|| Met { id: self.id.clone(), delay: self.rule.delay(), act: self.act.clone() })
    }

    fn meet_callback(&mut self, url: &str, account: AccountSid, sid: &str) -> Option<(String, Callback)> {
        let Act::Callback(callback) = self.act else { return None };
        let fits = self.rule.on.fits_callback(url, account) && self.strikes();
        fits.then(|| {
            self.last_request_id = Some(sid.to_owned());
            (self.id.clone(), callback)
        })
    }

    /// Whether it is this rule's turn, now that it fits: it counts.
    fn strikes(&mut self) -> bool {
        if self.is_spent() {
            return false;
        }
        if self.skipped < self.rule.skip {
            self.skipped += 1;
            return false;
        }
        // 53 bits, as many as a float has.
        let drawn = (self.chance.bits() >> 75) as f64 / (1_u64 << 53) as f64;
        let strikes = drawn < self.rule.probability;
        self.hits += u32::from(strikes);
        strikes
    }
}

impl Shown {
    /// The area code that this fault empties.
    pub fn emptied(&self) -> Option<AreaCode> {
        match self.rule.act() {
            Ok(Act::Empty(code)) => Some(code),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "AC00000000000000000000000000000001";
    const LOCAL: &str = "/2008-08-01/Accounts/{AccountSid}/IncomingPhoneNumbers/Local";

    fn faults(rules: &[&str]) -> Faults {
        let faults = Faults::default();
        for rule in rules {
            faults.add(serde_json::from_str(rule).expect("a rule"), 42).expect("it makes sense");
        }
        faults
    }

    fn bought(faults: &Faults, area_code: &str) -> Option<String> {
        let parameters = [("AreaCode".to_owned(), area_code.to_owned())];
        let accounts = [Some(ACCOUNT.parse().expect("a Sid")), None];
        let sight = Sight { method: "POST", route: Some(LOCAL), accounts, parameters: &parameters };
        faults.meet(&sight).map(|met| met.id)
    }

    #[test]
    fn the_first_rule_that_fits_strikes_as_often_as_it_should() {
        let faults = faults(&[
            r#"{"on":{"where":{"AreaCode":"212"}},"do":{"status":503}}"#,
            r#"{"on":{"method":"POST","route":"…/Local"},"do":{"cut":"after"},"skip":1,"times":2}"#,
            r#"{"do":{"status":500},"times":0}"#,
        ]);
        let met: Vec<_> = ["415", "415", "212", "415", "415", "212"].map(|code| bought(&faults, code)).into();
        let ids = ["F3", "F2", "F1", "F2", "F3", "F3"].map(|id| Some(id.to_owned()));
        assert_eq!(met, ids);
        assert_eq!(faults.shown().iter().map(|fault| fault.left).collect::<Vec<_>>(), [Some(0), Some(0), None]);
        assert!(faults.unspent().is_empty());
        assert_eq!(faults.clear(Some("F3")), ["F3"]);
        assert_eq!(bought(&faults, "415"), None);
    }

    #[test]
    fn chance_draws_the_same_on_every_run() {
        let run = |seed: &str| {
            let rule = format!(r#"{{"do":{{"status":503}},"times":0,"probability":0.3,"seed":{seed}}}"#);
            let faults = faults(&[&rule]);
            (0..200).map(|_| bought(&faults, "415").is_some()).collect::<Vec<_>>()
        };
        let first = run("7");
        assert_eq!(first, run("7"));
        assert_ne!(first, run("8"));
        let strikes = first.iter().filter(|strikes| **strikes).count();
        assert!((40..=80).contains(&strikes), "{strikes} of 200");
    }

    #[test]
    fn what_fits_no_request_strikes_never() {
        let rules = [
            r#"{"on":{"method":"GET"},"do":{"status":503}}"#,
            r#"{"on":{"route":"…/TollFree"},"do":{"status":503}}"#,
            r#"{"on":{"account":"AC00000000000000000000000000000002"},"do":{"status":503}}"#,
            r#"{"on":{"where":{"AreaCode":"416"}},"do":{"status":503}}"#,
            r#"{"on":{"where":{"FriendlyName":"415"}},"do":{"status":503}}"#,
            r#"{"do":{"callback":{"timeout":true}}}"#,
            r#"{"do":{"empty":"212"}}"#,
        ];
        let faults = faults(&rules);
        assert_eq!(bought(&faults, "415"), None);
        assert_eq!(faults.unspent().len(), rules.len());
    }

    #[test]
    fn a_callback_is_met_by_the_beginning_of_its_url() {
        let rule = r#"{"on":{"callback":"http://app/voice"},"do":{"callback":{"status":500}}}"#;
        let (faults, account) = (faults(&[rule]), ACCOUNT.parse().expect("a Sid"));
        assert!(faults.meet_callback("http://app/sms", account, "CA1").is_none());
        let met = faults.meet_callback("http://app/voice/menu", account, "CA1");
        assert!(matches!(met, Some((id, Callback { status: Some(500), .. })) if id == "F1"));
        assert!(faults.meet_callback("http://app/voice", account, "CA1").is_none());
    }
}
