//! Years of numbers and their money, against a simple model.

use std::collections::HashMap;

use chrono::{DateTime, Days, Months, NaiveDate, TimeDelta, Utc};
use numberbank::accounts::Reason;
use numberbank::inventory::Quarantine;
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::{audit, inventory, releases};
use proptest::prelude::*;

use crate::support::{Account, World, beginning, test};

const ACCOUNTS: usize = 2;
const NUMBERS: usize = 4;
const PRICES: [i64; 3] = [0, 100, 250];

/// A step of a test. Accounts and tenancies are indexes, those of tenancies modulo their count; amounts are cents.
#[derive(Clone, Debug)]
enum Step {
    Price(usize),
    Buy(usize),
    Release(usize),
    Restore(usize),
    Credit(usize, i64),
    Bill,
    Recycle,
    /// This many days and seconds pass.
    Wait(u64, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let account = 0..ACCOUNTS;
    prop_oneof![
        1 => (0..PRICES.len()).prop_map(Step::Price),
        6 => account.clone().prop_map(Step::Buy),
        2 => (0..20_usize).prop_map(Step::Release),
        2 => (0..20_usize).prop_map(Step::Restore),
        4 => (account, 1..700_i64).prop_map(|(account, cents)| Step::Credit(account, cents)),
        6 => Just(Step::Bill),
        2 => Just(Step::Recycle),
        8 => (0..70_u64, 0..100_000_i64).prop_map(|(days, seconds)| Step::Wait(days, seconds)),
    ]
}

/// The model: what must be true.
#[derive(Clone, Default)]
struct Model {
    now: DateTime<Utc>,
    price: i64,
    ledgers: [Vec<(&'static str, i64)>; ACCOUNTS],
    unpaid_since: [Option<DateTime<Utc>>; ACCOUNTS],
    tenancies: Vec<Tenancy>,
    /// When the numbers in quarantine were released.
    quarantined: HashMap<String, DateTime<Utc>>,
}

#[derive(Clone)]
struct Tenancy {
    sid: String,
    number: String,
    account: usize,
    price: i64,
    started: DateTime<Utc>,
    is_open: bool,
    /// The month that is charged next.
    month: u32,
}

impl Tenancy {
    fn due(&self) -> NaiveDate {
        self.started.date_naive() + Months::new(self.month)
    }
}

impl Model {
    fn balance(&self, account: usize) -> i64 {
        self.ledgers[account].iter().map(|(_, amount)| amount).sum()
    }

    fn buys(&self, account: usize) -> u16 {
        let held = self.tenancies.iter().filter(|tenancy| tenancy.is_open).count();
        match self.balance(account) {
            _ if self.unpaid_since[account].is_some() => 403,
            _ if held + self.quarantined.len() == NUMBERS => 400,
            balance if balance < self.price => 402,
            _ => 201,
        }
    }

    fn buy(&mut self, account: usize, sid: String, number: String) {
        self.ledgers[account].push(("purchase", -self.price));
        let tenancy = Tenancy { sid, number, account, price: self.price, started: self.now, is_open: true, month: 1 };
        self.tenancies.push(tenancy);
    }

    fn release(&mut self, index: usize) {
        self.tenancies[index].is_open = false;
        self.quarantined.insert(self.tenancies[index].number.clone(), self.now);
        self.gone(index, self.tenancies[index].account);
    }

    /// An account that owes nothing any more, because a number has left it, is active again.
    fn gone(&mut self, index: usize, account: usize) {
        let owes = self.due(Some(account)).iter().any(|due| self.tenancies[*due].price > 0);
        if self.tenancies[index].price > 0 && !owes {
            self.unpaid_since[account] = None;
        }
    }

    fn restore(&mut self, index: usize) -> bool {
        let last = self.tenancies.iter().rposition(|other| other.number == self.tenancies[index].number);
        let goes = last == Some(index) && self.quarantined.remove(&self.tenancies[index].number).is_some();
        if goes {
            self.tenancies[index].is_open = true;
            while self.tenancies[index].due() <= self.now.date_naive() {
                self.tenancies[index].month += 1;
            }
        }
        goes
    }

    /// The indexes of the tenancies that are due, the oldest first, of one account or of all.
    fn due(&self, account: Option<usize>) -> Vec<usize> {
        let of = |tenancy: &Tenancy| account.is_none_or(|account| account == tenancy.account);
        let is_due = |tenancy: &Tenancy| tenancy.is_open && tenancy.due() <= self.now.date_naive() && of(tenancy);
        let mut due: Vec<_> = (0..self.tenancies.len()).filter(|index| is_due(&self.tenancies[*index])).collect();
        due.sort_by_key(|index| (self.tenancies[*index].due(), self.tenancies[*index].sid.clone()));
        due
    }

    fn charge(&mut self, index: usize) {
        let Tenancy { account, price, .. } = self.tenancies[index];
        self.ledgers[account].push(("monthly_fee", -price));
        self.tenancies[index].month += 1;
    }

    fn bill(&mut self) {
        let pays = |model: &Self, it: &Tenancy| it.price == 0 || model.unpaid_since[it.account].is_none();
        let owes = |account: &usize| self.due(Some(*account)).iter().any(|index| self.tenancies[*index].price > 0);
        (0..ACCOUNTS).filter(owes).collect::<Vec<_>>().into_iter().for_each(|account| self.settle(account));
        while let Some(index) = self.due(None).into_iter().find(|index| pays(self, &self.tenancies[*index])) {
            let Tenancy { account, price, .. } = self.tenancies[index];
            match price <= self.balance(account) {
                true => self.charge(index),
                false => self.unpaid_since[account] = Some(self.now),
            }
        }
        let long_ago = self.now - Days::new(14);
        for index in self.due(None) {
            let unpaid = self.unpaid_since[self.tenancies[index].account].is_some_and(|since| since <= long_ago);
            if unpaid && self.tenancies[index].due() <= long_ago.date_naive() {
                self.release(index);
            }
        }
    }

    /// Pays all that an unpaid account owes, if its balance covers that.
    fn settle(&mut self, account: usize) {
        let mut paid = self.clone();
        while let Some(index) = paid.due(Some(account)).first() {
            paid.charge(*index);
        }
        paid.unpaid_since[account] = None;
        if self.unpaid_since[account].is_some() && paid.balance(account) >= 0 {
            *self = paid;
        }
    }
}

/// Does the same to the service and to the model.
async fn act(world: &World, accounts: &[Account], model: &mut Model, step: &Step) {
    let index = |index: usize| (!model.tenancies.is_empty()).then(|| index % model.tenancies.len());
    match *step {
        Step::Price(index) => {
            model.price = PRICES[index];
            let price = Money::from_cents(model.price);
            world.set_price(Kind::Local, None, price).await;
        }
        Step::Buy(account) => {
            let answer = world.server.buy(&accounts[account], &[]).await;
            assert_eq!(answer.status, model.buys(account), "{}", answer.body);
            if answer.status == 201 {
                model.buy(account, answer.element("Sid"), answer.element("PhoneNumber"));
            }
        }
        Step::Release(at) => {
            let Some(at) = index(at) else { return };
            let Tenancy { account, sid, is_open, .. } = &model.tenancies[at];
            let answer = world.server.release(&accounts[*account], sid).await;
            assert_eq!(answer.status == 204, *is_open, "{}", answer.body);
            if *is_open {
                model.release(at);
            }
        }
        Step::Restore(at) => {
            let Some(at) = index(at) else { return };
            let sid = model.tenancies[at].sid.parse().expect("a Sid");
            let done = releases::restore(&world.db, &world.clock, sid).await;
            assert_eq!(done.is_ok(), model.restore(at), "{done:?}");
        }
        Step::Credit(account, cents) => {
            world.credit(&accounts[account], &Money::from_cents(cents).to_string()).await;
            model.ledgers[account].push(("credit", cents));
            model.settle(account);
        }
        Step::Bill => {
            let forecast = world.forecast().await;
            assert_eq!(forecast.total, world.bill().await);
            assert_eq!(forecast.fees.iter().filter(|fee| fee.charged).count() as i64, forecast.total.charged);
            model.bill();
        }
        Step::Recycle => {
            let quarantine = Quarantine { local: TimeDelta::days(45), tollfree: TimeDelta::days(45) };
            let forecast = inventory::recyclable(&world.db, world.clock.now(), quarantine).await.expect("a forecast");
            let forecast: i64 = forecast.iter().map(|account| account.recycled).sum();
            assert_eq!(forecast.unsigned_abs(), world.recycle().await);
            let until = model.now - Days::new(45);
            model.quarantined.retain(|_, since| *since > until);
        }
        Step::Wait(days, seconds) => {
            world.clock.advance(TimeDelta::days(days.cast_signed()) + TimeDelta::seconds(seconds));
            model.now = world.clock.now();
        }
    }
}

async fn agree(world: &World, accounts: &[Account], model: &Model) {
    for (index, account) in accounts.iter().enumerate() {
        let entries = "select kind::text, amount from ledger_entries
            where 'AC' || replace(account_sid::text, '-', '') = $1 order by id";
        let entries: Vec<(String, i64)> =
            sqlx::query_as(entries).bind(&account.sid).fetch_all(&world.db).await.expect("entries");
        let expected = model.ledgers[index].iter().map(|(kind, amount)| ((*kind).to_owned(), *amount));
        assert_eq!(entries, expected.collect::<Vec<_>>());
        let reason = model.unpaid_since[index].map(|_| Reason::Unpaid);
        assert_eq!(world.standing(account).await.1, reason);
        let mut held = world.server.get(account, "/IncomingPhoneNumbers").await.elements("Sid");
        let open = model.tenancies.iter().filter(|tenancy| tenancy.is_open && tenancy.account == index);
        let mut expected: Vec<_> = open.map(|tenancy| tenancy.sid.clone()).collect();
        held.sort();
        expected.sort();
        assert_eq!(held, expected);
    }
    let quarantined = "select phone_number::text from stock where state = 'quarantined' order by 1";
    let quarantined: Vec<String> = sqlx::query_scalar(quarantined).fetch_all(&world.db).await.expect("numbers");
    let mut expected: Vec<_> = model.quarantined.keys().cloned().collect();
    expected.sort();
    assert_eq!(quarantined, expected);
    assert_eq!(audit::audit(&world.db).await.expect("the audit runs"), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_over_the_years_agrees_with_the_model(steps in proptest::collection::vec(step(), 40..90)) {
        test(async |world| {
            world.stock(4_158_670_000, 4).await;
            let accounts = world.known_accounts(&[&world.server], ACCOUNTS, "0.00").await;
            let mut model = Model { now: beginning(), price: 100, ..Model::default() };
            for step in &steps {
                // No two purchases at the same time: their order would be undefined.
                world.clock.advance(TimeDelta::seconds(1));
                model.now = world.clock.now();
                act(world, &accounts, &mut model, step).await;
                agree(world, &accounts, &model).await;
            }
        });
    }
}
