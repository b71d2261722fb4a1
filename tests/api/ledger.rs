//! Money: the balance, the ledger and the audit always agree, and the database itself guards that.

use std::collections::HashMap;

use numberbank::billing::Credited;
use numberbank::error::Denied;
use numberbank::values::money::Money;
use numberbank::values::phone::{Kind, PhoneNumber};
use numberbank::values::sid::AccountSid;
use numberbank::{accounts, billing, releases};
use proptest::prelude::*;

use crate::support::{Account, Answer, CLOSING, World, breaches, move_number, order, test};

/// How many main accounts there are, and numbers of each kind.
const MAIN_ACCOUNTS: usize = 3;
const NUMBERS: [i64; 2] = [6, 3];

const KINDS: [Kind; 2] = [Kind::Local, Kind::TollFree];
const AREA_CODES: [&str; 2] = ["415", "800"];

/// Who does a step on an account.
#[derive(Clone, Copy, Debug)]
enum By {
    /// The account itself, by version 2008-08-01.
    Itself,
    /// Who pays for it, by version 2010-04-01: its owner on its path, or a main account itself.
    Payer,
    Operator,
}

/// A step of a test. Kinds are indexes; amounts are cents. Accounts are indexes modulo the count of accounts, which grows,
/// and so are the numbers that one holds.
#[derive(Clone, Debug)]
enum Step {
    Credit(usize, i64),
    Debit(usize, i64),
    Price(usize, Option<usize>, i64),
    Create(usize),
    Buy(usize, By, usize),
    Release(usize, By, usize),
    Move(usize, By, usize, usize),
    Suspend(usize, By, bool),
    Close(usize, By),
}

fn step() -> impl Strategy<Value = Step> {
    let (account, kind, index) = (0..60_usize, 0..KINDS.len(), 0..60_usize);
    let by = || prop_oneof![Just(By::Itself), Just(By::Payer), Just(By::Operator)];
    let by_customer = || prop_oneof![Just(By::Itself), Just(By::Payer)];
    let is = proptest::bool::weighted(0.3);
    prop_oneof![
        4 => (account.clone(), 0..400_i64).prop_map(|(account, cents)| Step::Credit(account, cents)),
        2 => (account.clone(), 0..400_i64).prop_map(|(account, cents)| Step::Debit(account, cents)),
        2 => (kind.clone(), proptest::option::of(account.clone()), 0..300_i64)
            .prop_map(|(kind, account, cents)| Step::Price(kind, account, cents)),
        3 => account.clone().prop_map(Step::Create),
        9 => (account.clone(), by_customer(), kind).prop_map(|(account, by, kind)| Step::Buy(account, by, kind)),
        2 => (account.clone(), by(), index.clone()).prop_map(|(account, by, index)| Step::Release(account, by, index)),
        3 => (account.clone(), by(), index, account.clone())
            .prop_map(|(from, by, index, to)| Step::Move(from, by, index, to)),
        3 => (account.clone(), by(), is).prop_map(|(account, by, is)| Step::Suspend(account, by, is)),
        1 => (account, by()).prop_map(|(account, by)| Step::Close(account, by)),
    ]
}

/// Kind, amount, and the balance after it.
type Entry = (String, i64, i64);

#[derive(Clone, Debug)]
struct Held {
    sid: String,
    number: String,
    kind: usize,
    price: i64,
}

/// An account, as it must be.
#[derive(Clone, Debug, Default)]
struct Member {
    /// The index of the account that owns it.
    owner: Option<usize>,
    ledger: Vec<Entry>,
    held: Vec<Held>,
    by_operator: bool,
    by_owner: bool,
    closed: bool,
}

/// A simple model of what must be true.
struct Model {
    members: Vec<Member>,
    prices: HashMap<(usize, Option<usize>), i64>,
    left: [i64; 2],
}

impl Model {
    fn new() -> Self {
        let prices = HashMap::from([((0, None), 100), ((1, None), 200)]);
        Self { members: vec![Member::default(); MAIN_ACCOUNTS], prices, left: NUMBERS }
    }

    fn payer(&self, at: usize) -> usize {
        self.members[at].owner.unwrap_or(at)
    }

    fn status(&self, at: usize) -> &'static str {
        let member = &self.members[at];
        let with_owner = member.owner.is_some_and(|owner| self.status(owner) != "active");
        match member.closed {
            true => "closed",
            false if member.by_operator || member.by_owner || with_owner => "suspended",
            false => "active",
        }
    }

    fn is_active(&self, at: usize) -> bool {
        self.status(at) == "active"
    }

    fn open_children(&self, of: usize) -> usize {
        self.members.iter().filter(|member| member.owner == Some(of) && !member.closed).count()
    }

    fn balance(&self, at: usize) -> i64 {
        self.members[at].ledger.last().map_or(0, |(_, _, after)| *after)
    }

    /// Adds an amount if the account has money of its own and the balance allows it. Returns whether it does.
    fn enter(&mut self, at: usize, kind: &str, amount: i64) -> bool {
        let after = self.balance(at) + amount;
        let goes = after >= 0 && self.members[at].owner.is_none();
        if goes {
            self.members[at].ledger.push((kind.to_owned(), amount, after));
        }
        goes
    }

    /// The account's own price, else its payer's, else the general one.
    fn price(&self, at: usize, kind: usize) -> i64 {
        let prices = [Some(at), Some(self.payer(at)), None];
        *prices.iter().find_map(|of| self.prices.get(&(kind, *of))).expect("a price")
    }

    /// The status of the answer to a purchase.
    fn buy(&mut self, at: usize, by: By, kind: usize) -> u16 {
        let price = self.price(at, kind);
        match self.status(at) {
            "closed" if matches!(by, By::Itself) => return 401,
            "active" => {}
            _ => return 403,
        }
        if self.left[kind] == 0 {
            return 400;
        }
        if !self.enter(self.payer(at), "purchase", -price) {
            return 402;
        }
        self.left[kind] -= 1;
        201
    }

    /// Takes a held number away.
    fn give(&mut self, at: usize, index: usize) -> Option<Held> {
        let held = &mut self.members[at].held;
        (!held.is_empty()).then(|| held.remove(index % held.len()))
    }

    /// Whether a number may go from the one to the other.
    fn moves(&self, from: usize, by: By, to: usize) -> bool {
        let one_family = self.payer(from) == self.payer(to);
        // A sub-account gives nothing away; its owner does.
        let may = matches!(by, By::Operator) || one_family && (matches!(by, By::Payer) || self.payer(from) == from);
        self.is_active(to) && may
    }

    /// The status of the answer when an account's status is set.
    fn may_set_status(&self, at: usize, by: By) -> u16 {
        let member = &self.members[at];
        match (by, member.owner) {
            (By::Itself | By::Payer, None) => 400,
            (By::Itself, Some(_)) => 403,
            (By::Payer, Some(owner)) if member.closed || !self.is_active(owner) => 400,
            _ => 200,
        }
    }

    fn suspend(&mut self, at: usize, by: By, is: bool) -> u16 {
        let may = match by {
            By::Operator if self.members[at].closed => 400,
            By::Payer if self.members[at].owner.is_some() && !is && self.members[at].by_operator => 400,
            by => self.may_set_status(at, by),
        };
        let member = &mut self.members[at];
        match by {
            _ if may != 200 => {}
            By::Operator if is => member.by_operator = true,
            // The reason of the suspension makes no difference.
            By::Operator => (member.by_operator, member.by_owner) = (false, false),
            By::Itself | By::Payer => member.by_owner = is,
        }
        may
    }

    fn close(&mut self, at: usize, by: By) -> u16 {
        let may = if self.open_children(at) > 0 { 400 } else { self.may_set_status(at, by) };
        if may == 200 {
            self.members[at].closed = true;
            self.members[at].held.clear();
        }
        may
    }
}

/// The service and the model, which are to agree.
struct Scene<'a> {
    world: &'a World,
    accounts: Vec<Account>,
    model: Model,
}

/// 200 for what was done and 400 for any refusal.
fn done<T, E>(result: Result<T, E>) -> u16 {
    if result.is_ok() { 200 } else { 400 }
}

/// The status of an answer. A closed account is let in for half a second more, and then only finds out later that it may
/// not do this.
fn answered(answer: &Answer) -> u16 {
    if answer.status == 401 { 403 } else { answer.status }
}

impl Scene<'_> {
    fn at(&self, index: usize) -> usize {
        index % self.accounts.len()
    }

    fn sid(&self, at: usize) -> AccountSid {
        self.accounts[at].sid.parse().expect("a Sid")
    }

    /// A request below the path of an account.
    async fn ask(&self, by: By, at: usize, method: &str, below: &str, form: &[(&str, &str)]) -> Answer {
        let itself = &self.accounts[at];
        match by {
            By::Itself => self.world.server.act(itself, itself, method, below, form).await,
            _ => self.world.server.act(&self.accounts[self.model.payer(at)], itself, method, below, form).await,
        }
    }

    /// Does the same to the service and to the model.
    async fn act(&mut self, step: &Step) {
        match *step {
            Step::Credit(account, cents) => {
                let at = self.at(account);
                let credited = credit(self.world, &self.accounts[at], cents).await;
                assert_eq!(credited.is_ok(), cents > 0 && self.model.enter(at, "credit", cents));
            }
            Step::Debit(account, cents) => {
                let at = self.at(account);
                let debited = self.world.debit(&self.accounts[at], cents, None).await;
                assert_eq!(debited.is_ok(), cents > 0 && self.model.enter(at, "debit", -cents));
            }
            Step::Price(kind, account, cents) => {
                let at = account.map(|account| self.at(account)).filter(|at| !self.model.members[*at].closed);
                self.world.set_price(KINDS[kind], at.map(|at| self.sid(at)), Money::from_cents(cents)).await;
                self.model.prices.insert((kind, at), cents);
            }
            Step::Create(owner) => self.create(self.at(owner)).await,
            Step::Buy(account, by, kind) => self.buy(self.at(account), by, kind).await,
            Step::Release(account, by, index) => self.release(self.at(account), by, index).await,
            Step::Move(from, by, index, to) => self.transfer(self.at(from), by, index, self.at(to)).await,
            Step::Suspend(account, by, is) => self.suspend(self.at(account), by, is).await,
            Step::Close(account, by) => self.close(self.at(account), by).await,
        }
    }

    async fn create(&mut self, owner: usize) {
        let by = &self.accounts[owner];
        let request = self.world.server.request("POST", "/2010-04-01/Accounts").basic_auth(&by.sid, Some(&by.token));
        let answer = Answer::of(request).await;
        let expected = match self.model.status(owner) {
            "active" if self.model.members[owner].owner.is_none() => 201,
            _ => 403,
        };
        assert_eq!(answered(&answer), expected, "{}", answer.body);
        if answer.status == 201 {
            self.accounts.push(Account { sid: answer.element("Sid"), token: answer.element("AuthToken") });
            self.model.members.push(Member { owner: Some(owner), ..Member::default() });
        }
    }

    async fn buy(&mut self, at: usize, by: By, kind: usize) {
        let answer = if let By::Itself = by {
            let path = ["/IncomingPhoneNumbers/Local", "/IncomingPhoneNumbers/TollFree"][kind];
            self.world.server.post(&self.accounts[at], path, &[]).await
        } else {
            self.ask(by, at, "POST", "/IncomingPhoneNumbers", &[("AreaCode", AREA_CODES[kind])]).await
        };
        let price = self.model.price(at, kind);
        if answer.assert_status(self.model.buy(at, by, kind)).status == 201 {
            let number = answer.element("PhoneNumber").trim_start_matches("+1").to_owned();
            self.model.members[at].held.push(Held { sid: answer.element("Sid"), number, kind, price });
        }
    }

    async fn release(&mut self, at: usize, by: By, index: usize) {
        let Some(held) = self.model.give(at, index) else { return };
        if let By::Operator = by {
            let (db, clock, number) = (&self.world.db, &self.world.clock, phone_number(&held));
            releases::release_by_operator(db, clock, number, None, None).await.expect("a release");
        } else {
            self.ask(by, at, "DELETE", &format!("/IncomingPhoneNumbers/{}", held.sid), &[]).await.assert_status(204);
        }
    }

    async fn transfer(&mut self, from: usize, by: By, index: usize, to: usize) {
        if from == to {
            return;
        }
        let Some(held) = self.model.give(from, index) else { return };
        let may = self.model.moves(from, by, to);
        if let By::Operator = by {
            let (db, clock, number) = (&self.world.db, &self.world.clock, phone_number(&held));
            let moved = move_number(db, clock, number, None, self.sid(to), None).await;
            assert_eq!(moved.is_ok(), may, "{moved:?}");
        } else {
            let (below, to) = (format!("/IncomingPhoneNumbers/{}", held.sid), &self.accounts[to].sid);
            let moved = self.ask(by, from, "POST", &below, &[("AccountSid", to)]).await;
            assert_eq!(moved.status == 200, may, "{}", moved.body);
        }
        self.model.members[if may { to } else { from }].held.push(held);
    }

    async fn suspend(&mut self, at: usize, by: By, is: bool) {
        let (world, sid, status) = (self.world, self.sid(at), if is { "suspended" } else { "active" });
        let answered = match by {
            By::Operator if is => done(accounts::suspend(&world.db, &world.clock, sid, None).await),
            By::Operator => done(accounts::activate(&world.db, &world.clock, sid, None).await),
            by => answered(&self.ask(by, at, "POST", "", &[("Status", status)]).await),
        };
        assert_eq!(answered, self.model.suspend(at, by, is));
    }

    /// Main accounts stay open, because the test needs some money: one is closed only if that is refused.
    async fn close(&mut self, at: usize, by: By) {
        if self.model.members[at].owner.is_none() && self.model.open_children(at) == 0 {
            return;
        }
        let answered = match by {
            By::Operator => {
                let closed = releases::close_account(&self.world.db, &self.world.clock, self.sid(at), CLOSING).await;
                done(closed)
            }
            by => answered(&self.ask(by, at, "POST", "", &[("Status", "closed")]).await),
        };
        assert_eq!(answered, self.model.close(at, by));
    }

    async fn agree(&self) {
        let (seen, entries, open) = (seen(self.world).await, entries(self.world).await, open(self.world).await);
        for (at, (account, member)) in self.accounts.iter().zip(&self.model.members).enumerate() {
            let count = |kind| member.held.iter().filter(|held| held.kind == kind).count();
            let mut held: Vec<_> = member.held.iter().map(|held| held.sid.clone()).collect();
            let expected = Seen {
                status: self.model.status(at).to_owned(),
                balance: self.model.balance(at),
                local_numbers: count(0) as i64,
                tollfree_numbers: count(1) as i64,
                monthly_fees: member.held.iter().map(|held| held.price).sum(),
                sub_accounts: self.model.open_children(at) as i64,
            };
            assert_eq!(seen[&account.sid], expected, "{at}: {member:?}");
            assert_eq!(entries.get(&account.sid).cloned().unwrap_or_default(), member.ledger, "{at}: {member:?}");
            held.sort_unstable();
            assert_eq!(open.get(&account.sid).cloned().unwrap_or_default(), held, "{at}: {member:?}");
        }
        // What the newest one sees itself.
        let mut all = self.accounts.iter().zip(&self.model.members);
        let (account, member) = all.rfind(|(_, member)| !member.closed).expect("main accounts stay open");
        let list = self.world.server.get(account, "/IncomingPhoneNumbers").await;
        assert_eq!(list.elements("Sid").len(), member.held.len());
        assert_eq!(breaches(&self.world.db).await, []);
    }
}

fn phone_number(held: &Held) -> PhoneNumber {
    held.number.parse().expect("a number")
}

async fn credit(world: &World, account: &Account, cents: i64) -> Result<Credited, Denied<numberbank::ledger::Refused>> {
    billing::credit(&world.db, &world.clock, order(account, &Money::from_cents(cents).to_string())).await
}

/// What an account's row says.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Seen {
    status: String,
    balance: i64,
    local_numbers: i64,
    tollfree_numbers: i64,
    monthly_fees: i64,
    sub_accounts: i64,
}

async fn seen(world: &World) -> HashMap<String, Seen> {
    #[derive(sqlx::FromRow)]
    struct Row {
        account: String,
        #[sqlx(flatten)]
        seen: Seen,
    }
    let statement = "select 'AC' || replace(sid::text, '-', '') as account, status::text, balance, local_numbers,
        tollfree_numbers, monthly_fees, sub_accounts from accounts join account_sums on account_sid = sid";
    let rows: Vec<Row> = sqlx::query_as(statement).fetch_all(&world.db).await.expect("accounts");
    rows.into_iter().map(|row| (row.account, row.seen)).collect()
}

/// All entries, by account.
async fn entries(world: &World) -> HashMap<String, Vec<Entry>> {
    let statement = "select 'AC' || replace(account_sid::text, '-', ''), kind::text, amount, balance_after
        from ledger_entries order by id";
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(statement).fetch_all(&world.db).await.expect("entries");
    let mut all = HashMap::<_, Vec<_>>::new();
    for (account, kind, amount, after) in rows {
        all.entry(account).or_default().push((kind, amount, after));
    }
    all
}

/// The Sids of all open tenancies, by account.
async fn open(world: &World) -> HashMap<String, Vec<String>> {
    let statement = "select 'AC' || replace(account_sid::text, '-', ''),
            array_agg('PN' || replace(sid::text, '-', '') order by sid)
        from tenancies where ended_at is null group by account_sid";
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(statement).fetch_all(&world.db).await.expect("tenancies");
    rows.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_balances_and_ledger_agree_with_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        test(async |world| {
            world.stock(4_158_670_000, NUMBERS[0]).await;
            world.stock(8_005_550_100, NUMBERS[1]).await;
            let accounts = world.known_accounts(&[&world.server], MAIN_ACCOUNTS, "0.00").await;
            let mut scene = Scene { world, accounts, model: Model::new() };
            for step in &steps {
                world.clock.advance(chrono::TimeDelta::seconds(1));
                scene.act(step).await;
                scene.agree().await;
            }
        });
    }
}
