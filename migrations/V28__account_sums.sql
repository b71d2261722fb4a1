-- What changes of an account with every purchase: its money, and the counts of its numbers. In a table of its own, so that
-- what refers to accounts, and what reads their names and status, meets no row that is written all day.

-- Views first and then their tables, as those who read them lock them: see V17.
alter view reporting.accounts alter column sid drop default;
lock table accounts in access exclusive mode;

create table account_sums (
    account_sid      uuid    not null constraint account_sums_account_sid_fkey references accounts (sid),
    -- Grows with each change, so that the index has the newest version first. While somebody holds a snapshot, as a backup
    -- does, PostgreSQL keeps all older versions: found by the account alone, they would all be walked for each purchase.
    version          bigint  not null default 0,
    -- Of a main account: a sub-account has no money. Accounts never become the other.
    is_main          boolean not null,
    balance          bigint  not null default 0, -- cents
    -- Of the numbers held: so totals of a list cost the same at fifty numbers and at a million.
    local_numbers    bigint  not null default 0,
    tollfree_numbers bigint  not null default 0,
    monthly_fees     bigint  not null default 0, -- cents: their prices
    constraint account_sums_pkey primary key (account_sid, version),
    constraint account_sums_balance_not_negative check (balance >= 0),
    constraint account_sums_numbers_not_negative check (local_numbers >= 0 and tollfree_numbers >= 0),
    constraint account_sums_sub_account_has_no_money check (is_main or balance = 0)
);

-- By statistics of few accounts and many old versions, a sort of all of them would seem as cheap as the index from its end.
alter table account_sums alter column account_sid set statistics 0;

insert into account_sums (account_sid, is_main, balance, local_numbers, tollfree_numbers, monthly_fees)
select sid, owner_sid is null, balance, local_numbers, tollfree_numbers, monthly_fees from accounts;

-- Each account has one row of sums, from its beginning on. Nothing else inserts any.
create function begin_sums() returns trigger language plpgsql as $$
begin
    insert into account_sums (account_sid, is_main) values (new.sid, new.owner_sid is null);
    return null;
end $$;
create trigger accounts_begin_sums after insert on accounts for each row execute function begin_sums();

-- The sums of an account. An update looks from the version that the statement sees: if the account was locked meanwhile,
-- it finds the newest one from there. Of several accounts it does so by a range, for by `=` PostgreSQL may read all of
-- the table for a hash join.
create function sums_of(account uuid) returns setof account_sums language sql stable parallel safe rows 1 as $$
    select * from account_sums where account_sid = account order by version desc limit 1
$$;

-- The same as of this very moment: for a statement that may have waited for the account.
create function sums_now(account uuid) returns account_sums language sql as $$
    select * from account_sums where account_sid = account order by version desc limit 1
$$;

-- How many numbers of a kind an account holds; null: of both kinds.
create function numbers_held(local_numbers bigint, tollfree_numbers bigint, wanted number_kind) returns bigint
language sql immutable parallel safe as $$
    select case wanted when 'local' then local_numbers when 'tollfree' then tollfree_numbers
        else local_numbers + tollfree_numbers end
$$;
drop function numbers_held(accounts, number_kind);

-- For our triggers and statements only, whose role owns them.
revoke execute on function begin_sums(), sums_of(uuid), sums_now(uuid), numbers_held(bigint, bigint, number_kind) from public;

-- As in V27, with the sums where they are now. Not by `sums_of`: who reads a view may not call our functions.
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
    (sums.balance * 0.01)::numeric(20, 2) as balance,
    sums.local_numbers + sums.tollfree_numbers as numbers_held,
    (sums.monthly_fees * 0.01)::numeric(20, 2) as monthly_fees,
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
from accounts cross join lateral (
    select * from account_sums where account_sid = accounts.sid order by version desc limit 1
) as sums;

alter table accounts
    drop constraint accounts_sub_account_has_no_money,
    drop column balance, drop column local_numbers, drop column tollfree_numbers, drop column monthly_fees,
    -- A sub-account's debts are its owner's, as its money is.
    add constraint accounts_sub_account_is_never_unpaid check (owner_sid is null or unpaid_since is null),
    -- Requests seldom change a row now.
    reset (fillfactor);
