//! The statements on numbers.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Result, query_as, query_scalar};

use super::settings::{Callback, CallbackChange, Changes, Settings};
use super::{Move, Number, Tenancy};
use crate::inventory::{Cause, State};
use crate::kernel::db::{Db, Transaction};
use crate::kernel::money::Money;
use crate::kernel::phone::PhoneNumber;
use crate::kernel::sid::{AccountSid, NumberSid};
use crate::kernel::text::{CallbackUrl, FriendlyName, Method};

/// A row of `tenancies`, as far as the wire shows it.
pub struct Row {
    pub sid: NumberSid,
    pub phone_number: PhoneNumber,
    pub started_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub friendly_name: Option<FriendlyName>,
    pub url: Option<String>,
    pub method: Option<Method>,
    pub sms_url: Option<String>,
    pub sms_method: Option<Method>,
    pub voice_fallback_url: Option<String>,
    pub voice_fallback_method: Option<Method>,
    pub sms_fallback_url: Option<String>,
    pub sms_fallback_method: Option<Method>,
    pub voice_caller_id_lookup: bool,
    /// Where many were asked for: for which of them this is, counted from 1.
    pub place: Option<i64>,
    /// How many there are in the whole list.
    pub total: Option<i64>,
}

impl Row {
    /// The place among what was asked for, counted from 0.
    pub fn place(&self) -> usize {
        self.place.and_then(|place| usize::try_from(place - 1).ok()).unwrap_or(usize::MAX)
    }

    /// The number, as one of the account in which it was looked for.
    pub fn number(self, account_sid: AccountSid) -> Number {
        let row = self;
        let callback =
            |url: Option<String>, method: Option<Method>| url.zip(method).map(|(url, method)| Callback { url, method });
        Number {
            sid: row.sid,
            account_sid,
            phone_number: row.phone_number,
            settings: Settings {
                friendly_name: row.friendly_name,
                voice: callback(row.url, row.method),
                voice_fallback: callback(row.voice_fallback_url, row.voice_fallback_method),
                sms: callback(row.sms_url, row.sms_method),
                sms_fallback: callback(row.sms_fallback_url, row.sms_fallback_method),
                voice_caller_id_lookup: row.voice_caller_id_lookup,
            },
            started_at: row.started_at,
            updated_at: row.updated_at,
        }
    }
}

/// `query_as!` for rows of `tenancies`: what the statement says before and after their columns.
macro_rules! numbers {
    ($before:literal, $after:literal $(, $value:expr)*) => {
        numbers!(counts "null::bigint as place, null::bigint as total", $before, $after $(, $value)*)
    };
    (place $before:literal, $after:literal $(, $value:expr)*) => {
        numbers!(counts "place, null::bigint as total", $before, $after $(, $value)*)
    };
    (place and total $before:literal, $after:literal $(, $value:expr)*) => {
        numbers!(counts "place, total", $before, $after $(, $value)*)
    };
    (counts $counts:literal, $before:literal, $after:literal $(, $value:expr)*) => {
        query_as!(
            Row,
            $before + "sid as \"sid!: NumberSid\", phone_number as \"phone_number!: PhoneNumber\",
                started_at as \"started_at!\", updated_at as \"updated_at!\",
                friendly_name as \"friendly_name: FriendlyName\", url, method as \"method: Method\",
                sms_url, sms_method as \"sms_method: Method\",
                voice_fallback_url, voice_fallback_method as \"voice_fallback_method: Method\",
                sms_fallback_url, sms_fallback_method as \"sms_fallback_method: Method\",
                voice_caller_id_lookup as \"voice_caller_id_lookup!\", " + $counts + $after
            $(, $value)*
        )
    };
}

pub(super) use numbers;

/// Many at once, each of an account of its own; what is held of them, in their order.
pub async fn find(db: &Db, asked: &[(AccountSid, NumberSid)]) -> Result<Vec<Option<Number>>> {
    let (accounts, sids): (Vec<_>, Vec<_>) = asked.iter().copied().unzip();
    let rows = numbers!(place
        "select ",
        " from unnest($1::uuid[], $2::uuid[]) with ordinality as asked (asked_account, asked_sid, place)
        join tenancies on sid = asked_sid and account_sid = asked_account and ended_at is null",
        &accounts as &[AccountSid],
        &sids as &[NumberSid]
    );
    let mut found: Vec<_> = asked.iter().map(|_| None).collect();
    db.lend(async |connection| {
        let mut rows = rows.fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let place = row.place();
            found[place] = Some(row.number(accounts[place]));
        }
        Ok(found)
    })
    .await
}

/// Changes what is given, where the account is active. A callback's method goes with its address:
/// it ends with it, begins as POST, and else stays unless another is given. A toll-free number keeps nothing about SMS.
pub async fn update(
    db: &Db,
    account: AccountSid,
    sid: NumberSid,
    changes: &Changes,
    now: DateTime<Utc>,
) -> Result<Option<Number>> {
    let url = |change: &CallbackChange| change.url.value().map(|url| CallbackUrl::as_str(url).to_owned());
    let method = |change: &CallbackChange| change.method.map(|method| method.as_str());
    let row = numbers!(
        "update tenancies set
            updated_at = greatest($4, updated_at),
            friendly_name = case when $5 then $6 else friendly_name end,
            url = case when $7 then $8 else url end,
            method = case when case when $7 then $8 else url end is not null then coalesce($9, method, 'POST') end,
            voice_fallback_url = case when $10 then $11 else voice_fallback_url end,
            voice_fallback_method = case when case when $10 then $11 else voice_fallback_url end is not null
                then coalesce($12, voice_fallback_method, 'POST') end,
            sms_url = case when kind = 'local' then case when $13 then $14 else sms_url end end,
            sms_method = case when kind = 'local' and case when $13 then $14 else sms_url end is not null
                then coalesce($15, sms_method, 'POST') end,
            sms_fallback_url = case when kind = 'local' then case when $16 then $17 else sms_fallback_url end end,
            sms_fallback_method = case when kind = 'local' and case when $16 then $17 else sms_fallback_url end is not null
                then coalesce($18, sms_fallback_method, 'POST') end,
            voice_caller_id_lookup = coalesce($19, voice_caller_id_lookup)
        where sid = $1 and account_sid = $2 and ended_at is null
            and (kind = 'local' or not $3)
            and exists (select from accounts where accounts.sid = $2 and status = 'active')
        returning ",
        "",
        sid as NumberSid,
        account as AccountSid,
        changes.lone_sms_fallback(),
        now,
        changes.friendly_name.is_set(),
        changes.friendly_name.value().map(FriendlyName::as_str),
        changes.voice.url.is_set(),
        url(&changes.voice),
        method(&changes.voice),
        changes.voice_fallback.url.is_set(),
        url(&changes.voice_fallback),
        method(&changes.voice_fallback),
        changes.sms.url.is_set(),
        url(&changes.sms),
        method(&changes.sms),
        changes.sms_fallback.url.is_set(),
        url(&changes.sms_fallback),
        method(&changes.sms_fallback),
        changes.voice_caller_id_lookup
    );
    Ok(row.fetch_optional(db).await?.map(|row| row.number(account)))
}

/// Everyone who held a number, the earliest first: in the order of their releases as the database counted them, for the
/// clocks of several machines differ. Ended and open tenancies are each found by an index of their own.
pub async fn history(within: &mut Transaction, number: PhoneNumber) -> Result<Vec<Tenancy>> {
    query_as!(
        Tenancy,
        r#"select sid as "sid!: NumberSid", account_sid as "account_sid!: AccountSid", started_at as "from!",
            ended_at as "to", price as "price!: Money"
        from (
            select * from tenancies where phone_number = $1 and ended_at is not null
            union all
            select * from tenancies where phone_number = $1 and ended_at is null
        ) as held
        left join (
            select tenancy_sid, min(id) as release from stock_moves
            where phone_number = $1 and from_state = 'in_use' group by tenancy_sid
        ) as ends on tenancy_sid = sid
        order by release nulls last, started_at, sid"#,
        number as PhoneNumber
    )
    .fetch_all(&mut **within)
    .await
}

/// Every move of a number through the stock, the earliest first, in the order in which the database counted them. A sale
/// is told by its tenancy, by the same two indexes as in [`history`], and comes right before that one's first release.
pub async fn moves(within: &mut Transaction, number: PhoneNumber) -> Result<Vec<Move>> {
    query_as!(
        Move,
        r#"select at as "at!", to_state as "to!: State", cause as "cause!: Cause", tenancy_sid as "sid: NumberSid"
        from (
            select at, to_state, cause, tenancy_sid, id, 1 as turn from stock_moves where phone_number = $1
            union all
            select started_at, 'in_use', 'sale', sid, release, 0
            from (
                select sid, started_at from tenancies where phone_number = $1 and ended_at is not null
                union all
                select sid, started_at from tenancies where phone_number = $1 and ended_at is null
            ) as sales
            left join (
                select tenancy_sid, min(id) as release from stock_moves
                where phone_number = $1 and from_state = 'in_use' group by tenancy_sid
            ) as ends on tenancy_sid = sid
        ) as moves
        order by id nulls last, turn"#,
        number as PhoneNumber
    )
    .fetch_all(&mut **within)
    .await
}

/// The number that a tenancy is of, ended or not.
pub async fn digits_of(db: &Db, sid: NumberSid) -> Result<Option<PhoneNumber>> {
    query_scalar!(
        r#"select phone_number as "phone_number: PhoneNumber" from tenancies where sid = $1"#,
        sid as NumberSid
    )
    .fetch_optional(db)
    .await
}
