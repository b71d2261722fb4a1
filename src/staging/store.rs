//! The statements of worlds. Those on the schema `staging` are not checked at compile time, because no migration makes it:
//! `world.sql` does.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Result, query, query_as, query_scalar, raw_sql};
use tracing::instrument;

use super::Life;
use super::changes::{AT_A_TIME, Ids};
use super::seed::{Choice, Seed};
use crate::db::{Db, Transaction};
use crate::inventory::Quarantine;
use crate::values::chance::Draws;
use crate::values::clock::Course;
use crate::values::money::Money;
use crate::values::phone::{AreaCode, Kind, PhoneNumber, Plan};
use crate::values::sid::{AccountSid, NumberSid};

/// Marks the database, and makes what only that of a world has.
#[instrument(name = "staging.mark", level = "debug", skip_all)]
pub async fn mark(within: &mut Transaction) -> Result<()> {
    raw_sql(include_str!("world.sql")).execute(&mut **within).await.map(drop)
}

/// Writes the area codes of this program down, in their order.
#[instrument(name = "staging.set_area_codes", level = "debug", skip_all)]
pub async fn set_area_codes(within: &mut Transaction) -> Result<()> {
    // The test numbers come last.
    let local = AreaCode::all(Kind::Local).chain([Plan::TEST_CODE]);
    let ranked = [local.zip(0_i64..).collect::<Vec<_>>(), AreaCode::all(Kind::TollFree).zip(0_i64..).collect()];
    let (codes, ranks): (Vec<_>, Vec<_>) =
        ranked.into_iter().flatten().map(|(code, rank)| (code.as_smallint(), rank)).unzip();
    query(
        "insert into staging.area_codes (code, rank) select * from unnest($1::smallint[], $2::bigint[])
        on conflict (code) do update set rank = excluded.rank",
    )
    .bind(codes)
    .bind(ranks)
    .execute(&mut **within)
    .await
    .map(drop)
}

/// Puts the numbers that are there into the world's order. Of a world that has begun, nothing changes.
#[instrument(name = "staging.arrange", level = "debug", skip_all)]
pub async fn arrange(within: &mut Transaction) -> Result<()> {
    query("update public.stock set pick = staging.pick(phone_number) where pick <> staging.pick(phone_number)")
        .execute(&mut **within)
        .await
        .map(drop)
}

/// What is kept of a world.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Kept {
    /// The digest of its seed.
    pub made_of: String,
    pub seed: i64,
    pub choice: Choice,
    stands_at: Option<DateTime<Utc>>,
    ahead: i64,
    /// Days.
    quarantine: i16,
    grace: i16,
    /// How often it was started.
    pub starts: i32,
    /// Its first faults, as the seed has them.
    pub faults: String,
    /// Whether it has Twilio's test numbers.
    pub magic: bool,
    /// The names of callers by their numbers, in JSON.
    pub caller_names: String,
}

/// What of a world is read back.
macro_rules! kept {
    () => {
        "made_of, seed, choice, stands_at, ahead, quarantine, grace, starts, faults, magic, caller_names"
    };
}

impl Kept {
    /// A world that is not started yet.
    pub fn new(made_of: String, seed: i64, of: &Seed) -> Self {
        let ((stands_at, ahead), [quarantine, grace]) = (parts(of.course()), of.days());
        let (choice, faults, magic, caller_names) =
            (of.choice, of.faults_as_text(), of.magic, of.caller_names_as_text());
        Self { made_of, seed, choice, stands_at, ahead, quarantine, grace, starts: 0, faults, magic, caller_names }
    }

    /// How its clock goes.
    pub fn course(&self) -> Course {
        course(self.stands_at, self.ahead)
    }

    pub fn life(&self) -> Life {
        let [quarantine, grace] = [self.quarantine, self.grace].map(|days| TimeDelta::days(days.into()));
        Life { quarantine: Quarantine { local: quarantine, tollfree: quarantine }, grace }
    }
}

/// A course, from where it stands or by how many microseconds it is ahead.
fn course(stands_at: Option<DateTime<Utc>>, ahead: i64) -> Course {
    stands_at.map_or(Course::Runs(TimeDelta::microseconds(ahead)), Course::Stands)
}

fn parts(course: Course) -> (Option<DateTime<Utc>>, i64) {
    match course {
        Course::Stands(at) => (Some(at), 0),
        Course::Runs(ahead) => (None, ahead.num_microseconds().unwrap_or_default()),
    }
}

#[instrument(name = "staging.begin", level = "debug", skip_all)]
pub async fn begin(within: &mut Transaction, world: &Kept, now: DateTime<Utc>) -> Result<()> {
    query(
        "insert into staging.world (made_of, seed, choice, stands_at, ahead, quarantine, grace, made_at, faults, magic,
            caller_names)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&world.made_of)
    .bind(world.seed)
    .bind(world.choice)
    .bind(world.stands_at)
    .bind(world.ahead)
    .bind(world.quarantine)
    .bind(world.grace)
    .bind(now)
    .bind(&world.faults)
    .bind(world.magic)
    .bind(&world.caller_names)
    .execute(&mut **within)
    .await
    .map(drop)
}

/// The world of this database.
#[instrument(name = "staging.world", level = "debug", skip_all)]
pub async fn world(db: &Db) -> Result<Kept> {
    query_as(concat!("select ", kept!(), " from staging.world")).fetch_one(db).await
}

/// Counts one more start.
#[instrument(name = "staging.start", level = "debug", skip_all)]
pub async fn start(db: &Db) -> Result<Kept> {
    query_as(concat!("update staging.world set starts = starts + 1 returning ", kept!())).fetch_one(db).await
}

/// Keeps how the world's clock goes; false if the world was started again since.
#[instrument(name = "staging.keep_course", level = "debug", skip_all)]
pub async fn keep_course(db: &Db, start: i32, course: Course) -> Result<bool> {
    let (stands_at, ahead) = parts(course);
    let kept = query("update staging.world set stands_at = $1, ahead = $2 where starts = $3")
        .bind(stands_at)
        .bind(ahead)
        .bind(start)
        .execute(db)
        .await?;
    Ok(kept.rows_affected() > 0)
}

/// An entry of the ledger.
pub struct Moved {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub account: AccountSid,
    pub entry: String,
    pub amount: Money,
    pub balance: Money,
    pub number: Option<NumberSid>,
    pub month: Option<i16>,
    pub note: Option<String>,
}

/// The entries of the ledger that are not noted yet, the oldest first.
#[instrument(name = "staging.money_since", level = "debug", skip_all)]
pub async fn money_since(db: &Db, noted: &Ids) -> Result<Vec<Moved>> {
    query_as!(
        Moved,
        r#"select id, at, account_sid as "account: AccountSid", kind::text as "entry!", amount as "amount: Money",
            balance_after as "balance: Money", tenancy_sid as "number: NumberSid", month, note
        from ledger_entries where id > $1 and id <> all($2) order by id limit $3"#,
        noted.all,
        &noted.recent(),
        AT_A_TIME as i64
    )
    .fetch_all(db)
    .await
}

/// What became of an account.
pub struct Happened {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub account: AccountSid,
    pub change: String,
    pub reason: String,
    pub number: Option<NumberSid>,
}

/// The events of accounts that are not noted yet, the oldest first.
#[instrument(name = "staging.events_since", level = "debug", skip_all)]
pub async fn events_since(db: &Db, noted: &Ids) -> Result<Vec<Happened>> {
    query_as!(
        Happened,
        r#"select id, at, account_sid as "account: AccountSid", change::text as "change!", reason::text as "reason!",
            tenancy_sid as "number: NumberSid"
        from account_events where id > $1 and id <> all($2) order by id limit $3"#,
        noted.all,
        &noted.recent(),
        AT_A_TIME as i64
    )
    .fetch_all(db)
    .await
}

/// The last entry of the ledger; 0 if there is none.
#[instrument(name = "staging.last_entry", level = "debug", skip_all)]
pub async fn last_entry(db: &Db) -> Result<i64> {
    query_scalar!(r#"select coalesce(max(id), 0) as "id!" from ledger_entries"#).fetch_one(db).await
}

/// The tenancy of a number that an account holds.
#[instrument(name = "staging.held", level = "debug", skip_all)]
pub async fn held(db: &Db, account: AccountSid, number: PhoneNumber) -> Result<Option<NumberSid>> {
    query_scalar!(
        r#"select sid as "sid: NumberSid" from tenancies
        where phone_number = $1 and account_sid = $2 and ended_at is null"#,
        number as PhoneNumber,
        account as AccountSid
    )
    .fetch_optional(db)
    .await
}

/// The numbers that were withdrawn with a note like this one.
#[instrument(name = "staging.withdrawn", level = "debug", skip_all)]
pub async fn withdrawn(db: &Db, note: &str) -> Result<Vec<PhoneNumber>> {
    query_scalar!(
        r#"select phone_number as "number: PhoneNumber" from stock
        where state = 'withdrawn' and moved_by = 'withdraw' and moved_note like $1"#,
        note
    )
    .fetch_all(db)
    .await
}

/// Withdraws all numbers of an area code that are for sale.
#[instrument(name = "staging.withdraw", level = "debug", skip_all)]
pub async fn withdraw(db: &Db, code: AreaCode, note: &str, now: DateTime<Utc>) -> Result<()> {
    query!(
        "update stock set state = 'withdrawn', moved_by = 'withdraw', moved_note = $2,
            state_since = greatest($3, state_since)
        where area_code = $1 and state = 'available'",
        code.as_smallint(),
        note,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

/// Puts the first of these numbers that was never there into stock.
#[instrument(name = "staging.add_one", level = "debug", skip_all)]
pub async fn add_one(db: &Db, numbers: &[PhoneNumber], now: DateTime<Utc>) -> Result<()> {
    query!(
        "insert into stock (phone_number, kind, state_since, added_at)
        select number, 'local', $2, $2 from unnest($1::bigint[]) as number
        where not exists (select from stock where phone_number = number) order by number limit 1",
        numbers as &[PhoneNumber],
        now
    )
    .execute(db)
    .await
    .map(drop)
}

/// The last event of any account; 0 if there is none.
#[instrument(name = "staging.last_event", level = "debug", skip_all)]
pub async fn last_event(db: &Db) -> Result<i64> {
    query_scalar!(r#"select coalesce(max(id), 0) as "id!" from account_events"#).fetch_one(db).await
}

/// Accounts that were suspended after an event because they could not pay. Of those of one midnight, no order is
/// settled but that of their Sids.
#[instrument(name = "staging.suspended_since", level = "debug", skip_all)]
pub async fn suspended_since(db: &Db, event: i64) -> Result<Vec<AccountSid>> {
    query_scalar!(
        r#"select account_sid as "sid: AccountSid" from account_events
        where id > $1 and change = 'suspended' and reason = 'unpaid'
        group by account_sid order by min(at), account_sid limit 1000"#,
        event
    )
    .fetch_all(db)
    .await
}

/// Accounts that became active after an event because nothing was owed any more.
#[instrument(name = "staging.activated_since", level = "debug", skip_all)]
pub async fn activated_since(db: &Db, event: i64) -> Result<Vec<AccountSid>> {
    query_scalar!(
        r#"select account_sid as "sid: AccountSid" from account_events
        where id > $1 and change = 'activated' and reason in ('paid', 'nothing_owed')
        group by account_sid order by min(at), account_sid limit 1000"#,
        event
    )
    .fetch_all(db)
    .await
}

/// Tenancies that ended after an event because they were not paid.
#[instrument(name = "staging.released_since", level = "debug", skip_all)]
pub async fn released_since(db: &Db, event: i64) -> Result<Vec<NumberSid>> {
    query_scalar!(
        r#"select tenancy_sid as "sid!: NumberSid" from account_events
        where id > $1 and change = 'number_lost' and reason = 'unpaid'
        order by at, account_sid, tenancy_sid limit 1000"#,
        event
    )
    .fetch_all(db)
    .await
}

/// A snapshot.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Snapshot {
    pub id: i32,
    pub name: String,
    pub taken_at: DateTime<Utc>,
    start: i32,
    drawn: i64,
    stands_at: Option<DateTime<Utc>>,
    ahead: i64,
}

impl Snapshot {
    /// How far a chance with this seed had come.
    pub const fn draws(&self, seed: i64) -> Draws {
        Draws { seed, start: self.start, drawn: self.drawn }
    }

    /// How the clock went.
    pub fn course(&self) -> Course {
        course(self.stands_at, self.ahead)
    }
}

#[instrument(name = "staging.snapshots", level = "debug", skip_all)]
pub async fn snapshots(db: &Db) -> Result<Vec<Snapshot>> {
    query_as("select id, name, taken_at, start, drawn, stands_at, ahead from staging.snapshots order by id")
        .fetch_all(db)
        .await
}

#[instrument(name = "staging.snapshot", level = "debug", skip_all)]
pub async fn snapshot(within: &mut Transaction, name: &str) -> Result<Option<Snapshot>> {
    query_as("select id, name, taken_at, start, drawn, stands_at, ahead from staging.snapshots where name = $1")
        .bind(name)
        .fetch_optional(&mut **within)
        .await
}

/// Takes a snapshot, in place of an older one of this name; false if there are `most` already. All tables are copied as
/// they were when this began, which must be the transaction's first statement.
#[instrument(name = "staging.take", level = "debug", skip_all)]
pub async fn take(within: &mut Transaction, name: &str, now: DateTime<Utc>, draws: Draws, most: i64) -> Result<bool> {
    raw_sql("set transaction isolation level repeatable read").execute(&mut **within).await?;
    query_scalar("select staging.take($1, $2, $3, $4, $5)")
        .bind(name)
        .bind(now)
        .bind(draws.start)
        .bind(draws.drawn)
        .bind(most)
        .fetch_one(&mut **within)
        .await
}

/// Drops a snapshot, if there is one of this name.
#[instrument(name = "staging.forget", level = "debug", skip_all)]
pub async fn forget(within: &mut Transaction, name: &str) -> Result<()> {
    query("select staging.forget($1)").bind(name).execute(&mut **within).await.map(drop)
}

/// Whether the tables still have the columns that they had when the snapshot was taken.
#[instrument(name = "staging.fits", level = "debug", skip_all)]
pub async fn fits(within: &mut Transaction, snapshot: &Snapshot) -> Result<bool> {
    query_scalar("select shape = staging.shape() from staging.snapshots where id = $1")
        .bind(snapshot.id)
        .fetch_one(&mut **within)
        .await
}

/// Goes back to a snapshot.
#[instrument(name = "staging.reset", level = "debug", skip_all)]
pub async fn reset(within: &mut Transaction, snapshot: &Snapshot) -> Result<()> {
    query("select staging.reset($1)").bind(snapshot.id).execute(&mut **within).await.map(drop)
}
