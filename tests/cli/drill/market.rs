//! Accounts and stock: some accounts run out of money, and some area codes out of numbers. Some accounts are paid for by
//! another one.

use numberbank::accounts::families;
use numberbank::db::{self, Db};
use numberbank::values::clock::Clock;
use numberbank::values::phone::{AreaCode, Kind};

use super::Desk;

/// The price of a local number in a new database, in cents.
pub const PRICE: u64 = 100;

/// More purchases than were asked for may be made: each buyer finishes its last order.
const MARGIN: u64 = 100;

const RICH: u64 = 8;
const POOR: u64 = 2;
/// The owners of sub-accounts: a rich account has three, a poor one has one.
const OWNERS: [usize; 4] = [0, 0, 0, RICH as usize];
const PLENTY: usize = 4;
const SCARCE: usize = 40;

pub struct Market {
    pub accounts: Vec<Account>,
    /// Area codes with enough numbers …
    pub plenty: Vec<AreaCode>,
    /// … and those that run out.
    pub scarce: Vec<AreaCode>,
}

pub struct Account {
    pub sid: String,
    pub token: String,
    /// The balance in cents before the drill.
    pub balance: u64,
    /// The index of the account that pays for it: its own, or its owner's.
    pub payer: usize,
}

impl Market {
    /// Creates the accounts and the stock for this many purchases.
    pub fn open(desk: &Desk, purchases: u64) -> Self {
        let dollars = (0..RICH).map(|_| purchases + MARGIN).chain((0..POOR).map(|_| purchases / 20));
        let mut accounts: Vec<_> = dollars.enumerate().map(|(at, dollars)| Account::open(desk, at, dollars)).collect();
        add_children(&desk.database, &mut accounts);
        let codes = (200..1000).filter_map(AreaCode::new).filter(|code| code.kind() == Kind::Local);
        let mut plenty: Vec<_> = codes.take(PLENTY + SCARCE).collect();
        let scarce = plenty.split_off(PLENTY);
        let ranges = plenty.iter().map(|code| range(*code, purchases / 2 + MARGIN));
        let ranges: Vec<_> = ranges.chain(scarce.iter().map(|code| range(*code, purchases / 1000 + 1))).collect();
        let add: Vec<_> = ["inventory", "add"].into_iter().chain(ranges.iter().map(String::as_str)).collect();
        assert_eq!(desk.json(&add)["rejected"], 0);
        Self { accounts, plenty, scarce }
    }
}

/// The first `count` numbers of an area code.
fn range(code: AreaCode, count: u64) -> String {
    format!("{code}2000000-{code}{}", 2_000_000 + count - 1)
}

impl Account {
    fn open(desk: &Desk, at: usize, dollars: u64) -> Self {
        let opened = desk.json(&["account", "create", "--name", "Drill", "--balance", &format!("{dollars}.00")]);
        let text = |name: &str| opened[name].as_str().expect(name).to_owned();
        Self { sid: text("sid"), token: text("auth_token"), balance: dollars * 100, payer: at }
    }

    async fn open_below(db: &Db, payer: usize, owner: &Self) -> Self {
        let (sid, name) = (owner.sid.parse().expect("a Sid"), "Drill".parse().expect("a name"));
        let made = families::create(db, &Clock::System, sid, &name).await.expect("a sub-account");
        let (sid, token) = (made.account.sid.to_string(), made.auth_token.reveal().to_owned());
        Self { sid, token, balance: 0, payer }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn add_children(database: &str, accounts: &mut Vec<Account>) {
    let db = db::for_command(&db::options(database).expect("a URL"));
    for owner in OWNERS {
        let child = Account::open_below(&db, owner, &accounts[owner]).await;
        accounts.push(child);
    }
    db.close().await;
}
