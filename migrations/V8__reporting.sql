-- Reporting: views that are a promise. A column is never renamed or dropped, new ones come at the end.

create schema reporting;

-- Up to PostgreSQL 14 everybody may create tables here.
revoke create on schema public from public;
grant usage on schema reporting to numberbank_reporting;
alter default privileges in schema reporting grant select on tables to numberbank_reporting;

-- Sids as on the wire.
create function reporting.account_sid(sid uuid) returns text
language sql immutable parallel safe as $$ select 'AC' || replace(sid::text, '-', '') $$;

create function reporting.number_sid(sid uuid) returns text
language sql immutable parallel safe as $$ select 'PN' || replace(sid::text, '-', '') $$;

-- Now, or what a session says it is: `set numberbank.now = '2026-12-01'`.
create function reporting.moment() returns timestamptz
language sql stable parallel safe as $$
    select coalesce(nullif(current_setting('numberbank.now', true), '')::timestamptz, now())
$$;

-- Finds the account that a report is limited to.
create index accounts_wire_sid on accounts (reporting.account_sid(sid));
-- What an account held; written only at a release.
create index tenancies_ended_by_account on tenancies (account_sid) where ended_at is not null;
-- The entries of a month. They come in order, so a few bytes for many pages tell where it is.
create index ledger_entries_at on ledger_entries using brin (at);

-- By its Sid alone the tenancy is the right one, and left out by PostgreSQL where nobody asks for the
-- account; the rest lets indexes find an account's numbers.
create view reporting.inventory as
select stock.phone_number, stock.kind, area_code, state, provider, state_since,
    reporting.account_sid(accounts.sid) as account_sid
from stock
left join tenancies on tenancies.sid = tenancy_sid and tenancies.phone_number = stock.phone_number and ended_at is null
left join accounts on accounts.sid = account_sid;

-- The rows of stock_counts add up.
create view reporting.inventory_summary as
select kind, area_code, sum(available) as available, sum(in_use) as in_use, sum(quarantined) as quarantined,
    sum(withdrawn) as withdrawn, sum(available + in_use + quarantined + withdrawn) as total
from stock_counts
group by kind, area_code
having sum(available + in_use + quarantined + withdrawn) > 0;

create view reporting.accounts as
with month as (
    select date_trunc('month', reporting.moment() at time zone 'UTC') as begins
)
select reporting.account_sid(accounts.sid) as sid, name, status,
    case when closed_at is not null then null when suspended_at is not null then 'operator'::change_reason
        when unpaid_since is not null then 'unpaid' end as reason,
    (balance * 0.01)::numeric(20, 2) as balance,
    local_numbers + tollfree_numbers as numbers_held,
    (monthly_fees * 0.01)::numeric(20, 2) as monthly_cost,
    (coalesce(spent, 0) * 0.01)::numeric(20, 2) as spent_this_month,
    created_at,
    (case when unpaid_since is null then 0 else (
        select coalesce(sum(price * (months_begun(started_at, day) - due_month + 1)), 0)
        from tenancies, (values ((greatest(unpaid_since, reporting.moment()) at time zone 'UTC')::date)) as today (day)
        where account_sid = accounts.sid and ended_at is null and due_on <= day
    ) end * 0.01)::numeric(20, 2) as owed
from accounts
left join (
    select account_sid, -sum(amount) as spent
    from ledger_entries
    where kind in ('purchase', 'monthly_fee')
        and at >= (select begins at time zone 'UTC' from month)
        and at < (select (begins + interval '1 month') at time zone 'UTC' from month)
    group by account_sid
) as charges on charges.account_sid = accounts.sid;

-- In two halves, for each of which there is an index by number and one by account.
create view reporting.tenancies as
select reporting.number_sid(sid) as sid, phone_number, kind, reporting.account_sid(holder) as account_sid,
    started_at, ended_at, (price * 0.01)::numeric(20, 2) as price, url is not null or sms_url is not null as configured
from (
    select tenancies.sid, phone_number, kind, accounts.sid as holder, started_at, ended_at, price, url, sms_url
    from tenancies join accounts on accounts.sid = account_sid where ended_at is null
    union all
    select tenancies.sid, phone_number, kind, accounts.sid as holder, started_at, ended_at, price, url, sms_url
    from tenancies join accounts on accounts.sid = account_sid where ended_at is not null
) as halves;

-- A number that was restored was nobody's since its release: each sale and restore begins a stretch
-- that the next release of the tenancy ends.
create view reporting.holdings as
select tenancies.phone_number, account_sid, began.at as held_from,
    (select greatest(began.at, at) from stock_moves
    where phone_number = tenancies.phone_number and tenancy_sid = substr(tenancies.sid, 3)::uuid
        and from_state = 'in_use' and id > began.id
    order by id limit 1) as held_until,
    tenancies.sid as number_sid
from reporting.tenancies
cross join lateral (
    select started_at as at, 0 as id
    union all
    select at, id from stock_moves
    where phone_number = tenancies.phone_number and tenancy_sid = substr(tenancies.sid, 3)::uuid and cause = 'restore'
) as began;

create view reporting.moves as
select phone_number, at, from_state, to_state, cause, reporting.number_sid(tenancy_sid) as number_sid from stock_moves
union all
select phone_number, started_at, 'available', 'in_use', 'sale', sid from reporting.tenancies;

-- What is said of the end is always true: it lets both indexes by number be used.
create view reporting.ledger as
select reporting.account_sid(accounts.sid) as account_sid, at, ledger_entries.kind,
    (amount * 0.01)::numeric(20, 2) as amount, (balance_after * 0.01)::numeric(20, 2) as balance_after,
    phone_number, note, id, reporting.number_sid(tenancy_sid) as number_sid
from ledger_entries
join accounts on accounts.sid = ledger_entries.account_sid
left join tenancies on tenancies.sid = tenancy_sid and (ended_at is null or ended_at is not null);

create view reporting.monthly_revenue as
select date_trunc('month', at at time zone 'UTC')::date as month, tenancies.kind, ledger_entries.kind as charge,
    count(*) as count, (-sum(amount) * 0.01)::numeric(20, 2) as amount
from ledger_entries join tenancies on tenancies.sid = tenancy_sid
group by 1, 2, 3;

create view reporting.low_stock as
select kind, area_code, coalesce(available, 0) as available, threshold
from stock_thresholds left join reporting.inventory_summary using (kind, area_code)
where coalesce(available, 0) < threshold;

comment on view reporting.inventory is 'Every number in stock';
comment on column reporting.inventory.phone_number is 'ten digits';
comment on column reporting.inventory.kind is 'local or tollfree';
comment on column reporting.inventory.area_code is 'its first three digits';
comment on column reporting.inventory.state is 'available, in_use, quarantined (released, not sold again yet) or withdrawn (by the operator)';
comment on column reporting.inventory.provider is 'who the operator has it from, where that was said';
comment on column reporting.inventory.state_since is 'when it came into its state';
comment on column reporting.inventory.account_sid is 'the account that holds it; null while nobody does';

comment on view reporting.inventory_summary is 'How many numbers of each kind and area code are in which state';
comment on column reporting.inventory_summary.kind is 'local or tollfree';
comment on column reporting.inventory_summary.area_code is 'three digits';
comment on column reporting.inventory_summary.available is 'numbers for sale';
comment on column reporting.inventory_summary.in_use is 'numbers held by accounts';
comment on column reporting.inventory_summary.quarantined is 'numbers released and not sold again yet';
comment on column reporting.inventory_summary.withdrawn is 'numbers that the operator took out of sale';
comment on column reporting.inventory_summary.total is 'numbers in stock';

comment on view reporting.accounts is 'Every account: its money and how many numbers it holds';
comment on column reporting.accounts.sid is 'AC and 32 hex digits';
comment on column reporting.accounts.name is 'as its owner calls it';
comment on column reporting.accounts.status is 'active, suspended or closed';
comment on column reporting.accounts.reason is 'why it is suspended: operator, or unpaid where a fee was due that the balance did not cover; else null';
comment on column reporting.accounts.balance is 'dollars';
comment on column reporting.accounts.numbers_held is 'numbers held now';
comment on column reporting.accounts.monthly_cost is 'dollars a month for the numbers held now';
comment on column reporting.accounts.spent_this_month is 'dollars charged for purchases and monthly fees in this calendar month, UTC';
comment on column reporting.accounts.created_at is 'when it was made';
comment on column reporting.accounts.owed is 'dollars of fees that are due and not paid: what the balance must cover for it to be active again';

comment on view reporting.tenancies is 'Every tenancy of a number, ended ones too: from its sale to its last release';
comment on column reporting.tenancies.sid is 'PN and 32 hex digits';
comment on column reporting.tenancies.phone_number is 'ten digits';
comment on column reporting.tenancies.kind is 'local or tollfree';
comment on column reporting.tenancies.account_sid is 'whose it is or was';
comment on column reporting.tenancies.started_at is 'when the number was sold';
comment on column reporting.tenancies.ended_at is 'when it ended; null while it goes on';
comment on column reporting.tenancies.price is 'dollars a month, as at the sale';
comment on column reporting.tenancies.configured is 'whether calls or messages have an address to go to';

comment on view reporting.holdings is 'Who held a number, without a gap from when to when';
comment on column reporting.holdings.phone_number is 'ten digits';
comment on column reporting.holdings.account_sid is 'who held it';
comment on column reporting.holdings.held_from is 'when it was sold or restored';
comment on column reporting.holdings.held_until is 'when it was released: held no more at this moment; null while it is held';
comment on column reporting.holdings.number_sid is 'the tenancy that this is a part of';

comment on view reporting.moves is 'Every move of a number from one state to another';
comment on column reporting.moves.phone_number is 'ten digits';
comment on column reporting.moves.at is 'when';
comment on column reporting.moves.from_state is 'the state before';
comment on column reporting.moves.to_state is 'the state after';
comment on column reporting.moves.cause is 'sale; release, close (of the account) or unpaid; recycle (its quarantine has ended), restore; withdraw, return';
comment on column reporting.moves.number_sid is 'the tenancy that began, ended or began again; else null';

comment on view reporting.ledger is 'Every movement of money';
comment on column reporting.ledger.account_sid is 'whose money';
comment on column reporting.ledger.at is 'when';
comment on column reporting.ledger.kind is 'credit or debit by the operator, purchase or monthly_fee';
comment on column reporting.ledger.amount is 'dollars; what leaves the account is negative';
comment on column reporting.ledger.balance_after is 'dollars';
comment on column reporting.ledger.phone_number is 'the number that was paid for; null where it was none';
comment on column reporting.ledger.note is 'what the operator said of it';
comment on column reporting.ledger.id is 'grows from entry to entry: puts those of an account in order';
comment on column reporting.ledger.number_sid is 'the tenancy that was paid for; null where it was none';

comment on view reporting.monthly_revenue is 'What accounts were charged in each calendar month, UTC';
comment on column reporting.monthly_revenue.month is 'its first day';
comment on column reporting.monthly_revenue.kind is 'of the numbers: local or tollfree';
comment on column reporting.monthly_revenue.charge is 'purchase or monthly_fee';
comment on column reporting.monthly_revenue.count is 'number of charges';
comment on column reporting.monthly_revenue.amount is 'dollars';

comment on view reporting.low_stock is 'Kinds and area codes with fewer numbers available than their threshold';
comment on column reporting.low_stock.kind is 'local or tollfree';
comment on column reporting.low_stock.area_code is 'three digits';
comment on column reporting.low_stock.available is 'numbers for sale';
comment on column reporting.low_stock.threshold is 'fewer than this many are low; set by numberbank inventory threshold';
