//! Monthly fees of families against a model: what the accounts of a family hold is paid from one balance.

use std::collections::{BTreeSet, HashMap};

use chrono::{Months, NaiveDate, TimeDelta};
use numberbank::accounts::{Reason, Status};
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::values::sid::AccountSid;
use numberbank::{accounts, releases};
use proptest::prelude::*;

use crate::support::{Account, CLOSING, World, breaches, test};

/// Two families: which account owns which.
const OWNERS: [Option<usize>; 5] = [None, Some(0), Some(0), None, Some(3)];
const PRICES: [i64; 2] = [100, 200];
const PATHS: [&str; 2] = ["/IncomingPhoneNumbers/Local", "/IncomingPhoneNumbers/TollFree"];
const GRACE: TimeDelta = TimeDelta::days(14);

/// Accounts and kinds are indexes. A held number is named by its place, modulo their count.
#[derive(Clone, Debug)]
enum Step {
    Buy(usize, usize),
    Release(usize),
    Move(usize, usize),
    Credit(usize, i64),
    Close(usize),
    Pass(i64),
    Bill,
}

fn step() -> impl Strategy<Value = Step> {
    let (account, place) = (0..OWNERS.len(), 0..60_usize);
    prop_oneof![
        6 => (account.clone(), 0..PRICES.len()).prop_map(|(account, kind)| Step::Buy(account, kind)),
        1 => place.clone().prop_map(Step::Release),
        2 => (place, account.clone()).prop_map(|(place, to)| Step::Move(place, to)),
        3 => (account.clone(), 1..600_i64).prop_map(|(account, cents)| Step::Credit(account, cents)),
        1 => account.prop_map(Step::Close),
        3 => (1..40_i64).prop_map(Step::Pass),
        5 => Just(Step::Bill),
    ]
}

/// A number that is held.
#[derive(Clone, Debug)]
struct Held {
    sid: String,
    holder: usize,
    price: i64,
    from: NaiveDate,
    /// The month that is to be paid next.
    month: u32,
}

impl Held {
    fn due_on(&self) -> NaiveDate {
        self.from + Months::new(self.month)
    }

    /// How many months are due on a day, counted one by one.
    fn months_due(&self, day: NaiveDate) -> i64 {
        (self.month..999).take_while(|month| self.from + Months::new(*month) <= day).count() as i64
    }
}

/// A simple model of the fees. What belongs to a payer is at its index.
#[derive(Default)]
struct Model {
    held: Vec<Held>,
    balance: [i64; 5],
    unpaid_since: [Option<NaiveDate>; 5],
    closed: BTreeSet<usize>,
    /// Who paid how much for which month of which number, in the order in which a payer paid.
    fees: HashMap<usize, Vec<(String, u32, i64)>>,
}

fn payer(at: usize) -> usize {
    OWNERS[at].unwrap_or(at)
}

impl Model {
    fn is_active(&self, at: usize) -> bool {
        self.unpaid_since[payer(at)].is_none() && !self.closed.contains(&at)
    }

    fn of_payer(&self, at: usize) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |held| payer(held.holder) == at)
    }

    /// What an unpaid payer owes: what was due when it could not pay, or is due today.
    fn owed(&self, at: usize, today: NaiveDate) -> i64 {
        let day = self.unpaid_since[at].map_or(today, |since| since.max(today));
        self.of_payer(at).map(|held| held.price * held.months_due(day)).sum()
    }

    /// Pays the next month of a number.
    fn pay(&mut self, sid: &str) {
        let held = self.held.iter_mut().find(|held| held.sid == sid).expect("a held number");
        let (payer, price, month) = (payer(held.holder), held.price, held.month);
        held.month += 1;
        self.balance[payer] -= price;
        self.fees.entry(payer).or_default().push((sid.to_owned(), month, price));
    }

    /// The number that is due first, of one day that with the lowest Sid.
    fn first_due(&self, payer: usize, by: NaiveDate) -> Option<Held> {
        let due = self.of_payer(payer).filter(|held| held.due_on() <= by);
        due.min_by_key(|held| (held.due_on(), held.sid.clone())).cloned()
    }

    /// Pays all that an unpaid payer owes, if its balance covers that.
    fn settle(&mut self, payer: usize, today: NaiveDate) {
        let Some(since) = self.unpaid_since[payer] else { return };
        if self.owed(payer, today) > self.balance[payer] {
            return;
        }
        while let Some(held) = self.first_due(payer, since.max(today)) {
            self.pay(&held.sid);
        }
        self.unpaid_since[payer] = None;
    }

    /// Numbers are taken out of the model. A payer that owes nothing any more is active again.
    fn lose(&mut self, today: NaiveDate, leaves: impl Fn(&Held) -> bool) -> usize {
        let (gone, kept) = std::mem::take(&mut self.held).into_iter().partition::<Vec<_>, _>(leaves);
        self.held = kept;
        for payer in gone.iter().map(|held| payer(held.holder)) {
            if self.owed(payer, today) == 0 {
                self.unpaid_since[payer] = None;
            }
        }
        gone.len()
    }

    fn bill(&mut self, today: NaiveDate) {
        for payer in [0, 3] {
            self.settle(payer, today);
            self.charge(payer, today);
        }
        let overdue = today - GRACE;
        let late = self.unpaid_since.map(|since| since.is_some_and(|since| since <= overdue));
        self.lose(today, |held| late[payer(held.holder)] && held.due_on() <= overdue);
    }

    /// Charges what is due, day by day, until a day comes that the balance does not cover as a whole.
    fn charge(&mut self, payer: usize, today: NaiveDate) {
        while let Some(first) = self.first_due(payer, today).filter(|_| self.unpaid_since[payer].is_none()) {
            let of_day: Vec<_> = self.of_payer(payer).filter(|held| held.due_on() == first.due_on()).cloned().collect();
            let mut of_day: Vec<_> = of_day.into_iter().map(|held| (held.sid, held.price)).collect();
            of_day.sort();
            let mut left = self.balance[payer];
            for (sid, price) in of_day {
                left -= price;
                if left >= 0 {
                    self.pay(&sid);
                } else {
                    self.unpaid_since[payer] = Some(today);
                }
            }
        }
    }
}

/// The service and the model, which are to agree.
struct Scene<'a> {
    world: &'a World,
    accounts: Vec<Account>,
    model: Model,
}

impl<'a> Scene<'a> {
    async fn new(world: &'a World) -> Self {
        world.stock(4_158_670_000, 40).await;
        world.stock(8_005_550_100, 40).await;
        let mut accounts: Vec<Account> = Vec::new();
        for owner in OWNERS {
            accounts.push(match owner {
                Some(owner) => world.child(&accounts[owner]).await,
                None => world.account("5.00").await,
            });
        }
        let model = Model { balance: [500, 0, 0, 500, 0], ..Model::default() };
        Self { world, accounts, model }
    }

    fn sid(&self, at: usize) -> AccountSid {
        self.accounts[at].sid.parse().expect("a Sid")
    }

    fn today(&self) -> NaiveDate {
        self.world.clock.now().date_naive()
    }

    /// Does the same to the service and to the model.
    async fn act(&mut self, step: &Step) {
        let (world, today) = (self.world, self.today());
        match *step {
            Step::Buy(at, kind) => self.buy(at, kind).await,
            Step::Release(place) => {
                let Some(held) = self.place(place) else { return };
                world.server.release(&self.accounts[held.holder], &held.sid).await.assert_status(204);
                self.model.lose(today, |it| it.sid == held.sid);
            }
            Step::Move(place, to) => self.transfer(place, to).await,
            Step::Credit(at, cents) => {
                let dollars = Money::from_cents(cents).to_string();
                world.credit(&self.accounts[payer(at)], &dollars).await;
                self.model.balance[payer(at)] += cents;
                self.model.settle(payer(at), today);
            }
            Step::Close(at) if OWNERS[at].is_some() => {
                releases::close_account(&world.db, &world.clock, self.sid(at), CLOSING).await.expect("it is closed");
                self.model.closed.insert(at);
                self.model.lose(today, |held| held.holder == at);
            }
            Step::Close(_) => {}
            Step::Pass(days) => world.clock.advance(TimeDelta::days(days)),
            Step::Bill => {
                let forecast = world.forecast().await;
                assert_eq!(forecast.total, world.bill().await);
                self.model.bill(today);
            }
        }
    }

    fn place(&self, place: usize) -> Option<Held> {
        let held = &self.model.held;
        (!held.is_empty()).then(|| held[place % held.len()].clone())
    }

    async fn buy(&mut self, at: usize, kind: usize) {
        let price = PRICES[kind];
        let answer = self.world.server.post(&self.accounts[at], PATHS[kind], &[]).await;
        let expected = match (self.model.is_active(at), self.model.balance[payer(at)] >= price) {
            _ if self.model.closed.contains(&at) => 401,
            (false, _) => 403,
            (true, false) => 402,
            (true, true) => 201,
        };
        if answer.assert_status(expected).status == 201 {
            self.model.balance[payer(at)] -= price;
            let (sid, from) = (answer.element("Sid"), self.today());
            self.model.held.push(Held { sid, holder: at, price, from, month: 1 });
        }
    }

    /// What it owes goes with the number: only another family takes it over.
    async fn transfer(&mut self, place: usize, to: usize) {
        let Some(held) = self.place(place).filter(|held| held.holder != to) else { return };
        let number = "select phone_number::text from tenancies where sid = $1::text::uuid";
        let number = sqlx::query_scalar::<_, String>(number).bind(&held.sid[2..]).fetch_one(&self.world.db).await;
        let number = number.expect("a number").parse().expect("digits");
        let moved =
            crate::support::move_number(&self.world.db, &self.world.clock, number, None, self.sid(to), None).await;
        assert_eq!(moved.is_ok(), self.model.is_active(to), "{moved:?}");
        if moved.is_ok() {
            self.model.lose(self.today(), |it| it.sid == held.sid);
            self.model.held.push(Held { holder: to, ..held });
        }
    }

    async fn agree(&self) {
        let model = &self.model;
        for (at, owner) in OWNERS.iter().enumerate() {
            let account = accounts::find(&self.world.db, self.sid(at)).await.expect("an account");
            let of = |price| model.held.iter().filter(|held| held.holder == at && held.price == price).count() as i64;
            let numbers = (account.local_numbers, account.tollfree_numbers);
            assert_eq!((account.balance.cents(), numbers), (model.balance[at], (of(100), of(200))), "{at}");
            let since = account.unpaid_since.map(|since| since.date_naive());
            assert_eq!((account.status, since), (self.status(at), model.unpaid_since[at]), "{at}");
            let with_owner = owner.is_some() && account.status == Status::Suspended;
            assert_eq!(account.reason == Some(Reason::Owner), with_owner);
            assert_eq!(fees(self.world, &self.accounts[at]).await, model.fees.get(&at).cloned().unwrap_or_default());
        }
        assert_eq!(breaches(&self.world.db).await, []);
    }

    fn status(&self, at: usize) -> Status {
        match self.model.closed.contains(&at) {
            true => Status::Closed,
            false if self.model.is_active(at) => Status::Active,
            false => Status::Suspended,
        }
    }
}

/// The fees that an account has paid, in their order.
async fn fees(world: &World, account: &Account) -> Vec<(String, u32, i64)> {
    let statement = "select 'PN' || replace(tenancy_sid::text, '-', ''), month::integer, -amount from ledger_entries
        where account_sid = $1::text::uuid and kind = 'monthly_fee' order by id";
    let rows: Vec<(String, i32, i64)> =
        sqlx::query_as(statement).bind(&account.sid[2..]).fetch_all(&world.db).await.expect("fees");
    rows.into_iter().map(|(sid, month, cents)| (sid, month.unsigned_abs(), cents)).collect()
}

/// After the number of one sub-account was released, the balance covers that of another one.
#[test]
fn a_run_activates_a_family_whose_fees_the_balance_covers() {
    test(async |world| {
        world.on("2008-01-24T12:00:00Z");
        world.stock(4_158_670_000, 2).await;
        let owner = world.account("6.00").await;
        for (day, cents) in [("2008-01-24T12:00:00Z", 300), ("2008-02-03T12:00:00Z", 100)] {
            world.on(day);
            world.set_price(Kind::Local, None, Money::from_cents(cents)).await;
            let child = world.child(&owner).await;
            world.server.buy(&child, &[]).await.assert_status(201);
        }
        let mut told = Vec::new();
        for day in ["2008-02-24T12:00:00Z", "2008-03-03T12:00:00Z", "2008-03-09T12:00:00Z", "2008-03-09T12:00:01Z"] {
            world.on(day);
            let forecast = world.forecast().await;
            let billed = world.bill().await;
            assert_eq!(forecast.total, billed);
            told.push([billed.suspended, billed.released.cast_signed(), billed.activated, billed.charged]);
        }
        assert_eq!(told, [[1, 0, 0, 0], [0; 4], [0, 1, 0, 0], [0, 0, 1, 1]]);
        assert_eq!(world.server.balance(&owner).await, "1.00");
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_family_s_fees_are_those_of_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        test(async |world| {
            let mut scene = Scene::new(world).await;
            for step in &steps {
                world.clock.advance(TimeDelta::seconds(1));
                scene.act(step).await;
                scene.agree().await;
            }
        });
    }
}
