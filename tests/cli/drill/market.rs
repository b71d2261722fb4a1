//! Who buys, and what there is to buy: some run out of money, and some area codes out of numbers.

use numberbank::values::phone::{AreaCode, Kind};

use crate::home::Home;

/// Cents: what a new database asks for a local number.
pub const PRICE: u64 = 100;

/// More than are bought beyond what was asked for: each buyer ends with the order at hand.
const MARGIN: u64 = 100;

const RICH: u64 = 8;
const POOR: u64 = 2;
const PLENTY: usize = 4;
const SCARCE: usize = 40;

pub struct Market {
    pub accounts: Vec<Account>,
    /// Area codes that have a number for everyone …
    pub plenty: Vec<AreaCode>,
    /// … and those that run out of them.
    pub scarce: Vec<AreaCode>,
}

pub struct Account {
    pub sid: String,
    pub token: String,
    /// Cents, before anything is bought.
    pub balance: u64,
}

impl Market {
    /// Opens the accounts and fills the stock for so many purchases.
    pub fn open(home: &Home, purchases: u64) -> Self {
        let dollars = (0..RICH).map(|_| purchases + MARGIN).chain((0..POOR).map(|_| purchases / 20));
        let accounts = dollars.map(|dollars| Account::open(home, dollars)).collect();
        let codes = (200..1000).filter_map(AreaCode::new).filter(|code| code.kind() == Kind::Local);
        let mut plenty: Vec<_> = codes.take(PLENTY + SCARCE).collect();
        let scarce = plenty.split_off(PLENTY);
        let ranges = plenty.iter().map(|code| range(*code, purchases / 2 + MARGIN));
        let ranges: Vec<_> = ranges.chain(scarce.iter().map(|code| range(*code, purchases / 1000 + 1))).collect();
        let add: Vec<_> = ["inventory", "add"].into_iter().chain(ranges.iter().map(String::as_str)).collect();
        assert_eq!(home.json(&add)["rejected"], 0);
        Self { accounts, plenty, scarce }
    }
}

/// The first so many numbers of an area code.
fn range(code: AreaCode, count: u64) -> String {
    format!("{code}2000000-{code}{}", 2_000_000 + count - 1)
}

impl Account {
    fn open(home: &Home, dollars: u64) -> Self {
        let opened = home.json(&["account", "create", "--name", "Drill", "--balance", &format!("{dollars}.00")]);
        let text = |name: &str| opened[name].as_str().expect(name).to_owned();
        Self { sid: text("sid"), token: text("auth_token"), balance: dollars * 100 }
    }
}
