//! Years of numbers and their money, against a simple model.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Days, Months, NaiveDate, TimeDelta, Utc};
use numberbank::accounts::Reason;
use numberbank::inventory::Retirement;
use numberbank::numbers::Settings;
use numberbank::values::chance::Chance;
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::values::phone::PhoneNumber;
use numberbank::{billing, inventory, ledger, purchases, releases};
use proptest::prelude::*;

use crate::support::{Account, World, beginning, breaches, move_number, order, test};

const ACCOUNTS: usize = 2;
const FIRST: i64 = 4_158_670_000;
const NUMBERS: usize = 4;
const PRICES: [i64; 3] = [0, 100, 250];

/// A step of a test. Accounts, tenancies and numbers are indexes, those of tenancies modulo their count; amounts are
/// cents.
#[derive(Clone, Debug)]
enum Step {
    Price(usize),
    Buy(usize),
    Release(usize),
    Restore(usize),
    /// The operator ends whatever tenancy the number has.
    OperatorRelease(usize),
    /// The operator moves a tenancy to an account.
    Move(usize, usize),
    /// The operator sells a number, at this price if there is one.
    Assign(usize, usize, Option<i64>),
    Retire(usize),
    Return(usize, bool),
    Credit(usize, i64),
    Debit(usize, i64),
    /// To the next account.
    Transfer(usize, i64),
    /// The operator's entry at this index, modulo their count.
    Reverse(usize),
    Bill,
    Recycle,
    /// This many days and seconds pass.
    Wait(u64, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let account = 0..ACCOUNTS;
    let (tenancy, number) = (0..20_usize, 0..NUMBERS);
    let price = proptest::option::of(0..300_i64);
    let assign = (account.clone(), number.clone(), price);
    prop_oneof![
        1 => (0..PRICES.len()).prop_map(Step::Price),
        6 => account.clone().prop_map(Step::Buy),
        2 => tenancy.clone().prop_map(Step::Release),
        2 => tenancy.clone().prop_map(Step::Restore),
        2 => number.clone().prop_map(Step::OperatorRelease),
        4 => (tenancy, account.clone()).prop_map(|(tenancy, account)| Step::Move(tenancy, account)),
        3 => assign.prop_map(|(account, number, price)| Step::Assign(account, number, price)),
        1 => number.clone().prop_map(Step::Retire),
        2 => (number, any::<bool>()).prop_map(|(number, force)| Step::Return(number, force)),
        4 => (account.clone(), 1..700_i64).prop_map(|(account, cents)| Step::Credit(account, cents)),
        1 => (account.clone(), 1..400_i64).prop_map(|(account, cents)| Step::Debit(account, cents)),
        2 => (account, 1..400_i64).prop_map(|(account, cents)| Step::Transfer(account, cents)),
        3 => (0..20_usize).prop_map(Step::Reverse),
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
    /// Retired numbers, and when those that came out of a quarantine were released.
    retired: BTreeMap<String, Option<DateTime<Utc>>>,
    /// Who held which number from when to when.
    held: Vec<Held>,
    /// Credits and debits that are not reversed: id, account and sum.
    entered: Vec<(i64, usize, i64)>,
}

/// A number, its account, and from when to when that held it.
type Held<A = usize> = (String, A, DateTime<Utc>, Option<DateTime<Utc>>);

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

    /// Adds an operator's credit or debit, if the balance allows it, and what follows; whether it does.
    fn enter(&mut self, account: usize, cents: i64) -> bool {
        let goes = self.balance(account) + cents >= 0;
        if goes {
            self.ledgers[account].push((if cents > 0 { "credit" } else { "debit" }, cents));
        }
        if cents > 0 {
            self.settle(account);
        }
        goes
    }

    /// The tenancy that a number has.
    fn open(&self, number: &str) -> Option<usize> {
        self.tenancies.iter().position(|tenancy| tenancy.is_open && tenancy.number == number)
    }

    fn is_on_sale(&self, number: &str) -> bool {
        let is_out = self.quarantined.contains_key(number) || self.retired.contains_key(number);
        !is_out && self.open(number).is_none()
    }

    /// The status of the answer to an order, for the next number or for this one.
    fn buys(&self, account: usize, wanted: Option<&str>, price: i64) -> u16 {
        let is_there = match wanted {
            Some(number) => self.is_on_sale(number),
            None => numbers().any(|number| self.is_on_sale(&number.to_string())),
        };
        match self.balance(account) {
            _ if self.unpaid_since[account].is_some() => 403,
            _ if !is_there => 400,
            balance if balance < price => 402,
            _ => 201,
        }
    }

    fn buy(&mut self, account: usize, sid: String, number: String, price: i64) {
        self.ledgers[account].push(("purchase", -price));
        self.holds(&number, account);
        self.tenancies.push(Tenancy { sid, number, account, price, started: self.now, is_open: true, month: 1 });
    }

    fn holds(&mut self, number: &str, account: usize) {
        self.held.push((number.to_owned(), account, self.now, None));
    }

    fn holds_no_more(&mut self, number: &str) {
        let held = self.held.iter_mut().find(|(held, _, _, until)| held == number && until.is_none());
        held.expect("a holder").3 = Some(self.now);
    }

    fn release(&mut self, index: usize) {
        self.tenancies[index].is_open = false;
        let number = self.tenancies[index].number.clone();
        self.holds_no_more(&number);
        self.quarantined.insert(number, self.now);
        self.gone(index, self.tenancies[index].account);
    }

    fn operator_release(&mut self, number: &str) -> bool {
        let open = self.open(number);
        open.into_iter().for_each(|index| self.release(index));
        open.is_some()
    }

    fn transfer(&mut self, index: usize, to: usize) -> bool {
        let Tenancy { account, is_open, ref number, .. } = self.tenancies[index];
        let goes = is_open && account != to && self.unpaid_since[to].is_none();
        if goes {
            let number = number.clone();
            self.holds_no_more(&number);
            self.holds(&number, to);
            self.tenancies[index].account = to;
            self.gone(index, account);
        }
        goes
    }

    fn retire(&mut self, number: String) -> bool {
        let goes = self.open(&number).is_none();
        if goes && !self.retired.contains_key(&number) {
            let released = self.quarantined.remove(&number);
            self.retired.insert(number, released);
        }
        goes
    }

    /// Puts a number back, where it was before it was retired.
    fn put_back(&mut self, number: &str, force: bool) -> bool {
        match self.retired.get(number).copied() {
            Some(_) if !force => false,
            Some(released) => {
                self.retired.remove(number);
                self.quarantined.extend(released.map(|since| (number.to_owned(), since)));
                true
            }
            None => self.is_on_sale(number),
        }
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
            let Tenancy { account, number, .. } = self.tenancies[index].clone();
            self.holds(&number, account);
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

/// All numbers.
fn numbers() -> impl Iterator<Item = PhoneNumber> {
    (FIRST..).take(NUMBERS).map(|digits| PhoneNumber::new(digits).expect("a number"))
}

fn number(index: usize) -> PhoneNumber {
    numbers().nth(index).expect("a number")
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
            assert_eq!(answer.status, model.buys(account, None, model.price), "{}", answer.body);
            if answer.status == 201 {
                model.buy(account, answer.element("Sid"), answer.element("PhoneNumber"), model.price);
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
        Step::OperatorRelease(index) => {
            let ended = releases::release_by_operator(&world.db, &world.clock, number(index), None, None).await;
            assert_eq!(ended.is_ok(), model.operator_release(&number(index).to_string()), "{ended:?}");
        }
        Step::Move(at, to) => {
            let Some(at) = index(at) else { return };
            let Tenancy { sid, number, .. } = &model.tenancies[at];
            let (sid, number) = (sid.parse().expect("a Sid"), number.parse().expect("a number"));
            let taker = accounts[to].sid.parse().expect("a Sid");
            let done = move_number(&world.db, &world.clock, number, Some(sid), taker, Some("sold")).await;
            assert_eq!(done.is_ok(), model.transfer(at, to), "{done:?}");
        }
        Step::Assign(account, index, cents) => {
            let (sid, number) = (accounts[account].sid.parse().expect("a Sid"), number(index));
            let price = cents.map(Money::from_cents);
            let done =
                purchases::assign(&world.db, &world.clock, &Chance::System, sid, number, price, Settings::default())
                    .await;
            let price = cents.unwrap_or(model.price);
            assert_eq!(done.is_ok(), model.buys(account, Some(&number.to_string()), price) == 201, "{done:?}");
            if let Ok(sold) = done {
                model.buy(account, sold.sid.to_string(), number.to_string(), price);
            }
        }
        Step::Retire(index) => {
            let (numbers, reason) = ([number(index)], Retirement::Returned);
            let done = inventory::retire(&world.db, &world.clock, &numbers, reason, None).await;
            assert_eq!(done.is_ok(), model.retire(number(index).to_string()), "{done:?}");
        }
        Step::Return(index, force) => {
            let done = inventory::put_back(&world.db, &world.clock, &[number(index)], force).await;
            assert_eq!(done.is_ok(), model.put_back(&number(index).to_string(), force), "{done:?}");
        }
        Step::Credit(..) | Step::Debit(..) | Step::Transfer(..) | Step::Reverse(_) => {
            move_money(world, accounts, model, step).await;
        }
        Step::Bill => {
            let forecast = world.forecast().await;
            assert_eq!(forecast.total, world.bill().await);
            assert_eq!(forecast.fees.iter().filter(|fee| fee.charged).count() as i64, forecast.total.charged);
            model.bill();
        }
        Step::Recycle => {
            let (forecast, all) = world.recyclable().await;
            assert_eq!(forecast.iter().map(|account| account.recycled).sum::<i64>(), all);
            assert_eq!(all.unsigned_abs(), world.recycle().await);
            let until = model.now - Days::new(45);
            model.quarantined.retain(|_, since| *since > until);
        }
        Step::Wait(days, seconds) => {
            world.clock.advance(TimeDelta::days(days.cast_signed()) + TimeDelta::seconds(seconds));
            model.now = world.clock.now();
        }
    }
}

/// The steps of an operator who moves money.
async fn move_money(world: &World, accounts: &[Account], model: &mut Model, step: &Step) {
    match *step {
        Step::Credit(account, cents) => {
            let credited = world.credit(&accounts[account], &Money::from_cents(cents).to_string()).await;
            model.entered.push((credited.entry, account, cents));
            model.enter(account, cents);
        }
        Step::Debit(account, cents) => {
            let order = order(&accounts[account], &Money::from_cents(cents).to_string());
            let done = ledger::debit(&world.db, &world.clock, order).await;
            model.entered.extend(done.as_ref().map(|debited| (debited.entry, account, -cents)));
            assert_eq!(done.is_ok(), model.enter(account, -cents), "{done:?}");
        }
        Step::Transfer(from, cents) => {
            let to = (from + 1) % ACCOUNTS;
            let order = order(&accounts[from], &Money::from_cents(cents).to_string());
            let done =
                billing::transfer(&world.db, &world.clock, order, accounts[to].sid.parse().expect("a Sid")).await;
            assert_eq!(done.is_ok(), model.enter(from, -cents) && model.enter(to, cents), "{done:?}");
        }
        Step::Reverse(at) => {
            let Some(at) = (!model.entered.is_empty()).then(|| at % model.entered.len()) else { return };
            let (entry, account, cents) = model.entered[at];
            let done = billing::reverse(&world.db, &world.clock, entry, None).await;
            assert_eq!(done.is_ok(), model.enter(account, -cents), "{done:?}");
            if done.is_ok() {
                model.entered.remove(at);
                billing::reverse(&world.db, &world.clock, entry, None).await.expect_err("it is reversed");
            }
        }
        _ => panic!("{step:?} moves no money"),
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
    let retired = "select phone_number::text from stock where state = 'retired' order by 1";
    let retired: Vec<String> = sqlx::query_scalar(retired).fetch_all(&world.db).await.expect("numbers");
    assert_eq!(retired, model.retired.keys().cloned().collect::<Vec<_>>());
    let held = "select phone_number::text, account_sid, held_from, held_until from reporting.holdings order by 1, 2, 3";
    let held: Vec<Held<String>> = sqlx::query_as(held).fetch_all(&world.db).await.expect("holdings");
    let expected = model
        .held
        .iter()
        .map(|(number, account, from, until)| (number.clone(), accounts[*account].sid.clone(), *from, *until));
    let mut expected: Vec<_> = expected.collect();
    expected.sort();
    assert_eq!(held, expected);
    assert_eq!(breaches(&world.db).await, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_over_the_years_agrees_with_the_model(steps in proptest::collection::vec(step(), 40..90)) {
        test(async |world| {
            world.stock(FIRST, NUMBERS as i64).await;
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
