-- Reports whose first row comes at once, and that read little more than they show.

-- Accounts in the order in which they were made: a report or list of them goes on where its last portion ended. Requests
-- change neither column.
create index accounts_by_age on accounts (created_at, sid);
-- API keys in that order.
create index api_keys_by_age on api_keys (created_at, sid);

-- As V25 has it, and the entries of a month too. Sums by month are grouped by this very expression: so the planner
-- finds their pages, and from the statistics that come with an index it knows that there are few months.
create index ledger_entries_in_time on ledger_entries
    using brin (at, ((at at time zone 'UTC')::date), id, (date_trunc('month', at at time zone 'UTC')::date))
    with (autosummarize = on);
drop index ledger_entries_at;
alter index ledger_entries_in_time rename to ledger_entries_at;
analyze ledger_entries;

-- What was spent is summed for each account that is asked for, by the ledger's primary key, from the first entry of this
-- month on. That one is not looked for among all of this month. Entries are written about in the order of their times, so
-- the last id of the day before the last day of the month before is a good guess: what is of this month and has a
-- smaller id all the same is found by the index, which knows the times and ids of each few pages. It is hardly ever
-- anything; if clocks went wrong, it takes longer. The filter stands in the sum, so that the pages of the month are not
-- looked up again for each account.
create or replace view reporting.accounts as
with month as (
    select begins at time zone 'UTC' as begins, (begins + interval '1 month') at time zone 'UTC' as ends
    from date_trunc('month', reporting.moment() at time zone 'UTC') as begins
), guess as (
    select coalesce(max(id), 9223372036854775807) as id from ledger_entries
    where at >= (select begins - interval '2 days' from month) and at < (select begins - interval '1 day' from month)
), before as (
    select coalesce(min(id) - 1, (select id from guess)) as id from ledger_entries
    where at >= (select begins from month) and at < (select ends from month) and id <= (select id from guess)
)
select reporting.account_sid(accounts.sid) as sid, name, status,
    case when closed_at is not null then null when suspended_at is not null then 'operator'::change_reason
        when unpaid_since is not null then 'unpaid'
        when suspended_by_owner_at is not null or owner_suspended then 'owner' end as reason,
    (balance * 0.01)::numeric(20, 2) as balance,
    local_numbers + tollfree_numbers as numbers_held,
    (monthly_fees * 0.01)::numeric(20, 2) as monthly_fees,
    ((
        select coalesce(-sum(amount) filter (where kind in ('purchase', 'monthly_fee')
            and at >= (select begins from month) and at < (select ends from month)), 0)
        from ledger_entries where account_sid = accounts.sid and id > (select id from before)
    ) * 0.01)::numeric(20, 2) as spent_this_month,
    created_at,
    (case when unpaid_since is null then 0 else (
        select coalesce(sum(price * months_due(started_at, due_month, day)), 0)
        from accounts as holder
        join tenancies on account_sid = holder.sid and ended_at is null,
            (values (owes_by(accounts.unpaid_since, reporting.moment()))) as today (day)
        where (holder.sid = accounts.sid or holder.owner_sid = accounts.sid) and due_on <= day
    ) end * 0.01)::numeric(20, 2) as owed,
    ref, unpaid_since, last_used_on, reporting.account_sid(owner_sid) as owner_sid
from accounts;
