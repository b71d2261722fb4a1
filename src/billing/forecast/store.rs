//! The statements that forecast a run of billing.

use futures_util::stream::BoxStream;
use sqlx::{Result, query_as};
use tracing::instrument;

use super::{Billed, Fee, Moment, Outlook};
use crate::db::Transaction;
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// `query_as!` over `judged`: each month that is due of each number, and whether it is paid.
///
/// - An account that is not unpaid pays its fees, and those of its sub-accounts, in the order of their days, as far as its balance covers all of them
///   so far. What is free needs no balance.
/// - An unpaid account pays all that it owes, or nothing but what is free.
macro_rules! judged {
    ($of:ty, $after:literal, $moment:ident) => {
        query_as!(
            $of,
            "with fee as (
                select payer.sid as account_sid, tenancies.sid, phone_number, price, due_on, balance,
                    payer.unpaid_since, month_begins(started_at, month) as begins
                from tenancies join accounts as holder on holder.sid = account_sid
                join accounts as payer on payer.sid = holder.payer_sid
                join account_sums on account_sums.account_sid = payer.sid
                cross join lateral (
                    values (case when payer.unpaid_since is null then ($1 at time zone 'UTC')::date
                        else owes_by(payer.unpaid_since, $1) end)
                ) as it (day)
                cross join lateral generate_series(due_month,
                    due_month + months_due(started_at, due_month, day) - 1) as month
                where ended_at is null and due_on <= ($3 at time zone 'UTC')::date and due_on <= day
            ), debt as (
                select *, balance - sum(price) over (partition by account_sid order by begins, sid) as could_be_left,
                    unpaid_since is not null and sum(price) over (partition by account_sid) <= balance
                        and bool_or(price > 0 and due_on <= ($1 at time zone 'UTC')::date)
                            over (partition by account_sid) as settles
                from fee
            ), paid as (
                select *, case when settles then true
                    when unpaid_since is null then price = 0 or could_be_left >= 0
                    else price = 0 and begins <= ($1 at time zone 'UTC')::date end as is_paid
                from debt
            ), judged as (
                select *, price > 0 and not is_paid and coalesce(unpaid_since, $3) <= $2
                    and due_on_after <= ($2 at time zone 'UTC')::date as goes
                from (
                    select *, min(begins) filter (where not is_paid) over (partition by sid) as due_on_after from paid
                ) as numbers
            ) " + $after,
            $moment.as_of,
            $moment.since,
            $moment.now
        )
    };
}

/// What becomes of an account, and of all of them together: each row has both, so that the sums come first.
pub struct Row {
    account_sid: AccountSid,
    account_name: String,
    charged: i64,
    amount: Money,
    suspended: bool,
    activated: bool,
    released: i64,
    all_charged: i64,
    whole_amount: Money,
    all_suspended: i64,
    all_activated: i64,
    all_released: i64,
}

impl Row {
    pub fn total(&self) -> Billed {
        Billed {
            charged: self.all_charged,
            amount: self.whole_amount,
            suspended: self.all_suspended,
            activated: self.all_activated,
            released: self.all_released.unsigned_abs(),
            busy: Vec::new(),
        }
    }

    pub fn outlook(self) -> Outlook {
        let Self { account_sid, account_name, charged, amount, suspended, activated, released, .. } = self;
        Outlook { account_sid, account_name, charged, amount, suspended, activated, released }
    }
}

#[instrument(name = "billing.forecast.accounts", level = "debug", skip_all)]
pub fn accounts(within: &mut Transaction, moment: Moment) -> BoxStream<'_, Result<Row>> {
    judged!(
        Row,
        "select account_sid as \"account_sid!: AccountSid\", name as \"account_name!\",
            charged as \"charged!\", amount as \"amount!: Money\", suspended as \"suspended!\",
            activated as \"activated!\", released as \"released!\",
            sum(charged) over ()::bigint as \"all_charged!\", sum(amount) over ()::bigint as \"whole_amount!: Money\",
            count(*) filter (where suspended) over () as \"all_suspended!\",
            count(*) filter (where activated) over () as \"all_activated!\",
            sum(released) over ()::bigint as \"all_released!\"
        from (
            select account_sid, name, count(*) filter (where is_paid) as charged,
                coalesce(sum(price) filter (where is_paid), 0)::bigint as amount,
                bool_or(unpaid_since is null and not is_paid) as suspended, bool_or(settles) as activated,
                count(distinct judged.sid) filter (where goes) as released
            from (select account_sid, sid, price, unpaid_since, settles, is_paid, goes from judged) as judged
            join (select sid as account, name from accounts) as names on account = account_sid
            group by account_sid, name
            having bool_or(is_paid) or bool_or(unpaid_since is null) or bool_or(goes)
        ) as outlooks
        order by name, account_sid",
        moment
    )
    .fetch(&mut **within)
}

#[instrument(name = "billing.forecast.fees", level = "debug", skip_all)]
pub fn fees(within: &mut Transaction, moment: Moment) -> BoxStream<'_, Result<Fee>> {
    judged!(
        Fee,
        "select account_sid as \"account_sid: AccountSid\", phone_number as \"phone_number: PhoneNumber\",
            sid as \"number_sid: NumberSid\", begins as \"due_on!\", price as \"price: Money\", is_paid as \"charged!\",
            goes as \"released!\"
        from judged order by account_sid, begins, sid",
        moment
    )
    .fetch(&mut **within)
}
