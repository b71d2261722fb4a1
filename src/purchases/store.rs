//! The statements of a purchase.
//!
//! Lock order: stock, account, tenancy. A statement may wait for an account while it holds stock, never the reverse; one that
//! locks the account first skips locked stock. Several rows of stock are locked in the order of `pick`, by releases and
//! withdrawals too. A row that was waited for in vain stays locked until the statement ends.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, Result, query_as};
use tracing::instrument;

use super::{Order, Wanted};
use crate::accounts::Status;
use crate::db::batch::each;
use crate::numbers::settings::{Given, columns};
use crate::values::money::Money;
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

/// How purchases lock their numbers, and the accounts that pay; the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Locking {
    /// From a random place on, past what others hold: never waits, may miss the last numbers, and leaves
    /// out accounts that are busy elsewhere.
    SkipAll,
    /// Past the numbers that others hold, but waiting for the account: first of all, so that no numbers are held
    /// meanwhile. Only for bids of one account.
    WaitForAccount,
    /// From the beginning on, waiting for all locks: misses nothing. Only for one bid.
    WaitForStock,
    /// The number that a bid names, waiting for all locks. Only for one bid.
    This,
}

impl Locking {
    pub const fn stricter(self) -> Self {
        match self {
            Self::SkipAll => Self::WaitForAccount,
            Self::WaitForAccount | Self::WaitForStock => Self::WaitForStock,
            Self::This => Self::This,
        }
    }
}

/// A purchase that is to be attempted.
#[derive(Clone, Debug)]
pub struct Bid {
    pub account: AccountSid,
    pub order: Arc<Order>,
    /// Under which the number will be held.
    pub sid: NumberSid,
    /// Where to begin among the numbers that match.
    pub from: i32,
}

/// What an attempt at a purchase saw and did.
#[derive(Debug)]
pub struct Attempt {
    /// The number that matched and was free.
    pub candidate: Option<PhoneNumber>,
    /// The same, when all else was in order too: then it is bought.
    pub bought: Option<PhoneNumber>,
    pub price: Money,
    /// The account, if it was there to be held, as it was before any purchase of the batch.
    pub status: Option<Status>,
    pub balance: Option<Money>,
    pub key_is_known: bool,
    /// When the number was bought: no earlier than its last move, whose machine's clock may be ahead of ours.
    pub at: Option<DateTime<Utc>>,
}

/// The whole rule of a purchase, as one statement for a batch of bids. Each bid stands for itself: one whose number, account,
/// money or key is not in order changes nothing. `$waits_first` says whether accounts are waited for before any number is
/// held; `$numbers` and `$accounts`, whether rows of stock and of accounts that others hold are passed over. The CTEs are
/// run in the order in which they stand: each of those that lock counts the one before it, which has it done first.
///
/// The bids want either the next numbers of a kind and area code, or each the number that it names. For the latter, and for
/// prices of their own, the statement has two more values, of which the others know nothing: they cost nobody else.
macro_rules! purchases {
    (
        $array:literal, $names:literal, $read:literal,
        next, $waits_first:literal, $numbers:literal, $accounts:literal, $db:ident, $bids:ident, $now:ident
    ) => {
        purchases!(
            statement, $array, $names, $waits_first, $accounts, $db, $bids, $now,
            "",
            [
                "wanted as materialized (
                -- Sees: how many numbers of each kind and area code are wanted. Locks: nothing. Here: one walk for all of them.
                select kind, area, count(*) as many, min(pick_from) as pick_from from bid
                where (select count(*) from waited_for) >= 0 group by kind, area
            ), candidate as materialized (
                -- Sees: available numbers. Locks: those that it takes. Here: stock is locked first.
                -- The next ones from a random place; at the end of the queue, on from its beginning. By area
                -- code and anywhere each walk an index of their own. An area code has one kind: asked for beside
                -- it, the planner may walk all of the kind to find that the area code has none.
                select wanted.kind, wanted.area, next.phone_number, next.state_since,
                    row_number() over (partition by wanted.kind, wanted.area) as nth
                from wanted cross join lateral (
                    select there.phone_number, there.state_since
                    from (values (pick_from, 2147483647), (0, pick_from - 1)) as stretch (low, high)
                    cross join lateral (
                        select * from (
                            select phone_number, state_since from stock
                            where wanted.area is not null and state = 'available' and area_code = wanted.area
                                and pick between low and high
                            order by pick limit many for update ",
                $numbers,
                "
                        ) as in_area
                        union all
                        select * from (
                            select phone_number, state_since from stock
                            where wanted.area is null and state = 'available' and kind = wanted.kind
                                and pick between low and high
                            order by pick limit many for update ",
                $numbers,
                "
                        ) as anywhere
                    ) as there
                    limit many
                ) as next
            ), "
            ],
            "",
            ""
        )
    };
    ($array:literal, $names:literal, $read:literal, this, $db:ident, $bids:ident, $now:ident) => {
        purchases!(
            statement, $array, $names, "false", "", $db, $bids, $now,
            ", unnest($10::bigint[]) as number, unnest($11::bigint[]) as own_price",
            [
                "candidate as materialized (
                -- Sees: the numbers that are named and available. Locks: them. Here: stock is locked first.
                select bid.kind, bid.area, stock.phone_number, stock.state_since, bid.nth
                from bid join stock on stock.phone_number = number
                where state = 'available' and (select count(*) from waited_for) >= 0
                order by pick for update of stock
            ), "
            ],
            "
                    select coalesce(own_price, (",
            "
                    )) as price",
            &each($bids, |bid| bid.order.wanted.number()) as &[Option<PhoneNumber>],
            &each($bids, |bid| bid.order.wanted.price()) as &[Option<Money>]
        )
    };
    (
        statement, $array:literal, $names:literal, $waits_first:literal, $accounts:literal,
        $db:ident, $bids:ident, $now:ident, $more:literal, [$($candidates:literal),+], $if_own:literal, $if_no_own:literal
        $(, $value:expr)*
    ) => {
        query_as!(
            Attempt,
            "with bid as materialized (
                -- Sees: what is asked for, and whether its key is known. Locks: nothing. First, because the other CTEs read it.
                -- Of the bids with one key, the first goes alone.
                select asked.*, row_number() over (partition by kind, area order by place) as nth,
                    key is not null and (row_number() over (partition by account, key order by place) > 1
                        or exists (select from idempotency_keys as known
                            where known.account_sid = account and known.key = asked.key)) as key_is_known
                from (
                    select unnest($1::uuid[]) as account, unnest($2::number_kind[]) as kind, unnest($3::smallint[]) as area,
                        unnest($4::uuid[]) as sid, unnest($5::integer[]) as pick_from, unnest($6::text[]) as key,
                        unnest($7::bytea[]) as request, unnest($8::"
                + $array
                + ") as settings"
                + $more
                + ", generate_subscripts($1::uuid[], 1) as place
                ) as asked
            ), waited_for as materialized (
                -- Sees: nothing. Locks: the account, where all bids are of one that was busy elsewhere. Here: to wait for
                -- it before any stock is held is an exception from the order of locks, and safe: from here on
                -- locked stock is skipped.
                select sid from accounts where "
                + $waits_first
                + " and sid = any($1) for no key update
            ), "
                $(+ $candidates)+
                + "holder as materialized (
                -- Sees: the accounts as they are now. Locks: them. Here: after stock, which it counts.
                select sid, status, balance from accounts
                where sid = any($1) and (select count(*) from candidate) >= 0
                for no key update "
                + $accounts
                + "
            ), match as materialized (
                -- Sees: each bid with its number, its account and its price, and what would be left of the balance.
                -- Locks: nothing. Here: what it saw of a bid tells why that came to nothing.
                select bid.*, candidate.phone_number, greatest($9, candidate.state_since) as at, cost.price,
                    holder.status, holder.balance, balance_after(holder.balance, -cost.price)
                    filter (where holder.status = 'active' and candidate.phone_number is not null and not key_is_known)
                    over (partition by account order by place) as balance_after
                from bid
                left join candidate on candidate.kind = bid.kind and candidate.area is not distinct from bid.area
                    and candidate.nth = bid.nth
                left join holder on holder.sid = account
                cross join lateral ("
                + $if_own
                + "
                    -- The account's own, else everybody's.
                    select price from prices
                    where prices.kind = bid.kind and (account_sid = account or account_sid is null)
                    order by account_sid nulls last limit 1"
                + $if_no_own
                + "
                ) as cost
            ), bought as materialized (
                -- Sees: the bids in order that the balance covers. Locks: nothing. Here: each of the writes below is made of it.
                select * from match
                where status = 'active' and phone_number is not null and not key_is_known and balance_after >= 0
            ), debit as (
                -- Writes: the accounts. From the balance that was locked, for this update begins with the row as it was when
                -- the statement began, and its constraints are checked before PostgreSQL looks for a newer version.
                update accounts set
                    balance = held - cost,
                    monthly_fees = monthly_fees + cost,
                    local_numbers = local_numbers + local,
                    tollfree_numbers = tollfree_numbers + tollfree
                from (
                    select account, min(balance) as held, sum(price)::bigint as cost, count(*) filter (where kind = 'local') as local,
                        count(*) filter (where kind = 'tollfree') as tollfree
                    from bought group by account
                ) as total
                where sid = account
            ), claim as (
                -- Writes: the numbers.
                update stock set state = 'in_use', moved_by = 'sale', state_since = at, tenancy_sid = bought.sid
                from bought where stock.phone_number = bought.phone_number
            ), tenancy as (
                -- Writes: who holds them from now on.
                insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on, "
                + $names
                + ")
                select sid, account, phone_number, kind, price, at, at, month_begins(at, 1), (settings).* from bought
            ), entry as (
                -- Writes: what was paid, in the order of the bids.
                insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
                select account, at, 'purchase', -price, balance_after, sid, 0 from bought order by place
            ), remembered as (
                -- Writes: the keys. The same key, from elsewhere at the same time, fails here and takes all back.
                insert into idempotency_keys (account_sid, key, request, tenancy_sid, created_at)
                select account, key, request, sid, $9 from bought where key is not null
            )
            select match.phone_number as \"candidate?: PhoneNumber\", bought.phone_number as \"bought?: PhoneNumber\",
                match.price as \"price!: Money\", match.status as \"status?: Status\",
                match.balance as \"balance?: Money\", match.key_is_known as \"key_is_known!\",
                bought.at as \"at?\"
            from match left join bought using (place)
            order by place",
            &each($bids, |bid| bid.account) as &[AccountSid],
            &each($bids, |bid| bid.order.wanted.kind()) as &[Kind],
            &each($bids, |bid| area(bid.order.wanted)) as &[Option<i16>],
            &each($bids, |bid| bid.sid) as &[NumberSid],
            &each($bids, |bid| bid.from),
            &each($bids, |bid| bid.order.key.as_ref().map(|key| key.text.as_str())) as &[Option<&str>],
            &each($bids, |bid| bid.order.key.as_ref().map(|key| key.request.as_slice())) as &[Option<&[u8]>],
            &each($bids, |bid| Given::of(&bid.order.settings)) as &[Given<'_>],
            $now
            $(, $value)*
        )
        .fetch_all($db)
        .await
    };
}

/// No number has this area code.
const NOWHERE: i16 = 0;

/// No number of a kind has an area code of the other kind, so nothing is searched.
fn area(wanted: Wanted) -> Option<i16> {
    match wanted {
        Wanted::Next { kind, area_code: Some(code) } if code.kind() == kind => Some(code.as_smallint()),
        Wanted::Next { area_code: Some(_), .. } => Some(NOWHERE),
        Wanted::Next { area_code: None, .. } | Wanted::This { .. } => None,
    }
}

/// Attempts purchases, all in one transaction; what became of each, in their order.
#[instrument(name = "purchases.buy", level = "debug", skip_all)]
pub async fn buy(db: impl PgExecutor<'_>, locking: Locking, bids: &[Bid], now: DateTime<Utc>) -> Result<Vec<Attempt>> {
    match locking {
        Locking::SkipAll => columns!(purchases! { next, "false", "skip locked", "skip locked", db, bids, now }),
        Locking::WaitForAccount => columns!(purchases! { next, "true", "skip locked", "", db, bids, now }),
        Locking::WaitForStock => columns!(purchases! { next, "false", "", "", db, bids, now }),
        Locking::This => columns!(purchases! { this, db, bids, now }),
    }
}
