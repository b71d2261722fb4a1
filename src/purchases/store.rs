//! The statements of a purchase.
//!
//! Lock order: stock, account, tenancy; of accounts, those that pay before those that hold. A statement may wait for an
//! account while it holds stock, never the reverse; one that locks the account first skips locked stock. Several rows of
//! stock are locked in the order of `pick`, by releases and withdrawals too. A row that turns out not to match, after a
//! wait for its lock, stays locked until the statement ends.

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

/// How purchases lock numbers and accounts: three ways for the next number and two for one that is named, the strictest
/// last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// Begins at a random number and skips all locked rows. Never waits, but may miss the last free numbers, and does
    /// nothing for locked accounts.
    SkipAll,
    /// Waits for the account first, before any number is locked, and then skips locked numbers. Only for bids of one
    /// account.
    WaitForAccount,
    /// Begins at the first number and waits for all locks. Misses no number. Only for a single bid.
    WaitForStock,
    /// Takes the numbers that the bids name, and skips all locked rows. Of several bids for one number, only the first can
    /// buy.
    ThisIfFree,
    /// Takes the number that the bid names, and waits for all locks. Only for a single bid.
    This,
}

impl Locking {
    pub const fn stricter(self) -> Self {
        match self {
            Self::SkipAll => Self::WaitForAccount,
            Self::WaitForAccount | Self::WaitForStock => Self::WaitForStock,
            Self::ThisIfFree | Self::This => Self::This,
        }
    }

    pub const fn strictest(self) -> Self {
        match self {
            Self::SkipAll | Self::WaitForAccount | Self::WaitForStock => Self::WaitForStock,
            Self::ThisIfFree | Self::This => Self::This,
        }
    }

    pub const fn skips_accounts(self) -> bool {
        matches!(self, Self::SkipAll | Self::ThisIfFree)
    }

    /// Whether a number that was not found is not there.
    pub const fn waits_for_stock(self) -> bool {
        matches!(self, Self::WaitForStock | Self::This)
    }
}

/// A purchase that is to be attempted.
#[derive(Clone, Debug)]
pub struct Bid {
    /// The account that is to hold the number, and the one that pays for it.
    pub account: AccountSid,
    pub payer: AccountSid,
    pub order: Arc<Order>,
    /// The Sid of the new tenancy.
    pub sid: NumberSid,
    /// The `pick` from which the search begins.
    pub from: i32,
}

/// What an attempt to buy saw and did.
#[derive(Debug)]
pub struct Attempt {
    /// A number that matched and was free.
    pub candidate: Option<PhoneNumber>,
    /// The same number, if it was bought.
    pub bought: Option<PhoneNumber>,
    pub price: Money,
    /// The account's status and its payer's balance before this batch; `None` if another transaction has locked one of them,
    /// or there is none.
    pub status: Option<Status>,
    pub balance: Option<Money>,
    pub key_is_known: bool,
    /// When the number was bought. Never before its last move: that was dated by another machine, whose clock may be
    /// ahead of ours.
    pub at: Option<DateTime<Utc>>,
}

/// The whole rule of a purchase, as one statement for a batch of bids. Each bid is decided by itself: a failed bid
/// changes nothing. `$waits_first` says whether the account is locked before any number. `$numbers` and `$accounts`
/// say whether locked rows of stock and of accounts are skipped. The CTEs run in the order in which they are written,
/// because each CTE that locks counts the rows of the one before it.
///
/// Bids want either the next numbers of a kind and area code, or each the number that it names. A statement for the latter
/// has two more values: the numbers, and prices of their own. The others do not pay for it: their text is without them.
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
                -- Sees: available numbers. Locks: those that it takes. Here: stock is locked first. Takes the next
                -- numbers after a random `pick`; after the last `pick`, it goes on from the first. Searches with and
                -- without an area code walk different indexes. The search by area code does not name the kind,
                -- because an area code has only one. With it, the planner might walk all numbers of the kind to find
                -- that the area code has none.
                select wanted.kind, wanted.area, next.phone_number, next.state_since,
                    row_number() over (partition by wanted.kind, wanted.area) as nth
                from wanted cross join lateral (
                    select there.phone_number, there.state_since
                    from (values (pick_from, 2147483647), (0, pick_from - 1)) as range (low, high)
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
    ($array:literal, $names:literal, $read:literal, this, $skips:literal, $db:ident, $bids:ident, $now:ident) => {
        purchases!(
            statement, $array, $names, "false", $skips, $db, $bids, $now,
            ", ($11::bigint[])[ordinal] as number, ($12::bigint[])[ordinal] as own_price",
            [
                "candidate as materialized (
                -- Sees: the named numbers that are available. Locks: them. Here: stock is locked first. Of several bids
                -- for one number, the first gets it.
                select bid.kind, bid.area, stock.phone_number, stock.state_since, bid.nth
                from bid join stock on stock.phone_number = number
                where state = 'available' and (select count(*) from waited_for) >= 0
                    and bid.ordinal in (select min(ordinal) from bid group by number)
                order by pick for update of stock ",
                $skips,
                "
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
                -- Sees: what is asked for, and whether its key is known. Locks: nothing. First, because the other
                -- CTEs read it. Of several bids with one key, only the first can buy. A key is looked for by a
                -- scalar subquery, once a bid: for `exists`, the planner may read all keys of all accounts.
                select asked.*, row_number() over (partition by kind, area order by ordinal) as nth,
                    key is not null and (row_number() over (partition by account, key order by ordinal) > 1
                        or (select known.key from idempotency_keys as known
                            where known.account_sid = account and known.key = asked.key) is not null) as key_is_known
                from (
                    -- The planner expects ten rows of `unnest`. Of `generate_subscripts` it would expect 1,000.
                    select every.*, ($8::"
                + $array
                + ")[ordinal] as settings"
                + $more
                + " from unnest($1::uuid[], $10::uuid[], $2::number_kind[], $3::smallint[], $4::uuid[], $5::integer[],
                            $6::text[], $7::bytea[]) with ordinality
                        as every (account, payer, kind, area, sid, pick_from, key, request, ordinal)
                ) as asked
            ), waited_for as materialized (
                -- Sees: nothing. Locks: the payer, if all bids are of one payer that another instance had locked.
                -- Here: before any stock is locked. This is an exception from the order of locks, and safe, because
                -- locked stock is skipped afterwards.
                select sid from accounts where "
                + $waits_first
                + " and sid = any($10) for no key update
            ), "
                $(+ $candidates)+
                + "payer as materialized (
                -- Sees: the accounts that pay, as they are now. Locks: these accounts. Here: after stock, because it
                -- counts the candidates.
                select sid, status from accounts
                where sid = any($10) and (select count(*) from candidate) >= 0
                for no key update "
                + $accounts
                + "
            ), holder as materialized (
                -- Sees: the sub-accounts that hold what others pay. Locks: these accounts. Here: after their payers,
                -- because it counts them.
                select sid, status from accounts
                where sid = any(array(select account from bid where account <> payer))
                    and (select count(*) from payer) >= 0
                for no key update "
                + $accounts
                + "
            ), sums as materialized (
                -- Sees: the balances of the payers as they are now, which may be newer than the statement's snapshot.
                -- Locks: these rows of `account_sums`. Here: after the accounts. Every statement that changes a balance
                -- locks its account first, so no other transaction has these rows.
                select its.* from payer cross join lateral (
                    select account_sid, balance from account_sums where account_sid = payer.sid
                    order by version desc limit 1 for no key update
                ) as its
            ), match as materialized (
                -- Sees: each bid with its number, account, price and the balance that would be left. Locks: nothing.
                -- Here: its rows are the answer, and say why a bid failed.
                select bid.*, candidate.phone_number, greatest($9, candidate.state_since) as at, cost.price,
                    held.status, sums.balance, balance_after(sums.balance, -cost.price)
                    filter (where held.status = 'active' and candidate.phone_number is not null and not key_is_known)
                    over (partition by bid.payer order by ordinal) as balance_after
                from bid
                left join candidate on candidate.kind = bid.kind and candidate.area is not distinct from bid.area
                    and candidate.nth = bid.nth
                left join payer on payer.sid = bid.payer
                left join sums on sums.account_sid = bid.payer
                left join holder on holder.sid = account
                cross join lateral (
                    -- A sub-account is suspended with its owner.
                    select case when account = bid.payer then payer.status when payer.sid is not null then holder.status end as status
                ) as held
                cross join lateral ("
                + $if_own
                + "
                    -- The account's own price, else its payer's, else the general one.
                    select price from prices
                    where prices.kind = bid.kind and (account_sid in (account, bid.payer) or account_sid is null)
                    order by account_sid is null, account_sid <> account limit 1"
                + $if_no_own
                + "
                ) as cost
            ), bought as materialized (
                -- Sees: the bids that succeed. Locks: nothing. Here: all writes below read it.
                select * from match
                where status = 'active' and phone_number is not null and not key_is_known and balance_after >= 0
            ), debit as (
                -- Writes: the sums of the accounts. The new balance is made from the locked row (`sums`), not from the row
                -- that this update sees: that one may be older, and PostgreSQL checks the constraints on it before it
                -- looks for a newer version. A sub-account has no balance.
                update account_sums set
                    version = version + 1,
                    balance = coalesce(was - cost, 0),
                    monthly_fees = monthly_fees + fees,
                    local_numbers = local_numbers + local,
                    tollfree_numbers = tollfree_numbers + tollfree
                from (
                    select party, min(was) as was, sum(cost)::bigint as cost, sum(fees)::bigint as fees,
                        count(*) filter (where held = 'local') as local, count(*) filter (where held = 'tollfree') as tollfree
                    from bought cross join lateral (
                        values (payer, balance, price, 0, null), (account, null, 0, price, kind)
                    ) as part (party, was, cost, fees, held)
                    group by party
                ) as total
                where (account_sid, version) >= (party, (select version from sums_of(party))) and account_sid <= party
            ), claim as (
                -- Writes: the numbers.
                update stock set state = 'in_use', moved_by = 'sale', state_since = at, tenancy_sid = bought.sid
                from bought where stock.phone_number = bought.phone_number
            ), tenancy as (
                -- Writes: the tenancies.
                insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on, "
                + $names
                + ")
                select sid, account, phone_number, kind, price, at, at, month_begins(at, 1), (settings).* from bought
            ), entry as (
                -- Writes: the ledger entries, in the order of the bids.
                insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
                select payer, at, 'purchase', -price, balance_after, sid, 0 from bought order by ordinal
            ), remembered as (
                -- Writes: the keys. If another instance has just written the same key, the statement fails here and
                -- is rolled back.
                insert into idempotency_keys (account_sid, key, request, tenancy_sid, created_at)
                select account, key, request, sid, $9 from bought where key is not null
            )
            select match.phone_number as \"candidate?: PhoneNumber\", bought.phone_number as \"bought?: PhoneNumber\",
                match.price as \"price!: Money\", match.status as \"status?: Status\",
                match.balance as \"balance?: Money\", match.key_is_known as \"key_is_known!\",
                bought.at as \"at?\"
            from match left join bought using (ordinal)
            order by ordinal",
            &each($bids, |bid| bid.account) as &[AccountSid],
            &each($bids, |bid| bid.order.wanted.kind()) as &[Kind],
            &each($bids, |bid| area(bid.order.wanted)) as &[Option<i16>],
            &each($bids, |bid| bid.sid) as &[NumberSid],
            &each($bids, |bid| bid.from),
            &each($bids, |bid| bid.order.key.as_ref().map(|key| key.text.as_str())) as &[Option<&str>],
            &each($bids, |bid| bid.order.key.as_ref().map(|key| key.request.as_slice())) as &[Option<&[u8]>],
            &each($bids, |bid| Given::of(&bid.order.settings)) as &[Given<'_>],
            $now,
            &each($bids, |bid| bid.payer) as &[AccountSid]
            $(, $value)*
        )
        .fetch_all($db)
        .await
    };
}

/// No number has this area code.
const NOWHERE: i16 = 0;

/// The area code to search. An area code of the other kind becomes [`NOWHERE`], so that nothing is searched.
fn area(wanted: Wanted) -> Option<i16> {
    match wanted {
        Wanted::Next { kind, area_code: Some(code) } if code.kind() == kind => Some(code.as_smallint()),
        Wanted::Next { area_code: Some(_), .. } => Some(NOWHERE),
        Wanted::Next { area_code: None, .. } | Wanted::This { .. } => None,
    }
}

/// Attempts purchases, all in one transaction. Returns the attempts in the order of the bids.
#[instrument(name = "purchases.buy", level = "debug", skip_all)]
pub async fn buy(db: impl PgExecutor<'_>, locking: Locking, bids: &[Bid], now: DateTime<Utc>) -> Result<Vec<Attempt>> {
    match locking {
        Locking::SkipAll => columns!(purchases! { next, "false", "skip locked", "skip locked", db, bids, now }),
        Locking::WaitForAccount => columns!(purchases! { next, "true", "skip locked", "", db, bids, now }),
        Locking::WaitForStock => columns!(purchases! { next, "false", "", "", db, bids, now }),
        Locking::ThisIfFree => columns!(purchases! { this, "skip locked", db, bids, now }),
        Locking::This => columns!(purchases! { this, "", db, bids, now }),
    }
}
