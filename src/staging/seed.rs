//! What a world begins with: read from JSON, and done by the use cases that operators and clients have.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use blake2::{Blake2s256, Digest};
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::faults::{MOST_FAULTS, Rule};
use super::time::moment;
use super::{Part, Refused, Routes};
use crate::accounts::{self, AuthToken, New};
use crate::db::Db;
use crate::error::Denied;
use crate::inventory;
use crate::numbers::Settings;
use crate::numbers::settings::{ApiVersion, CallbackChange, Change, Changes};
use crate::purchases;
use crate::values::chance::Chance;
use crate::values::clock::{Clock, Course};
use crate::values::money::Money;
use crate::values::phone::{self, Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};
use crate::values::text::{CallbackUrl, FriendlyName, Method};

/// The most bytes of a seed.
pub const LARGEST: usize = 1024 * 1024;

/// The most numbers that a seed puts into stock.
pub const MOST_STOCK: i64 = 1_000_000;

/// Days of quarantine and of grace where a seed says none, and the most.
const QUARANTINE_DAYS: i16 = 45;
const GRACE_DAYS: i16 = 14;
const MOST_DAYS: i16 = 3650;

/// The operator named in the record for prices that a seed sets.
const OPERATOR: &str = "staging";

/// What a world begins with.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// Of its chance; a random one if it is not said.
    pub seed: Option<i64>,
    clock: Start,
    pub choice: Choice,
    #[serde(deserialize_with = "days")]
    quarantine_days: Option<i16>,
    #[serde(deserialize_with = "days")]
    grace_days: Option<i16>,
    prices: Prices,
    stock: Vec<Range>,
    accounts: Vec<Account>,
    faults: Vec<Rule>,
    /// By their numbers.
    #[serde(deserialize_with = "names")]
    caller_names: BTreeMap<String, String>,
    /// Whether there are Twilio's test numbers.
    pub magic: bool,
}

/// Where a clock begins: now, if it is not said.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Start {
    #[serde(deserialize_with = "moment")]
    at: Option<DateTime<Utc>>,
    stand: bool,
}

/// In which order numbers are sold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Choice {
    /// The lowest first.
    #[default]
    Lowest,
    /// In an order that the seed settles.
    Shuffled,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Prices {
    #[serde(deserialize_with = "parsed")]
    local: Option<Money>,
    #[serde(deserialize_with = "parsed")]
    tollfree: Option<Money>,
}

#[derive(Clone, Debug)]
struct Range(RangeInclusive<i64>);

/// An account with chosen credentials.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    sid: AccountSid,
    auth_token: Token,
    #[serde(default, deserialize_with = "parsed")]
    name: Option<FriendlyName>,
    /// Paid in before its numbers are bought.
    #[serde(default, deserialize_with = "parsed")]
    balance: Option<Money>,
    #[serde(default)]
    prices: Prices,
    #[serde(default)]
    numbers: Vec<Holding>,
}

#[derive(Clone)]
struct Token(String);

/// A number that an account buys, with its settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holding {
    #[serde(deserialize_with = "phone_number")]
    phone_number: PhoneNumber,
    #[serde(default, deserialize_with = "parsed")]
    friendly_name: Option<FriendlyName>,
    #[serde(default, deserialize_with = "url")]
    url: Option<CallbackUrl>,
    #[serde(default, deserialize_with = "parsed")]
    method: Option<Method>,
    #[serde(default, deserialize_with = "url")]
    voice_fallback_url: Option<CallbackUrl>,
    #[serde(default, deserialize_with = "parsed")]
    voice_fallback_method: Option<Method>,
    #[serde(default, deserialize_with = "url")]
    sms_url: Option<CallbackUrl>,
    #[serde(default, deserialize_with = "parsed")]
    sms_method: Option<Method>,
    #[serde(default, deserialize_with = "url")]
    sms_fallback_url: Option<CallbackUrl>,
    #[serde(default, deserialize_with = "parsed")]
    sms_fallback_method: Option<Method>,
    #[serde(default, deserialize_with = "url")]
    status_callback: Option<CallbackUrl>,
    #[serde(default, deserialize_with = "parsed")]
    status_callback_method: Option<Method>,
    #[serde(default)]
    voice_caller_id_lookup: bool,
    #[serde(default, deserialize_with = "api_version")]
    api_version: Option<ApiVersion>,
}

/// An account that was made.
#[derive(Debug, Serialize)]
pub struct Made {
    pub sid: AccountSid,
    /// After its purchases.
    pub balance: Money,
    pub numbers: Vec<Bought>,
}

/// A number that it bought.
#[derive(Debug, Serialize)]
pub struct Bought {
    pub phone_number: PhoneNumber,
    pub sid: NumberSid,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            seed: None,
            clock: Start::default(),
            choice: Choice::default(),
            quarantine_days: None,
            grace_days: None,
            prices: Prices::default(),
            stock: Vec::new(),
            accounts: Vec::new(),
            faults: Vec::new(),
            caller_names: BTreeMap::new(),
            magic: true,
        }
    }
}

impl Seed {
    /// # Errors
    /// If the text is not JSON, or a part has another name or cannot be read; the error says where.
    pub fn read(text: &[u8]) -> Result<Self, Refused> {
        let seed: Self = read(text)?;
        let stock: i64 = seed.stock.iter().map(|Range(range)| range.end() - range.start() + 1).sum();
        if stock > MOST_STOCK {
            return Err(Part::of("stock", format!("at most {MOST_STOCK} numbers are expected")).into());
        }
        Ok(seed)
    }

    /// How the world's clock goes at the beginning.
    pub fn course(&self) -> Course {
        match self.clock {
            Start { at: None, stand: false } => Course::Runs(TimeDelta::zero()),
            Start { at: Some(at), stand: false } => Course::running(at),
            Start { at, stand: true } => Course::Stands(at.unwrap_or_else(|| Clock::System.now())),
        }
    }

    /// Days of quarantine and of grace.
    pub fn days(&self) -> [i16; 2] {
        [self.quarantine_days.unwrap_or(QUARANTINE_DAYS), self.grace_days.unwrap_or(GRACE_DAYS)]
    }

    /// # Errors
    /// If a fault makes no sense, or is on a route that there is not.
    pub fn check_faults(&self, routes: &Routes) -> Result<(), Part> {
        if self.faults.len() > MOST_FAULTS {
            return Err(Part::of("faults", format!("at most {MOST_FAULTS} are expected")));
        }
        for (index, rule) in self.faults.iter().enumerate() {
            rule.check(routes).map_err(|part| part.below(&format!("faults[{index}]")))?;
        }
        Ok(())
    }

    /// Its faults, so that [`faults`] reads them back.
    pub fn faults_as_text(&self) -> String {
        serde_json::to_string(&self.faults).unwrap_or_default()
    }

    /// Its names of callers, so that JSON reads them back.
    pub fn caller_names_as_text(&self) -> String {
        serde_json::to_string(&self.caller_names).unwrap_or_default()
    }

    /// Puts everything into a world's database.
    ///
    /// # Errors
    /// If a part cannot be done; the error says which. What was done before is not undone.
    pub async fn plant(&self, db: &Db, clock: &Clock, chance: &Chance) -> Result<(), Denied<Refused>> {
        self.prices.set(db, clock, None).await.map_err(|denied| denied.map(|part| part.below("prices").into()))?;
        let ranges: Vec<_> = self.stock.iter().map(|Range(range)| range.clone()).collect();
        stock(db, clock, &ranges).await.map_err(|denied| denied.map(|part| part.below("stock").into()))?;
        for (index, account) in self.accounts.iter().enumerate() {
            let made = account.make(db, clock, chance).await;
            made.map_err(|denied| denied.map(|part| part.below(&format!("accounts[{index}]")).into()))?;
        }
        Ok(())
    }
}

/// Faults from [`Seed::faults_as_text`].
pub fn faults(text: &str) -> Vec<Rule> {
    serde_json::from_str(text).unwrap_or_default()
}

/// A digest of a seed's text, to tell whether it is the same.
pub fn digest(text: &[u8]) -> String {
    Blake2s256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads JSON strictly.
///
/// # Errors
/// If it is not JSON, or has a part of another name; the error says where.
pub fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(text).map_err(|error| Refused::NotRead(plainly(&error)))
}

/// What serde says, without the names of types.
fn plainly(error: &serde_json::Error) -> String {
    let said = error.to_string();
    if error.is_syntax() {
        return format!("JSON is expected: {said}");
    }
    let Some((before, expected)) = said.rsplit_once("expected ") else { return said };
    let (what, at) = expected.split_at(expected.find(" at line").unwrap_or(expected.len()));
    let what = match what {
        "i64" | "i16" | "u16" | "u32" | "u64" => "a whole number",
        "f64" => "a number",
        _ if what.starts_with("struct ") => "an object",
        _ => what,
    };
    format!("{before}expected {what}{at}")
}

impl Account {
    /// Makes the account, puts its numbers into stock if they are not there, and buys them.
    ///
    /// # Errors
    /// If a part cannot be done; the error says which. What was done before is not undone.
    pub async fn make(&self, db: &Db, clock: &Clock, chance: &Chance) -> Result<Made, Denied<Part>> {
        let Self { sid, auth_token: Token(token), .. } = self;
        let token = AuthToken::cheap(token).map_err(|error| Part::of("auth_token", error))?;
        let name =
            self.name.clone().map_or_else(|| sid.to_string().parse().map_err(|error| Part::of("sid", error)), Ok)?;
        let mut balance = self.balance.unwrap_or(Money::ZERO);
        let new = New { name: &name, reference: None, balance };
        let created = accounts::create_as(db, clock, *sid, new, token).await;
        created.map_err(|denied| denied.map(|_| Part::of("sid", format!("there is an account {sid} already"))))?;
        self.prices.set(db, clock, Some(*sid)).await.map_err(|denied| denied.map(|part| part.below("prices")))?;
        let ranges: Vec<_> = self.numbers.iter().map(|number| number.digits()..=number.digits()).collect();
        stock(db, clock, &ranges).await.map_err(|denied| denied.map(|part| part.below("numbers")))?;
        let mut numbers = Vec::new();
        for (index, number) in self.numbers.iter().enumerate() {
            let bought = number.buy(db, clock, chance, *sid).await;
            let bought = bought.map_err(|denied| denied.map(|part| part.below(&format!("numbers[{index}]"))))?;
            balance = bought.balance;
            numbers.push(Bought { phone_number: bought.phone_number, sid: bought.sid });
        }
        Ok(Made { sid: *sid, balance, numbers })
    }

    /// Whether it takes more than one transaction.
    pub fn is_several(&self) -> bool {
        !self.numbers.is_empty() || self.prices.local.is_some() || self.prices.tollfree.is_some()
    }
}

impl Prices {
    async fn set(&self, db: &Db, clock: &Clock, account: Option<AccountSid>) -> Result<(), Denied<Part>> {
        for (kind, price) in [(Kind::Local, self.local), (Kind::TollFree, self.tollfree)] {
            let Some(price) = price else { continue };
            let set = inventory::set_price(db, clock, OPERATOR, kind, account, price).await;
            set.map_err(|denied| denied.map(|_| Part::of(kind.name(), "this account has no prices")))?;
        }
        Ok(())
    }
}

/// Puts numbers into stock. Those that are there stay as they are.
async fn stock(db: &Db, clock: &Clock, ranges: &[RangeInclusive<i64>]) -> Result<(), Denied<Part>> {
    let added = inventory::add(db, clock, ranges, |_| {}).await;
    let added =
        added.map_err(|denied| denied.map(|_| Part::of("", format!("at most {MOST_STOCK} numbers are expected"))))?;
    match added.rejected_numbers.first() {
        None => Ok(()),
        Some(rejection) => Err(Part::of("", format!("{} cannot be: {}", rejection.numbers, rejection.reason)).into()),
    }
}

impl Holding {
    const fn digits(&self) -> i64 {
        self.phone_number.digits()
    }

    fn settings(&self) -> Result<Settings, Part> {
        fn change<T: Clone>(given: Option<&T>) -> Change<T> {
            given.cloned().map_or(Change::Keep, |given| Change::Set(Some(given)))
        }
        let callback = |url: &Option<_>, method| CallbackChange { url: change(url.as_ref()), method };
        let settings = Settings::first(&Changes {
            friendly_name: change(self.friendly_name.as_ref()),
            voice: callback(&self.url, self.method),
            voice_fallback: callback(&self.voice_fallback_url, self.voice_fallback_method),
            sms: callback(&self.sms_url, self.sms_method),
            sms_fallback: callback(&self.sms_fallback_url, self.sms_fallback_method),
            status: callback(&self.status_callback, self.status_callback_method),
            voice_caller_id_lookup: Some(self.voice_caller_id_lookup),
            api_version: self.api_version,
            ..Changes::default()
        });
        settings.map_err(|_| Part::of("", "a fallback needs the URL that it is for"))
    }

    async fn buy(
        &self,
        db: &Db,
        clock: &Clock,
        chance: &Chance,
        account: AccountSid,
    ) -> Result<purchases::Assigned, Denied<Part>> {
        let assigned = purchases::assign(db, clock, chance, account, self.phone_number, None, self.settings()?).await;
        assigned.map_err(|denied| denied.map(|refused| Part::of("", unsold(&refused))))
    }
}

fn unsold(refused: &purchases::Refused) -> String {
    match refused {
        purchases::Refused::Insufficient { balance, price, .. } => {
            format!("the account's balance of {balance} does not cover its price of {price}")
        }
        purchases::Refused::NotOnSale(_) | purchases::Refused::NoNumber => "it is held, or not on sale".to_owned(),
        purchases::Refused::AccountGone | purchases::Refused::Suspended | purchases::Refused::KeyReused => {
            "the account may not buy it".to_owned()
        }
    }
}

/// A text in which a value is written as it is everywhere else.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(|error| D::Error::custom(format!("'{text}': {error}")))).transpose()
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<CallbackUrl>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| CallbackUrl::new(text).map_err(|error| D::Error::custom(format!("a URL {error}")))).transpose()
}

fn phone_number<'de, D: Deserializer<'de>>(from: D) -> Result<PhoneNumber, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

fn api_version<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ApiVersion>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let version = ApiVersion::ALL.into_iter().find(|version| version.as_str() == text);
    version.map(Some).ok_or_else(|| D::Error::custom("2008-08-01 or 2010-04-01 is expected"))
}

/// The most names of callers.
const MOST_NAMES: usize = 10_000;

/// Names by numbers, which are in any spelling.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all = BTreeMap::<String, String>::deserialize(from)?;
    if all.len() > MOST_NAMES || all.values().any(|name| name.chars().count() > 64) {
        return Err(D::Error::custom(format!("at most {MOST_NAMES} names of at most 64 characters are expected")));
    }
    let spelt = |(number, name): (String, String)| {
        let number = number.parse::<PhoneNumber>().map_err(D::Error::custom)?;
        Ok((number.to_string(), name))
    };
    all.into_iter().map(spelt).collect()
}

fn days<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i16>, D::Error> {
    let days = Option::<i16>::deserialize(from)?;
    let may_be = days.is_none_or(|days| (0..=MOST_DAYS).contains(&days));
    may_be.then_some(days).ok_or_else(|| D::Error::custom(format!("0 to {MOST_DAYS} days are expected")))
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        phone::range(&String::deserialize(from)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        AuthToken::cheap(&text).map_err(|_| D::Error::custom("a token is 1 to 64 visible ASCII characters"))?;
        Ok(Self(text))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}
