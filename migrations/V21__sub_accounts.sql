-- Sub-accounts: accounts of a main account, which pays for them. There is one level of them.

-- Views first and then their tables, as those who read them lock them: see V17.
alter view reporting.accounts alter column sid drop default;
alter view reporting.ledger alter column id drop default;
lock table accounts in access exclusive mode;

-- The view that shows the status, so that its column can be made anew.
create or replace view reporting.accounts as
with month as (
    select date_trunc('month', reporting.moment() at time zone 'UTC') as begins
)
select reporting.account_sid(accounts.sid) as sid, name, case
        when closed_at is not null then 'closed'::account_status
        when suspended_at is not null or unpaid_since is not null then 'suspended'
        else 'active' end as status,
    case when closed_at is not null then null when suspended_at is not null then 'operator'::change_reason
        when unpaid_since is not null then 'unpaid' end as reason,
    (balance * 0.01)::numeric(20, 2) as balance,
    local_numbers + tollfree_numbers as numbers_held,
    (monthly_fees * 0.01)::numeric(20, 2) as monthly_fees,
    (coalesce(spent, 0) * 0.01)::numeric(20, 2) as spent_this_month,
    created_at,
    (case when unpaid_since is null then 0 else (
        select coalesce(sum(price * months_due(started_at, due_month, day)), 0)
        from tenancies, (values (owes_by(unpaid_since, reporting.moment()))) as today (day)
        where account_sid = accounts.sid and ended_at is null and due_on <= day
    ) end * 0.01)::numeric(20, 2) as owed,
    ref, unpaid_since, last_used_on
from accounts
left join (
    select reporting.account_sid(payer.sid) as payer, -sum(amount) as spent
    from ledger_entries join accounts as payer on payer.sid = account_sid
    where kind in ('purchase', 'monthly_fee')
        and at >= (select begins at time zone 'UTC' from month)
        and at < (select (begins + interval '1 month') at time zone 'UTC' from month)
    group by payer.sid
) as charges on payer = reporting.account_sid(accounts.sid);

alter table accounts
    drop column status,
    add column owner_sid uuid constraint accounts_owner_sid_fkey references accounts (sid), -- null: a main account
    -- By its owner: another fact than by the operator.
    add column suspended_by_owner_at timestamptz,
    -- Whether its owner is not active: kept by a trigger, so that nothing has to look at two rows.
    add column owner_suspended boolean not null default false,
    -- How many open sub-accounts it owns: kept by the statements that make and close them.
    add column sub_accounts bigint not null default 0;
alter table accounts
    -- Who pays for its numbers.
    add column payer_sid uuid not null generated always as (coalesce(owner_sid, sid)) stored,
    add column status account_status not null generated always as (case
        when closed_at is not null then 'closed'::account_status
        when suspended_at is not null or unpaid_since is not null or suspended_by_owner_at is not null or owner_suspended
            then 'suspended'
        else 'active' end) stored,
    -- All its money is its owner's: balance, debts, and so what is unpaid.
    add constraint accounts_sub_account_has_no_money check (owner_sid is null or (balance = 0 and unpaid_since is null)),
    add constraint accounts_main_account_has_no_owner check (
        owner_sid is not null or (suspended_by_owner_at is null and not owner_suspended)),
    add constraint accounts_one_level_of_sub_accounts check (
        sub_accounts >= 0 and (sub_accounts = 0 or (owner_sid is null and closed_at is null))),
    add constraint accounts_is_not_its_owner check (owner_sid <> sid);

-- The sub-accounts of an account, newest first. Main accounts are not in it.
create index accounts_by_owner on accounts (owner_sid, created_at, sid) where owner_sid is not null;
-- Those that owe fees, which are few: a run begins with them.
create index accounts_unpaid on accounts (sid) where unpaid_since is not null;

-- An owner who may not act suspends its open sub-accounts with it. Lock order: main accounts, then sub-accounts, each in the
-- order of their Sids.
create function suspend_with_owner() returns trigger language plpgsql as $$
begin
    perform from accounts where owner_sid = new.sid and closed_at is null order by sid for no key update;
    update accounts set owner_suspended = new.status <> 'active'
    where owner_sid = new.sid and closed_at is null and owner_suspended <> (new.status <> 'active');
    return null;
end $$;

create trigger accounts_suspended_with_owner after update of suspended_at, unpaid_since, closed_at on accounts
    for each row when (new.owner_sid is null and (old.status = 'active') <> (new.status = 'active'))
    execute function suspend_with_owner();

-- The accounts whose numbers an account pays for: itself and its open sub-accounts. A closed one holds none.
create function holders(payer uuid) returns setof uuid language sql stable parallel safe rows 1 as $$
    select sid from accounts where sid = payer or (owner_sid = payer and closed_at is null)
$$;

-- As in V17, of an account that pays.
create or replace function activate_without_debt() returns trigger language plpgsql as $$
begin
    update accounts set unpaid_since = null, updated_at = greatest(moment, updated_at),
        changed_by = case when suspended_at is null then ('nothing_owed', moment)::change_cause end
    from (values (coalesce(new.ended_at, new.updated_at))) as it (moment)
    where sid = (select payer_sid from accounts where sid = old.account_sid) and unpaid_since is not null and not exists (
        select from holders(accounts.sid) as holder (its_sid) join tenancies on account_sid = its_sid
        where ended_at is null and price > 0 and due_on <= owes_by(unpaid_since, moment));
    return null;
end $$;

-- As in V18, of owners too.
create or replace function tell_change() returns trigger language plpgsql as $$
begin
    if (new.closed_at, new.suspended_at, new.unpaid_since, new.suspended_by_owner_at) is distinct from
            (old.closed_at, old.suspended_at, old.unpaid_since, old.suspended_by_owner_at)
        or new.changed_note <> coalesce(
            (select note from account_events where account_sid = new.sid order by id desc limit 1), '')
    then
        insert into account_events (account_sid, at, change, reason, note)
        values (new.sid, (new.changed_by).at, case
            when new.closed_at is not null then 'closed'::account_change
            when new.suspended_at is null and new.unpaid_since is null and new.suspended_by_owner_at is null
                then 'activated'
            else 'suspended' end, (new.changed_by).reason, new.changed_note);
    end if;
    new.changed_by := null;
    new.changed_note := null;
    return new;
end $$;

-- For our triggers and statements only, whose role owns them.
revoke execute on function suspend_with_owner(), holders(uuid) from public;

create or replace view reporting.accounts as
with month as (
    select date_trunc('month', reporting.moment() at time zone 'UTC') as begins
)
select reporting.account_sid(accounts.sid) as sid, name, status,
    case when closed_at is not null then null when suspended_at is not null then 'operator'::change_reason
        when unpaid_since is not null then 'unpaid'
        when suspended_by_owner_at is not null or owner_suspended then 'owner' end as reason,
    (balance * 0.01)::numeric(20, 2) as balance,
    local_numbers + tollfree_numbers as numbers_held,
    (monthly_fees * 0.01)::numeric(20, 2) as monthly_fees,
    (coalesce(spent, 0) * 0.01)::numeric(20, 2) as spent_this_month,
    created_at,
    (case when unpaid_since is null then 0 else (
        select coalesce(sum(price * months_due(started_at, due_month, day)), 0)
        from accounts as holder
        join tenancies on account_sid = holder.sid and ended_at is null,
            (values (owes_by(accounts.unpaid_since, reporting.moment()))) as today (day)
        where (holder.sid = accounts.sid or holder.owner_sid = accounts.sid) and due_on <= day
    ) end * 0.01)::numeric(20, 2) as owed,
    ref, unpaid_since, last_used_on, reporting.account_sid(owner_sid) as owner_sid
from accounts
left join (
    select reporting.account_sid(payer.sid) as payer, -sum(amount) as spent
    from ledger_entries join accounts as payer on payer.sid = account_sid
    where kind in ('purchase', 'monthly_fee')
        and at >= (select begins at time zone 'UTC' from month)
        and at < (select (begins + interval '1 month') at time zone 'UTC' from month)
    group by payer.sid
) as charges on payer = reporting.account_sid(accounts.sid);

create or replace view reporting.ledger as
select reporting.account_sid(accounts.sid) as account_sid, at, ledger_entries.kind,
    (amount * 0.01)::numeric(20, 2) as amount, (balance_after * 0.01)::numeric(20, 2) as balance_after,
    phone_number, note, id, reporting.number_sid(tenancy_sid) as number_sid,
    name as account_name,
    ((started_at at time zone 'UTC')::date + make_interval(months => month))::date as period_from,
    ((started_at at time zone 'UTC')::date + make_interval(months => month + 1))::date as period_to,
    reverses, transfer, reporting.account_sid(tenancies.account_sid) as held_by
from ledger_entries
join accounts on accounts.sid = ledger_entries.account_sid
left join tenancies on tenancies.sid = tenancy_sid and (ended_at is null or ended_at is not null);

comment on column reporting.accounts.owner_sid is 'of a sub-account: the main account that owns it and pays for it; else null';
comment on column reporting.accounts.reason is
    'why it is suspended: operator, unpaid, or owner (its owner suspended it, or is suspended); else null';
comment on column reporting.ledger.held_by is
    'the account that holds the number that is paid for, or held it last: the account itself or one of its sub-accounts, unless the number was moved to another customer';
