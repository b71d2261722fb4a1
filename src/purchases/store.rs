//! The statements of a purchase.
//!
//! Lock order, here and everywhere: stock, then account, then tenancy. Whoever waits for an
//! account's row may hold rows of stock, but nobody who holds an account waits for stock (but for
//! `account close`, which says so), so no circle can close. Whoever waits for several rows of stock
//! does so in the order of their `pick`. A row that a buyer waited for in vain stays locked until the
//! buyer's statement ends, in use or not, so this holds for releases and withdrawals too.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as};

use super::Order;
use crate::accounts::Status;
use crate::kernel::db::Db;
use crate::kernel::money::Money;
use crate::kernel::phone::{Kind, PhoneNumber};
use crate::kernel::sid::{AccountSid, NumberSid};
use crate::kernel::text::FriendlyName;
use crate::numbers::settings::Callback;

/// How a purchase looks for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// From a random place on, past what other buyers hold: never waits, may miss the last ones.
    Past,
    /// From the beginning on, waiting for other buyers: misses nothing.
    Waiting,
}

/// What one attempt at a purchase saw and did.
#[derive(Debug)]
pub struct Attempt {
    /// The number that matched and was free.
    pub candidate: Option<PhoneNumber>,
    /// The same, when all else was in order too: then it is bought.
    pub bought: Option<PhoneNumber>,
    pub price: Money,
    /// The account as it was when the attempt began.
    pub status: Option<Status>,
    pub balance: Option<Money>,
    pub key_is_known: bool,
}

/// The whole rule of a purchase, as one statement. Where the debit touches no row, nothing else
/// happens; where the key is known already, its primary key takes everything back.
macro_rules! purchase {
    ($place:literal, $lock:literal, $db:ident, $account:ident, $order:ident, $sid:ident, $from:ident, $now:ident, $area:expr) => {{
        let settings = &$order.settings;
        let (url, method) = parts(settings.voice.as_ref());
        let (sms_url, sms_method) = parts(settings.sms.as_ref());
        let (voice_fallback_url, voice_fallback_method) = parts(settings.voice_fallback.as_ref());
        let (sms_fallback_url, sms_fallback_method) = parts(settings.sms_fallback.as_ref());
        query_as!(
            Attempt,
            "with candidate as materialized (
                -- The next one from a random place; at the end of the queue, on from its beginning.
                select next.phone_number
                from (values ($5::integer, 2147483647), (0, $5 - 1)) as stretch (low, high)
                cross join lateral (
                    select phone_number from stock
                    where state = 'available' and kind = $2 and "
                + $place
                + " and pick between low and high
                    order by pick limit 1 for update "
                + $lock
                + "
                ) as next
                limit 1
            ), cost as materialized (
                -- The account's own, else everybody's.
                select price from prices where kind = $2 and (account_sid = $1 or account_sid is null)
                order by account_sid nulls last limit 1
            ), known as materialized (
                select from idempotency_keys where account_sid = $1 and key = $7
            ), debit as (
                update accounts set
                    balance = balance - cost.price,
                    monthly_fees = monthly_fees + cost.price,
                    local_numbers = local_numbers + ($2 = 'local')::integer,
                    tollfree_numbers = tollfree_numbers + ($2 = 'tollfree')::integer
                from candidate, cost
                where sid = $1 and status = 'active' and balance >= cost.price and not exists (select from known)
                returning candidate.phone_number, cost.price, balance
            ), claim as (
                update stock set state = 'in_use', moved_by = 'sale', state_since = $6, tenancy_sid = $4
                from debit where stock.phone_number = debit.phone_number
            ), tenancy as (
                insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on,
                    friendly_name, url, method, sms_url, sms_method, voice_fallback_url, voice_fallback_method,
                    sms_fallback_url, sms_fallback_method, voice_caller_id_lookup)
                select $4, $1, phone_number, $2, price, $6, $6, month_begins($6, 1), $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
                from debit
            ), entry as (
                insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
                select $1, $6, 'purchase', -price, balance, $4, 0 from debit
            ), remembered as (
                insert into idempotency_keys (account_sid, key, request, tenancy_sid, created_at)
                select $1, $7, $8, $4, $6 from debit where $7 is not null
            )
            select candidate.phone_number as \"candidate: PhoneNumber\", debit.phone_number as \"bought: PhoneNumber\",
                cost.price as \"price!: Money\", accounts.status as \"status?: Status\",
                accounts.balance as \"balance?: Money\", exists (select from known) as \"key_is_known!\"
            from cost
            left join candidate on true
            left join debit on true
            left join accounts on accounts.sid = $1",
            $account as AccountSid,
            $order.kind as Kind,
            $area,
            $sid as NumberSid,
            $from,
            $now,
            $order.key.as_ref().map(|key| key.text.as_str()),
            $order.key.as_ref().map(|key| key.request.as_slice()),
            settings.friendly_name.as_ref().map(FriendlyName::as_str),
            url,
            method,
            sms_url,
            sms_method,
            voice_fallback_url,
            voice_fallback_method,
            sms_fallback_url,
            sms_fallback_method,
            settings.voice_caller_id_lookup
        )
        .fetch_one($db)
        .await
    }};
}

fn parts(callback: Option<&Callback>) -> (Option<&str>, Option<&str>) {
    callback.map(|callback| (callback.url.as_str(), callback.method.as_str())).unzip()
}

/// No number has this area code.
const NOWHERE: i16 = 0;

/// One attempt to buy. By area code and anywhere each walk an index of their own.
pub async fn buy(
    db: &Db,
    look: Look,
    account: AccountSid,
    order: &Order,
    sid: NumberSid,
    from: i32,
    now: DateTime<Utc>,
) -> Result<Attempt> {
    // An area code of the other kind has none of this kind: nothing is searched for where nothing can be.
    let area = order.area_code.map(|code| if code.kind() == order.kind { code.as_smallint() } else { NOWHERE });
    match (look, area.is_some()) {
        (Look::Past, true) => purchase!("area_code = $3", "skip locked", db, account, order, sid, from, now, area),
        (Look::Past, false) => {
            purchase!("$3::smallint is null", "skip locked", db, account, order, sid, from, now, area)
        }
        (Look::Waiting, true) => purchase!("area_code = $3", "", db, account, order, sid, from, now, area),
        (Look::Waiting, false) => purchase!("$3::smallint is null", "", db, account, order, sid, from, now, area),
    }
}

/// The purchase that a key remembers.
pub struct First {
    pub request: Vec<u8>,
    pub sid: NumberSid,
    pub phone_number: PhoneNumber,
    pub started_at: DateTime<Utc>,
}

pub async fn recall(db: &Db, account: AccountSid, key: &str, since: DateTime<Utc>) -> Result<Option<First>> {
    query_as!(
        First,
        r#"select request, tenancies.sid as "sid: NumberSid", phone_number as "phone_number: PhoneNumber", started_at
        from idempotency_keys join tenancies on tenancies.sid = tenancy_sid
        where idempotency_keys.account_sid = $1 and key = $2 and created_at > $3"#,
        account as AccountSid,
        key,
        since
    )
    .fetch_optional(db)
    .await
}

/// Forgets a key that is too old.
pub async fn forget(db: &Db, account: AccountSid, key: &str, since: DateTime<Utc>) -> Result<()> {
    query!(
        "delete from idempotency_keys where account_sid = $1 and key = $2 and created_at <= $3",
        account as AccountSid,
        key,
        since
    )
    .execute(db)
    .await
    .map(drop)
}

/// Forgets all keys that are too old. There is no index by age, which each purchase would pay for: the
/// keys of a day are read in a moment.
pub async fn forget_all(db: &Db, since: DateTime<Utc>) -> Result<u64> {
    let result = query!("delete from idempotency_keys where created_at <= $1", since).execute(db).await?;
    Ok(result.rows_affected())
}
