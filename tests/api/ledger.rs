//! Money: the balance, the ledger and the audit always agree, and the database itself guards that.

use std::collections::HashMap;

use numberbank::billing::Credited;
use numberbank::error::Denied;
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::{accounts, audit, billing};
use proptest::prelude::*;

use crate::support::{Account, Answer, World, order, test};

/// How many accounts there are, and numbers of each kind.
const ACCOUNTS: usize = 3;
const NUMBERS: [usize; 2] = [4, 2];

const KINDS: [Kind; 2] = [Kind::Local, Kind::TollFree];

/// A step of a test. Accounts and kinds are indexes; amounts are cents.
#[derive(Clone, Debug)]
enum Step {
    Credit(usize, i64),
    Debit(usize, i64),
    Price(usize, Option<usize>, i64),
    Buy(usize, usize),
    /// The held number at this index, modulo their count.
    Release(usize, usize),
    Suspend(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let (account, kind) = (0..ACCOUNTS, 0..KINDS.len());
    prop_oneof![
        3 => (account.clone(), 0..400_i64).prop_map(|(account, cents)| Step::Credit(account, cents)),
        2 => (account.clone(), 0..400_i64).prop_map(|(account, cents)| Step::Debit(account, cents)),
        2 => (kind.clone(), proptest::option::of(account.clone()), 0..300_i64)
            .prop_map(|(kind, account, cents)| Step::Price(kind, account, cents)),
        6 => (account.clone(), kind).prop_map(|(account, kind)| Step::Buy(account, kind)),
        2 => (account.clone(), 0..8_usize).prop_map(|(account, index)| Step::Release(account, index)),
        1 => (account, proptest::bool::weighted(0.3)).prop_map(|(account, is)| Step::Suspend(account, is)),
    ]
}

/// Kind, amount, and the balance after it.
type Entry = (&'static str, i64, i64);

/// A simple model of what must be true.
struct Model {
    ledgers: [Vec<Entry>; ACCOUNTS],
    held: [Vec<String>; ACCOUNTS],
    suspended: [bool; ACCOUNTS],
    prices: HashMap<(usize, Option<usize>), i64>,
    left: [usize; 2],
}

impl Model {
    fn new() -> Self {
        let prices = HashMap::from([((0, None), 100), ((1, None), 200)]);
        let (ledgers, held, suspended) = Default::default();
        Self { ledgers, held, suspended, prices, left: NUMBERS }
    }

    fn balance(&self, account: usize) -> i64 {
        self.ledgers[account].last().map_or(0, |(_, _, after)| *after)
    }

    /// Adds an amount if the balance allows it. Returns whether it does.
    fn transfer(&mut self, account: usize, kind: &'static str, amount: i64) -> bool {
        let after = self.balance(account) + amount;
        let goes = after >= 0;
        if goes {
            self.ledgers[account].push((kind, amount, after));
        }
        goes
    }

    /// The status of the answer to a purchase.
    fn buy(&mut self, account: usize, kind: usize) -> u16 {
        let own = self.prices.get(&(kind, Some(account)));
        let price = *own.unwrap_or_else(|| &self.prices[&(kind, None)]);
        if self.suspended[account] {
            return 403;
        }
        if self.left[kind] == 0 {
            return 400;
        }
        if !self.transfer(account, "purchase", -price) {
            return 402;
        }
        self.left[kind] -= 1;
        201
    }

    fn release(&mut self, account: usize, index: usize) -> Option<String> {
        let held = &mut self.held[account];
        (!held.is_empty()).then(|| held.remove(index % held.len()))
    }
}

async fn credit(world: &World, account: &Account, cents: i64) -> Result<Credited, Denied<numberbank::ledger::Refused>> {
    billing::credit(&world.db, &world.clock, order(account, &Money::from_cents(cents).to_string())).await
}

/// Does the same to the service and to the model.
async fn act(world: &World, accounts: &[Account], model: &mut Model, step: &Step) {
    match *step {
        Step::Credit(account, cents) => {
            let done = credit(world, &accounts[account], cents).await;
            assert_eq!(done.is_ok(), cents > 0 && model.transfer(account, "credit", cents));
        }
        Step::Debit(account, cents) => {
            let done = world.debit(&accounts[account], cents, None).await;
            assert_eq!(done.is_ok(), cents > 0 && model.transfer(account, "debit", -cents));
        }
        Step::Price(kind, account, cents) => {
            let sid = account.map(|account| accounts[account].sid.parse().expect("a Sid"));
            let price = Money::from_cents(cents);
            world.set_price(KINDS[kind], sid, price).await;
            model.prices.insert((kind, account), cents);
        }
        Step::Buy(account, kind) => {
            let path = ["/IncomingPhoneNumbers/Local", "/IncomingPhoneNumbers/TollFree"][kind];
            let answer: Answer = world.server.post(&accounts[account], path, &[]).await;
            assert_eq!(answer.status, model.buy(account, kind), "{}", answer.body);
            model.held[account].extend((answer.status == 201).then(|| answer.element("Sid")));
        }
        Step::Release(account, index) => {
            let Some(sid) = model.release(account, index) else { return };
            world.server.release(&accounts[account], &sid).await.assert_status(204);
        }
        Step::Suspend(account, is) => {
            let sid = accounts[account].sid.parse().expect("a Sid");
            if is {
                accounts::suspend(&world.db, &world.clock, sid, None).await.expect("a suspension");
            } else {
                accounts::activate(&world.db, &world.clock, sid, None).await.expect("an activation");
            }
            model.suspended[account] = is;
        }
    }
}

async fn entries(world: &World, account: &Account) -> Vec<(String, i64, i64)> {
    let entries = "select kind::text, amount, balance_after from ledger_entries
        where 'AC' || replace(account_sid::text, '-', '') = $1 order by id";
    sqlx::query_as(entries).bind(&account.sid).fetch_all(&world.db).await.expect("entries")
}

async fn agree(world: &World, accounts: &[Account], model: &Model) {
    for (index, account) in accounts.iter().enumerate() {
        let balance = Money::from_cents(model.balance(index)).to_string();
        assert_eq!(world.server.balance(account).await, balance);
        let expected = model.ledgers[index].iter().map(|(kind, amount, after)| ((*kind).to_owned(), *amount, *after));
        assert_eq!(entries(world, account).await, expected.collect::<Vec<_>>());
        let list = world.server.get(account, "/IncomingPhoneNumbers").await;
        let mut held = list.elements("Sid");
        held.reverse();
        assert_eq!(held, model.held[index]);
    }
    assert_eq!(audit::audit(&world.db).await.expect("the audit runs"), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_balances_and_ledger_agree_with_the_model(steps in proptest::collection::vec(step(), 1..40)) {
        test(async |world| {
            world.stock(4_158_670_000, 4).await;
            world.stock(8_005_550_100, 2).await;
            let accounts = world.known_accounts(&[&world.server], ACCOUNTS, "0.00").await;
            let mut model = Model::new();
            for step in &steps {
                // So that all times differ: lists are ordered by time.
                world.clock.advance(chrono::TimeDelta::seconds(1));
                act(world, &accounts, &mut model, step).await;
                agree(world, &accounts, &model).await;
            }
        });
    }
}
