//! Support for all tests: one PostgreSQL for the process, a database and a server for each test.

mod cluster;
mod large;
pub mod proxy;
mod raw;
pub mod slow;
mod xml;

pub use raw::{Connection, Reply};

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use numberbank::accounts::keys::Scope;
use numberbank::accounts::{Leftover, Reason, Said, Status, families, keys};
use numberbank::app;
use numberbank::audit::{self, Breach, Extent};
use numberbank::billing::{Billed, Credited, Fee, Foreseen, Outlook};
use numberbank::db::{self, Db};
use numberbank::error::Denied;
use numberbank::inventory::{Price, Priced, Quarantine, Recyclable};
use numberbank::ledger::{self, Order, Repeated};
use numberbank::numbers::Biography;
use numberbank::releases::{self, Closing, Moving};
use numberbank::values::chance::Chance;
use numberbank::values::clock::Clock;
use numberbank::values::money::Money;
use numberbank::values::phone::{Kind, PhoneNumber};
use numberbank::values::sid::{AccountSid, NumberSid};
use numberbank::{accounts, billing, inventory};
use reqwest::header::{DATE, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use sqlx::postgres::PgConnectOptions;

/// The time at which every test begins: that of the examples in Twilio's document.
pub fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_207_074_392, 0).expect("a time")
}

/// What a run of the fees would do.
#[derive(Default)]
pub struct Forecast {
    pub total: Billed,
    pub accounts: Vec<Outlook>,
    pub fees: Vec<Fee>,
}

/// Takes rows one by one into a list.
pub fn taken<T>(rows: &mut Vec<T>) -> impl FnMut(T) -> numberbank::error::Result<()> {
    |row| {
        rows.push(row);
        Ok(())
    }
}

/// Every parameter of a purchase.
pub const PARAMETERS: [&str; 11] = [
    "AreaCode",
    "FriendlyName",
    "Url",
    "Method",
    "VoiceFallbackUrl",
    "VoiceFallbackMethod",
    "SmsUrl",
    "SmsMethod",
    "SmsFallbackUrl",
    "SmsFallbackMethod",
    "VoiceCallerIdLookup",
];

/// Runs a test against a server of its own, and audits the database afterwards.
pub fn test(body: impl AsyncFnOnce(&World)) {
    test_without_audit(async |world| {
        body(world).await;
        for extent in [Extent::Open, Extent::Open, Extent::Full] {
            assert_eq!(audited(&world.db, extent).await, [], "the invariants hold");
        }
    });
}

/// What an audit finds, after all months in which a test writes.
pub async fn audited(db: &Db, extent: Extent) -> Vec<Breach> {
    let later = DateTime::from_timestamp(4_102_444_800, 0).expect("a time");
    audit::audit(db, extent, later).await.expect("the audit runs")
}

/// What a full audit finds.
pub async fn breaches(db: &Db) -> Vec<Breach> {
    audited(db, Extent::Full).await
}

/// Runs a test that breaks invariants on purpose.
pub fn test_without_audit(body: impl AsyncFnOnce(&World)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new().await;
        body(&world).await;
        world.end().await;
    });
}

/// Waits until a condition is true, and fails if it takes much too long.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_mins(1), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Fails if even the quickest of several tries takes longer than was promised. A slow machine has a quick moment; a
/// slow program has none.
pub async fn within(promised: Duration, what: &str, mut attempt: impl AsyncFnMut() -> Duration) {
    let mut least = Duration::MAX;
    for _ in 0..5 {
        least = least.min(attempt().await);
        if least < promised {
            return;
        }
    }
    panic!("{what}: {least:?}, where {promised:?} are promised");
}

/// Does the work, and measures its time.
pub async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let begun = Instant::now();
    let outcome = work.await;
    (begun.elapsed(), outcome)
}

/// A database with a server before it.
pub struct World {
    pub server: Server,
    /// For direct access to the database.
    pub db: Db,
    pub clock: Clock,
    pub options: PgConnectOptions,
    name: String,
}

/// An instance of the service.
pub struct Server {
    pub site: String,
    pub client: Client,
    handle: actix_web::dev::ServerHandle,
}

/// A closing that releases all numbers and leaves the balance alone.
pub const CLOSING: Closing<'static> =
    Closing { releases: true, leftover: Some(Leftover::Kept), said: Said::by_operator(None), shown: None };

/// An order of so much, which may be repeated.
pub fn order<'a>(account: &Account, dollars: &str) -> Order<'a> {
    let (account, amount) = (account.sid.parse().expect("a Sid"), dollars.parse().expect("an amount"));
    Order { account, to: None, amount, note: None, repeated: Repeated::Done }
}

/// Moves a number to another account, as an operator does. Returns all that is known of it.
pub async fn move_number(
    db: &Db,
    clock: &Clock,
    number: PhoneNumber,
    sid: Option<NumberSid>,
    to: AccountSid,
    note: Option<&str>,
) -> Result<Biography, Denied<releases::Refused>> {
    releases::transfer_and_tell(db, clock, Moving { number, sid, holder: None, to, note }).await
}

/// An account and its token in clear text.
#[derive(Clone)]
pub struct Account {
    pub sid: String,
    pub token: String,
}

/// An API key and its secret in clear text.
#[derive(Clone)]
pub struct ApiKey {
    pub sid: String,
    pub secret: String,
}

static DATABASES: AtomicU32 = AtomicU32::new(0);

impl World {
    async fn new() -> Self {
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let options = cluster::create_database(&name).await;
        let clock = Clock::frozen(beginning());
        let server = Server::start(&options, &clock);
        Self { server, db: db::for_command(&options), clock, options, name }
    }

    async fn end(self) {
        self.server.stop().await;
        self.db.close().await;
        cluster::drop_database(&self.name).await;
    }

    /// A second instance of the service on the same database.
    pub fn another_server(&self) -> Server {
        Server::start(&self.options, &self.clock)
    }

    /// A new account with this balance in dollars.
    pub async fn account(&self, balance: &str) -> Account {
        let balance: Money = balance.parse().expect("an amount");
        let name = "Test".parse().expect("a name");
        let created = accounts::create(&self.db, &self.clock, &name, balance).await.expect("an account");
        Account { sid: created.sid.to_string(), token: created.auth_token.reveal().to_owned() }
    }

    /// A new sub-account of a main account.
    pub async fn child(&self, owner: &Account) -> Account {
        let (owner, name) = (owner.sid.parse().expect("a Sid"), "Child".parse().expect("a name"));
        let made = families::create(&self.db, &self.clock, owner, &name).await.expect("a sub-account");
        Account { sid: made.account.sid.to_string(), token: made.auth_token.reveal().to_owned() }
    }

    /// A new API key of an account.
    pub async fn key(&self, account: &Account, scope: Scope) -> ApiKey {
        let account = account.sid.parse().expect("a Sid");
        let made = keys::create(&self.db, &self.clock, account, None, scope).await.expect("a key");
        ApiKey { sid: made.key.sid.to_string(), secret: made.secret.reveal().to_owned() }
    }

    /// Accounts whose tokens these servers have cached already, so that a test's requests do not wait for the gate.
    pub async fn known_accounts(&self, servers: &[&Server], count: usize, balance: &str) -> Vec<Account> {
        let accounts = (0..count).map(|_| async {
            let account = self.account(balance).await;
            for server in servers {
                server.get(&account, "").await.assert_status(200);
            }
            account
        });
        futures_util::stream::iter(accounts).buffered(8).collect().await
    }

    /// The single value of a query.
    pub async fn value<T>(&self, statement: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(statement).fetch_one(&self.db).await.expect("a value")
    }

    /// How many statements wait for locks.
    pub async fn waiting(&self) -> i64 {
        let statement = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        self.value(statement).await
    }

    /// Adds `count` numbers to the stock, from this one on.
    pub async fn stock(&self, first: i64, count: i64) {
        let added = inventory::add(&self.db, &self.clock, &[first..=first + count - 1], |_| {}).await.expect("stock");
        assert_eq!(added.rejected, 0);
    }

    /// Sets the price of the next sale.
    pub async fn set_price(&self, kind: Kind, account: Option<AccountSid>, price: Money) -> Priced {
        inventory::set_price(&self.db, &self.clock, "tests", kind, account, price).await.expect("a price")
    }

    pub async fn credit(&self, account: &Account, dollars: &str) -> Credited {
        billing::credit(&self.db, &self.clock, order(account, dollars)).await.expect("a credit")
    }

    pub async fn debit(
        &self,
        account: &Account,
        cents: i64,
        note: Option<&str>,
    ) -> Result<Money, Denied<ledger::Refused>> {
        let order = Order { note, ..order(account, &Money::from_cents(cents).to_string()) };
        ledger::debit(&self.db, &self.clock, order).await.map(|debited| debited.balance)
    }

    /// Sets the clock to this time, in RFC 3339.
    pub fn on(&self, time: &str) {
        let time = DateTime::parse_from_rfc3339(time).expect("a time").to_utc();
        self.clock.advance(time - self.clock.now());
    }

    /// Bills what is due now, with a grace of 14 days.
    pub async fn bill(&self) -> Billed {
        let now = self.clock.now();
        billing::bill(&self.db, &self.clock, now, TimeDelta::days(14), |_| {}).await.expect("a run of the fees")
    }

    /// What [`World::bill`] would do, with each fee.
    pub async fn forecast(&self) -> Forecast {
        let now = self.clock.now();
        let mut forecast = Forecast::default();
        let take = |foreseen| -> numberbank::error::Result<()> {
            match foreseen {
                Foreseen::Total(total) => forecast.total = total,
                Foreseen::Account(account) => forecast.accounts.push(account),
                Foreseen::Fee(fee) => forecast.fees.push(fee),
            }
            Ok(())
        };
        let grace = TimeDelta::days(14);
        billing::forecast(&self.db, &self.clock, now, grace, true, take).await.expect("a forecast");
        forecast
    }

    /// The prices of the next sales; of an account, what they cost it.
    pub async fn prices(&self, account: Option<AccountSid>) -> Vec<Price> {
        let mut prices = Vec::new();
        inventory::prices(&self.db, account, taken(&mut prices)).await.expect("prices");
        prices
    }

    /// What would go back on sale now, with a quarantine of 45 days: by account; and how many are said to be all of them.
    pub async fn recyclable(&self) -> (Vec<Recyclable>, i64) {
        let quarantine = Quarantine { local: TimeDelta::days(45), tollfree: TimeDelta::days(45) };
        let (mut found, mut count) = (Vec::new(), 0);
        let take = |all, row: &Recyclable| -> numberbank::error::Result<()> {
            count = all;
            found.push(row.clone());
            Ok(())
        };
        inventory::recyclable(&self.db, self.clock.now(), quarantine, take).await.expect("numbers");
        (found, count)
    }

    /// Recycles numbers, with a quarantine of 45 days.
    pub async fn recycle(&self) -> u64 {
        let quarantine = Quarantine { local: TimeDelta::days(45), tollfree: TimeDelta::days(45) };
        inventory::recycle(&self.db, &self.clock, self.clock.now(), quarantine).await.expect("a run")
    }

    /// An account's status, and the reason.
    pub async fn standing(&self, account: &Account) -> (Status, Option<Reason>) {
        let account = accounts::find(&self.db, account.sid.parse().expect("a Sid")).await.expect("an account");
        (account.status, account.reason)
    }

    pub async fn suspend(&self, account: &Account) {
        let sid = account.sid.parse().expect("a Sid");
        accounts::suspend(&self.db, &self.clock, sid, None).await.expect("a suspension");
    }

    /// Closes an account and releases its numbers; what it has, it keeps.
    pub async fn close(&self, account: &Account) {
        let sid = account.sid.parse().expect("a Sid");
        releases::close_account(&self.db, &self.clock, sid, CLOSING).await.expect("a closing");
    }

    /// A digest of all that is stored, but for the last use of accounts: equal as long as nothing changes.
    pub async fn fingerprint(&self) -> String {
        let statement = "select md5(string_agg(line, chr(10) order by line)) from (
                select (to_jsonb(accounts) - 'last_used_on')::text from accounts union all select stock::text from stock
                union all select account_sums::text from account_sums
                union all select prices::text from prices union all select tenancies::text from tenancies
                union all select ledger_entries::text from ledger_entries
                union all select stock_moves::text from stock_moves
                union all select account_events::text from account_events
                union all select api_keys::text from api_keys
                union all select idempotency_keys::text from idempotency_keys) as everything (line)";
        sqlx::query_scalar(statement).fetch_one(&self.db).await.expect("a fingerprint")
    }
}

impl Server {
    /// Serves on a free port, with settings small enough for many servers at once.
    pub fn start(options: &PgConnectOptions, clock: &Clock) -> Self {
        Self::run(Self::settings(options, clock))
    }

    pub fn settings(options: &PgConnectOptions, clock: &Clock) -> app::ServerOptions {
        app::ServerOptions {
            database: options.clone(),
            replica: None,
            workers: 1,
            connections: 8,
            verifications: 2,
            clock: clock.clone(),
            chance: Chance::System,
            limits: slow::limits(&[]),
            certificate: None,
            instance: Arc::default(),
            world: None,
        }
    }

    pub fn run(settings: app::ServerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let site = format!("http://{}", listener.local_addr().expect("an address"));
        let server = app::serve(listener, settings).expect("a server");
        let handle = server.handle();
        tokio::spawn(server);
        Self { site, client: Client::new(), handle }
    }

    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }

    /// A request to a path, without credentials.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.client.request(method, format!("{}{path}", self.site))
    }

    /// A request below the account's path, with its credentials; `""` is the account itself.
    pub fn call(&self, account: &Account, method: &str, below: &str) -> RequestBuilder {
        self.request(method, &format!("{}{below}", account.path())).basic_auth(&account.sid, Some(&account.token))
    }

    pub async fn get(&self, account: &Account, below: &str) -> Answer {
        Answer::of(self.call(account, "GET", below)).await
    }

    pub async fn delete(&self, account: &Account, below: &str) -> Answer {
        Answer::of(self.call(account, "DELETE", below)).await
    }

    pub async fn post(&self, account: &Account, below: &str, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.call(account, "POST", below).with_form(form)).await
    }

    pub async fn put(&self, account: &Account, below: &str, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.call(account, "PUT", below).with_form(form)).await
    }

    /// A request to a path that the server gave, with an account's credentials.
    pub async fn follow(&self, account: &Account, path: &str) -> Answer {
        Answer::of(self.request("GET", path).basic_auth(&account.sid, Some(&account.token))).await
    }

    /// A request of one account below the path of another one, or its own, in version 2010-04-01.
    pub async fn act(&self, by: &Account, on: &Account, method: &str, below: &str, form: &[(&str, &str)]) -> Answer {
        let call = self.request(method, &format!("/2010-04-01/Accounts/{}{below}", on.sid));
        let call = call.basic_auth(&by.sid, Some(&by.token));
        Answer::of(if form.is_empty() { call } else { call.with_form(form) }).await
    }

    /// Buys a local number with these settings.
    pub async fn buy(&self, account: &Account, form: &[(&str, &str)]) -> Answer {
        self.post(account, "/IncomingPhoneNumbers/Local", form).await
    }

    /// Buys a local number with these settings and an idempotency key.
    pub async fn buy_once(&self, account: &Account, key: &str, form: &[(&str, &str)]) -> Answer {
        let call = self.call(account, "POST", "/IncomingPhoneNumbers/Local");
        Answer::of(call.header("Idempotency-Key", key).with_form(form)).await
    }

    pub async fn release(&self, account: &Account, sid: &str) -> Answer {
        self.delete(account, &format!("/IncomingPhoneNumbers/{sid}")).await
    }

    pub async fn balance(&self, account: &Account) -> String {
        self.get(account, "/Balance").await.assert_status(200).elements("Balance").pop().expect("a balance")
    }
}

impl Account {
    pub fn path(&self) -> String {
        format!("/2008-08-01/Accounts/{}", self.sid)
    }
}

/// Adds a form to a request.
pub trait WithForm {
    fn with_form(self, form: &[(&str, &str)]) -> Self;
}

impl WithForm for RequestBuilder {
    fn with_form(self, form: &[(&str, &str)]) -> Self {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        self.header("Content-Type", "application/x-www-form-urlencoded").body(text.extend_pairs(form).finish())
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The method and the path of the request, without the query; of raw bytes, `None`.
    pub asked: Option<(Method, String)>,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let asked = Some((request.method().clone(), request.url().path().to_owned()));
        let response = client.execute(request).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { asked, status, headers, body: response.text().await.expect("a body") }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The text of the first XML element of this name.
    pub fn element(&self, name: &str) -> String {
        self.elements(name).into_iter().next().unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }

    /// The texts of all XML elements of this name.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let texts = self.body.split(&start).skip(1);
        texts.map(|rest| rest.split(&end).next().unwrap_or_default().to_owned()).collect()
    }

    /// An attribute of the list in this answer.
    pub fn attribute(&self, name: &str) -> String {
        let start = format!(" {name}=\"");
        let rest = self.body.split_once(&start).unwrap_or_else(|| panic!("no {name} in {}", self.body)).1;
        rest.split('"').next().unwrap_or_default().replace("&amp;", "&")
    }

    /// The headers, without the date and the request's id, which always change.
    pub fn timeless_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.remove(DATE);
        headers.remove("x-request-id");
        headers
    }

    /// Fails unless this is a well-formed RestException of this status and code.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, code: u16) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.element("Status"), status.to_string());
        assert_eq!(self.element("Code"), code.to_string(), "{}", self.body);
        assert!(!self.element("Message").is_empty());
        assert!(self.element("MoreInfo").ends_with(&format!("/docs/errors/{code}")));
    }

    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}
