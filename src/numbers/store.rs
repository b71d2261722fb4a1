//! The statements on numbers.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Result, query_as, query_scalar};

use super::settings::{Callback, CallbackChange, Changes, Settings};
use super::{Move, Number, Tenancy};
use crate::db::batch::each;
use crate::db::{Db, Transaction};
use crate::inventory::{Cause, State};
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};
use crate::values::text::{CallbackUrl, FriendlyName, Method};

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
    (place $before:literal $(+ $more:literal)*, $after:literal $(, $value:expr)*) => {
        numbers!(counts "place, null::bigint as total", $before $(+ $more)*, $after $(, $value)*)
    };
    (place and total $before:literal, $after:literal $(, $value:expr)*) => {
        numbers!(counts "place, total", $before, $after $(, $value)*)
    };
    (counts $counts:literal, $before:literal $(+ $more:literal)*, $after:literal $(, $value:expr)*) => {
        query_as!(
            Row,
            $before $(+ $more)* + "sid as \"sid!: NumberSid\", phone_number as \"phone_number!: PhoneNumber\",
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

/// A change that is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub account: AccountSid,
    pub sid: NumberSid,
    pub changes: Arc<Changes>,
}

/// The whole rule of an update, as one statement for many: changes what is given, where the account is active. A
/// callback's method goes with its address: it ends with it, begins as POST, and else stays unless another is given. A
/// toll-free number keeps nothing about SMS. `$lock` says whether tenancies that others hold are waited for, `$fits` what
/// must hold of one that is changed beside others.
macro_rules! updates {
    ($lock:literal, $fits:literal, $asked:ident, $now:ident) => {{
        let [voice, voice_fallback, sms, sms_fallback] = CALLBACKS;
        numbers!(place
            "with asked as (
                -- Of several updates of one number this statement does the first; the others are done alone, after it.
                -- An update of another account's number takes no place from the owner's.
                select distinct on (its_sid, its_account) * from unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::boolean[], $5::text[],
                        $6::boolean[], $7::text[], $8::text[], $9::boolean[], $10::text[], $11::text[],
                        $12::boolean[], $13::text[], $14::text[], $15::boolean[], $16::text[], $17::text[], $18::boolean[])
                    with ordinality as asked (its_sid, its_account, is_lone, sets_name, its_name,
                        sets_url, its_url, its_method, sets_fallback, its_fallback, its_fallback_method,
                        sets_sms, its_sms, its_sms_method, sets_sms_fallback, its_sms_fallback, its_sms_fallback_method,
                        its_lookup, place)
                order by its_sid, its_account, place
            ), held as materialized (
                -- As it is once nobody else holds it, which the statement's snapshot may not show.
                select place, its_sid, greatest($19, updated_at) as new_updated_at,
                    case when sets_name then its_name else friendly_name end as new_name,
                    case when sets_url then its_url else url end as new_url,
                    coalesce(its_method, method, 'POST') as new_method,
                    case when sets_fallback then its_fallback else voice_fallback_url end as new_fallback,
                    coalesce(its_fallback_method, voice_fallback_method, 'POST') as new_fallback_method,
                    case when kind = 'local' then case when sets_sms then its_sms else sms_url end end as new_sms,
                    coalesce(its_sms_method, sms_method, 'POST') as new_sms_method,
                    case when kind = 'local' then
                        case when sets_sms_fallback then its_sms_fallback else sms_fallback_url end end as new_sms_fallback,
                    coalesce(its_sms_fallback_method, sms_fallback_method, 'POST') as new_sms_fallback_method,
                    coalesce(its_lookup, voice_caller_id_lookup) as new_lookup
                from asked join tenancies on sid = its_sid and account_sid = its_account and ended_at is null
                where (kind = 'local' or not is_lone)
                    and exists (select from accounts where accounts.sid = its_account and status = 'active')
                for no key update of tenancies " + $lock + "
            )
            update tenancies set updated_at = new_updated_at, friendly_name = new_name,
                url = new_url, method = case when new_url is not null then new_method end,
                voice_fallback_url = new_fallback,
                voice_fallback_method = case when new_fallback is not null then new_fallback_method end,
                sms_url = new_sms, sms_method = case when new_sms is not null then new_sms_method end,
                sms_fallback_url = new_sms_fallback,
                sms_fallback_method = case when new_sms_fallback is not null then new_sms_fallback_method end,
                voice_caller_id_lookup = new_lookup
            from held where sid = its_sid" + $fits + "
            returning ",
            "",
            &each($asked, |asked| asked.sid) as &[NumberSid],
            &each($asked, |asked| asked.account) as &[AccountSid],
            &each($asked, |asked| asked.changes.lone_sms_fallback()),
            &each($asked, |asked| asked.changes.friendly_name.is_set()),
            &each($asked, |asked| asked.changes.friendly_name.value().map(FriendlyName::as_str)) as &[Option<&str>],
            &sets($asked, voice),
            &urls($asked, voice) as &[Option<&str>],
            &methods($asked, voice) as &[Option<&str>],
            &sets($asked, voice_fallback),
            &urls($asked, voice_fallback) as &[Option<&str>],
            &methods($asked, voice_fallback) as &[Option<&str>],
            &sets($asked, sms),
            &urls($asked, sms) as &[Option<&str>],
            &methods($asked, sms) as &[Option<&str>],
            &sets($asked, sms_fallback),
            &urls($asked, sms_fallback) as &[Option<&str>],
            &methods($asked, sms_fallback) as &[Option<&str>],
            &each($asked, |asked| asked.changes.voice_caller_id_lookup) as &[Option<bool>],
            $now
        )
    }};
}

type Part = fn(&Changes) -> &CallbackChange;

/// The callbacks of a number, in the order of the statement.
const CALLBACKS: [Part; 4] = [
    |changes| &changes.voice,
    |changes| &changes.voice_fallback,
    |changes| &changes.sms,
    |changes| &changes.sms_fallback,
];

fn sets(asked: &[Asked], part: Part) -> Vec<bool> {
    each(asked, |asked| part(&asked.changes).url.is_set())
}

fn urls(asked: &[Asked], part: Part) -> Vec<Option<&str>> {
    each(asked, |asked| part(&asked.changes).url.value().map(CallbackUrl::as_str))
}

fn methods(asked: &[Asked], part: Part) -> Vec<Option<&str>> {
    each(asked, |asked| part(&asked.changes).method.map(|method| method.as_str()))
}

/// Does one update. It waits until nobody else holds the row; constraints refuse what does not fit together.
pub async fn update(db: &Db, asked: Asked, now: DateTime<Utc>) -> Result<Option<Number>> {
    let (account, asked) = (asked.account, &[asked]);
    Ok(updates!("", "", asked, now).fetch_optional(db).await?.map(|row| row.number(account)))
}

/// Changes many, in their order, but for those that somebody holds or that a constraint would refuse.
pub async fn update_past(db: &Db, asked: &[Asked], now: DateTime<Utc>) -> Result<Vec<Option<Number>>> {
    let rows = updates!(
        "skip locked",
        " and (new_fallback is null or new_url is not null) and (new_sms_fallback is null or new_sms is not null)",
        asked,
        now
    );
    let mut changed: Vec<_> = asked.iter().map(|_| None).collect();
    for row in rows.fetch_all(db).await? {
        let place = row.place();
        changed[place] = Some(row.number(asked[place].account));
    }
    Ok(changed)
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
