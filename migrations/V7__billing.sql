-- Monthly fees, and what becomes of accounts that cannot pay them.

-- The day, in UTC, on which a month of a tenancy begins: the day of the purchase, so many months
-- later; the last day of the month where that has no such day.
create function month_begins(started_at timestamptz, month integer) returns date
language sql immutable parallel safe as $$
    select ((started_at at time zone 'UTC')::date + make_interval(months => month))::date
$$;

-- The last month of a tenancy that has begun by that day; 0 is the purchase's.
create function months_begun(started_at timestamptz, day date) returns integer
language sql immutable parallel safe as $$
    select months - (month_begins(started_at, months) > day)::integer
    from (select ((extract(year from day) - extract(year from started_at at time zone 'UTC')) * 12
        + extract(month from day) - extract(month from started_at at time zone 'UTC'))::integer as months) as calendar
$$;

-- The month that is charged next, and the day on which it begins.
alter table tenancies add column due_month smallint not null default 1, add column due_on date;
update tenancies set due_on = month_begins(started_at, 1);
alter table tenancies alter column due_on set not null;

-- What is due, the longest due first. By the day alone: a purchase finds its place at the end.
create index tenancies_due on tenancies (due_on) where ended_at is null;

-- In few words: PostgreSQL reads a table's checks anew for every statement. Kinds after 'debit' are charges.
alter table ledger_entries
    drop constraint ledger_entries_sign,
    drop constraint ledger_entries_charge_names_month,
    add constraint ledger_entries_sign check ((kind = 'credit') = (amount > 0)),
    add constraint ledger_entries_charge_names_month check (
        (tenancy_sid is null) = (month is null) and (kind <= 'debit') = (month is null)
        and (kind = 'purchase') = (month is not distinct from 0::smallint));

-- Why an account may not buy is one fact each; its status follows from them.
alter table accounts
    add column suspended_at timestamptz,                 -- by the operator
    add column unpaid_since timestamptz,                 -- a fee was due that the balance did not cover
    add column closed_at    timestamptz,
    add column monthly_fees bigint not null default 0;   -- cents: the prices of the numbers held, kept like their counts
update accounts set
    suspended_at = case status when 'suspended' then updated_at end,
    closed_at = case status when 'closed' then updated_at end,
    monthly_fees = coalesce((select sum(price) from tenancies where account_sid = accounts.sid and ended_at is null), 0);
alter table accounts
    drop column status,
    add column status account_status not null generated always as (case
        when closed_at is not null then 'closed'::account_status
        when suspended_at is not null or unpaid_since is not null then 'suspended'
        else 'active' end) stored;

create type account_change as enum ('suspended', 'activated', 'closed');
create type change_reason as enum (
    'operator', -- who said so
    'unpaid',   -- a fee was due that the balance did not cover
    'paid'      -- a credit covered what was due
);

-- What became of accounts, and why. Money has its ledger.
create table account_events (
    id          bigint         not null generated always as identity,
    account_sid uuid           not null constraint account_events_account_sid_fkey references accounts (sid),
    at          timestamptz    not null,
    change      account_change not null,
    reason      change_reason  not null,
    constraint account_events_pkey primary key (account_sid, id)
);

create trigger account_events_append_only before update or delete or truncate on account_events
    for each statement execute function refuse_change();
