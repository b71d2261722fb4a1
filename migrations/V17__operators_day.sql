-- What an operator does in a day: retire, move and reverse, with who held a number and who paid for it proven as before.

-- Views first, the outer ones before those that they read, and then tables: as those who read them lock them. This changes
-- nothing and locks each view; else a reader who comes in between holds a view and waits for a table, and this migration
-- waits for that reader.
alter view reporting.holdings alter column phone_number drop default;
alter view reporting.moves alter column phone_number drop default;
alter view reporting.low_stock alter column kind drop default;
alter view reporting.inventory_summary alter column kind drop default;
alter view reporting.inventory alter column phone_number drop default;
alter view reporting.accounts alter column sid drop default;
alter view reporting.tenancies alter column phone_number drop default;
alter view reporting.ledger alter column id drop default;
alter view reporting.operator_actions alter column id drop default;
lock table accounts, stock, prices, tenancies, ledger_entries in access exclusive mode;

-- Stock -----------------------------------------------------------------------------------------------------------

create type retirement as enum (
    'ported_out', -- to another provider
    'returned',   -- to the provider it came from
    'mistake'     -- it never was ours
);

alter table stock
    add column retirement retirement, -- why it was retired, while it is
    add column moved_note text;       -- what the operator said of the move that he makes

-- A retired number that comes back goes on with its quarantine.
alter table stock
    drop constraint stock_quarantine_has_beginning,
    add constraint stock_quarantine_has_beginning check (case
        when state = 'quarantined' then quarantined_at is not null
        when state in ('withdrawn', 'retired') then true
        else quarantined_at is null end);

-- The moves of days, as reports limit them. They come in order, so a few bytes for many pages tell where a day is.
create index stock_moves_at on stock_moves using brin (at);

-- What is out of sale, for lists. Sales do not touch it.
create index stock_out_of_sale on stock (state, phone_number)
    where state in ('withdrawn', 'retired');

alter table stock_moves
    add column note text,
    add column retirement retirement,
    add constraint stock_moves_retirement_has_reason check ((cause = 'retire') = (retirement is not null)),
    add constraint stock_moves_note_length check (char_length(note) between 1 and 255);

alter table stock_counts add column retired integer not null default 0;

-- What became of accounts: with a note, and with the number that was lost.
alter table account_events
    add column note text,
    add column tenancy_sid uuid,
    add constraint account_events_number_lost check ((change = 'number_lost') = (tenancy_sid is not null)),
    add constraint account_events_note_length check (char_length(note) between 1 and 255);

-- The events of days, as reports limit them.
create index account_events_at on account_events using brin (at);
-- The events of a number.
create index account_events_of_number on account_events (tenancy_sid) where tenancy_sid is not null;

-- The one place that knows which moves are legal, and for what cause.
create or replace function move_stock() returns trigger language plpgsql as $$
begin
    if old.state = 'available' and new.state = 'in_use' and new.moved_by = 'sale' then
        -- Its tenancy tells the rest.
        insert into stock_counts values (new.kind, new.area_code, -1, 1, 0, 0);
        return null;
    elsif (old.state, new.state, new.moved_by) in (
        ('in_use', 'quarantined', 'release'), ('in_use', 'quarantined', 'close'), ('in_use', 'quarantined', 'unpaid'),
        ('in_use', 'quarantined', 'operator_release'),
        ('quarantined', 'available', 'recycle'), ('quarantined', 'in_use', 'restore'),
        ('available', 'withdrawn', 'withdraw'), ('quarantined', 'withdrawn', 'withdraw'),
        ('withdrawn', 'available', 'return'), ('withdrawn', 'quarantined', 'return'),
        ('available', 'retired', 'retire'), ('quarantined', 'retired', 'retire'), ('withdrawn', 'retired', 'retire'),
        ('retired', 'available', 'return'), ('retired', 'quarantined', 'return'))
    then
        insert into stock_moves (phone_number, at, from_state, to_state, cause, tenancy_sid, note, retirement)
        values (new.phone_number, new.state_since, old.state, new.state, new.moved_by,
            coalesce(old.tenancy_sid, new.tenancy_sid),
            case when new.moved_by in ('operator_release', 'withdraw', 'return', 'retire') then new.moved_note end,
            case when new.moved_by = 'retire' then new.retirement end);
        if new.moved_by in ('unpaid', 'operator_release') then
            insert into account_events (account_sid, at, change, reason, tenancy_sid, note)
            select account_sid, new.state_since, 'number_lost',
                case new.moved_by when 'unpaid' then 'unpaid'::change_reason else 'operator' end, sid,
                case when new.moved_by = 'operator_release' then new.moved_note end
            from tenancies where sid = old.tenancy_sid;
        end if;
    elsif old.state = new.state then
        return null;
    else
        raise exception '% cannot go from % to % by %', new.phone_number, old.state, new.state, new.moved_by
            using errcode = 'check_violation', constraint = 'stock_moves_legal';
    end if;
    insert into stock_counts values (new.kind, new.area_code,
        (new.state = 'available')::integer - (old.state = 'available')::integer,
        (new.state = 'in_use')::integer - (old.state = 'in_use')::integer,
        (new.state = 'quarantined')::integer - (old.state = 'quarantined')::integer,
        (new.state = 'withdrawn')::integer - (old.state = 'withdrawn')::integer,
        (new.state = 'retired')::integer - (old.state = 'retired')::integer);
    return null;
end $$;

-- What is added counts, and what an operator deletes counts no more.
create or replace function count_stock() returns trigger language plpgsql as $$
declare
    sign integer := case tg_op when 'DELETE' then -1 else 1 end;
begin
    insert into stock_counts
    select kind, area_code, sign * count(*) filter (where state = 'available'),
        sign * count(*) filter (where state = 'in_use'), sign * count(*) filter (where state = 'quarantined'),
        sign * count(*) filter (where state = 'withdrawn'), sign * count(*) filter (where state = 'retired')
    from changed group by kind, area_code;
    return null;
end $$;

-- For how many days a released number is not sold: as the last run of the recycling was told, be it by `serve` or by
-- `recycle`. So a report can say when a number is back on sale.
create table quarantine_lengths (
    kind number_kind constraint quarantine_lengths_pkey primary key,
    days integer     not null constraint quarantine_lengths_not_negative check (days >= 0)
);
insert into quarantine_lengths values ('local', 45), ('tollfree', 45);

-- Who held a tenancy when -----------------------------------------------------------------------------------------

-- A tenancy that went from one account to another. Its ids are of the sequence of stock_moves, so moves and
-- transfers of a number have one order, even if the clocks of several machines differ.
create table tenancy_transfers (
    id           bigint      not null default nextval('stock_moves_id_seq'),
    tenancy_sid  uuid        not null constraint tenancy_transfers_tenancy_sid_fkey references tenancies (sid),
    at           timestamptz not null,
    from_account uuid        not null, -- its event refers to the account
    to_account   uuid        not null constraint tenancy_transfers_to_account_fkey references accounts (sid),
    from_month   smallint    not null, -- the first month that the new holder pays
    note         text, -- its length is that of the event's note
    constraint tenancy_transfers_pkey primary key (tenancy_sid, id),
    constraint tenancy_transfers_to_another check (from_account <> to_account)
);

-- What an account gave away.
create index tenancy_transfers_from_account on tenancy_transfers (from_account);
-- What an account got.
create index tenancy_transfers_to_account on tenancy_transfers (to_account);

create trigger tenancy_transfers_append_only before update or delete or truncate on tenancy_transfers
    for each statement execute function refuse_change();

-- When a tenancy began, if the account holds it or ever held it: its lists go on beside a number that was moved.
create function began_for(account uuid, tenancy uuid) returns timestamptz language sql stable parallel safe as $$
    select started_at from tenancies
    where sid = tenancy and (account_sid = account
        or exists (select from tenancy_transfers where tenancy_sid = tenancy and from_account = account))
$$;

create function tell_transfer() returns trigger language plpgsql as $$
begin
    insert into account_events (account_sid, at, change, reason, tenancy_sid, note)
    values (new.from_account, new.at, 'number_lost', 'moved', new.tenancy_sid, new.note);
    return null;
end $$;

create trigger tenancy_transfers_told after insert on tenancy_transfers
    for each row execute function tell_transfer();

-- An account to which nothing is owed any more is active again at once: the number that it could not pay has gone.
create function activate_without_debt() returns trigger language plpgsql as $$
begin
    update accounts set unpaid_since = null, updated_at = greatest(moment, updated_at),
        changed_by = case when suspended_at is null then ('nothing_owed', moment)::change_cause end
    from (values (coalesce(new.ended_at, new.updated_at))) as it (moment)
    where sid = old.account_sid and unpaid_since is not null and not exists (
        select from tenancies
        where account_sid = old.account_sid and ended_at is null and price > 0 and due_on <= owes_by(unpaid_since, moment));
    return null;
end $$;

create trigger tenancies_gone after update of ended_at, account_sid on tenancies
    for each row when (old.ended_at is null and old.price > 0
        and (new.ended_at is not null or new.account_sid <> old.account_sid))
    execute function activate_without_debt();

-- Accounts --------------------------------------------------------------------------------------------------------

alter table accounts
    add column ref varchar(64) constraint accounts_ref_key unique, -- the operator's own key
    add column last_used_on date,                           -- the day, UTC, of its last request that was let in
    add column changed_note text;                           -- of a change, and kept by its event only

-- Finds an account by its name.
create index accounts_by_name on accounts (name);

create or replace function tell_change() returns trigger language plpgsql as $$
begin
    insert into account_events (account_sid, at, change, reason, note)
    values (new.sid, (new.changed_by).at, case
        when new.closed_at is not null then 'closed'::account_change
        when new.suspended_at is null and new.unpaid_since is null then 'activated'
        else 'suspended' end, (new.changed_by).reason, new.changed_note);
    new.changed_by := null;
    new.changed_note := null;
    return new;
end $$;

-- Money -----------------------------------------------------------------------------------------------------------

alter table ledger_entries
    add column reverses bigint, -- the entry of this account that this one undoes
    add column transfer bigint; -- the same for both entries of a transfer between accounts

-- A reversal undoes a whole credit or debit of its account. Entries never change, so it is enough to look when it is
-- entered. No foreign key: PostgreSQL would begin its trigger for each purchase.
create function refuse_wrong_reversal() returns trigger language plpgsql as $$
begin
    if not exists (
        select from ledger_entries
        where account_sid = new.account_sid and id = new.reverses and amount = -new.amount
            and kind in ('credit', 'debit') and reverses is null and transfer is null)
    then
        raise exception 'entry % cannot be reversed by this one', new.reverses
            using errcode = 'check_violation', constraint = 'ledger_entries_reverses_whole';
    end if;
    return new;
end $$;

create trigger ledger_entries_reverses_whole before insert on ledger_entries
    for each row when (new.reverses is not null) execute function refuse_wrong_reversal();

-- An entry is reversed once.
create unique index ledger_entries_reversed_once on ledger_entries (account_sid, reverses) where reverses is not null;
-- Both halves of a transfer, which are a debit and a credit.
create unique index ledger_entries_transfer_halves on ledger_entries (transfer, kind) where transfer is not null;
-- What operators entered: to find the same sum of the last day. Purchases and fees do not touch it.
create index ledger_entries_by_hand on ledger_entries (account_sid, at) where kind in ('credit', 'debit');
-- Finds such an entry by its id.
create index ledger_entries_by_hand_id on ledger_entries (id) where kind in ('credit', 'debit');
drop index ledger_entries_at;
-- The entries of a month, as before, and those of days, as reports limit them. They come in order, so a few bytes for many
-- pages tell where a day is. One index for both, for each purchase writes it.
create index ledger_entries_at on ledger_entries using brin (at, ((at at time zone 'UTC')::date));

create sequence ledger_transfers;

-- The key of a credit or debit, by which it happens once. Kept for ever, with what was asked and answered.
create table ledger_keys (
    account_sid uuid        not null,
    key         text        not null,
    entry_id    bigint      not null,
    request     jsonb       not null,
    answer      jsonb       not null,
    constraint ledger_keys_pkey primary key (account_sid, key),
    constraint ledger_keys_one_for_an_entry unique (account_sid, entry_id),
    constraint ledger_keys_entry_fkey foreign key (account_sid, entry_id) references ledger_entries (account_sid, id),
    constraint ledger_keys_length check (char_length(key) between 1 and 255)
);

create trigger ledger_keys_append_only before update or delete or truncate on ledger_keys
    for each statement execute function refuse_change();

-- Every change of a price; null: the account's own price was taken away, so that the general one is in force.
create table price_changes (
    id          bigint      not null generated always as identity constraint price_changes_pkey primary key,
    at          timestamptz not null,
    kind        number_kind not null,
    account_sid uuid        constraint price_changes_account_sid_fkey references accounts (sid), -- null: everybody's
    price       bigint,     -- cents a month
    operator    text,       -- who they say they are; null: before changes were recorded
    constraint price_changes_general_has_price check (price is not null or account_sid is not null)
);

insert into price_changes (at, kind, account_sid, price)
select now(), kind, account_sid, price from prices order by account_sid nulls first, kind;

-- The prices of an account.
create index price_changes_of_account on price_changes (account_sid, id);

create trigger price_changes_append_only before update or delete or truncate on price_changes
    for each statement execute function refuse_change();

-- Operators' record -----------------------------------------------------------------------------------------------

-- The account that it made is now the account that it was about.
alter table operator_outcomes
    add column phone_number bigint, -- that it was about
    add column counts jsonb;        -- what it did, as its answer counted

-- The actions of days, as reports limit them.
create index operator_actions_at on operator_actions using brin (at);
-- The actions that were about an account.
create index operator_outcomes_of_account on operator_outcomes (reporting.account_sid(account_sid));
-- The actions that were about a number.
create index operator_outcomes_of_number on operator_outcomes (phone_number) where phone_number is not null;

-- Reports ---------------------------------------------------------------------------------------------------------

create or replace view reporting.inventory_summary as
select kind, area_code, sum(available) as available, sum(in_use) as in_use, sum(quarantined) as quarantined,
    sum(withdrawn) as withdrawn, sum(available + in_use + quarantined + withdrawn) as total, sum(retired) as retired
from stock_counts
group by kind, area_code
having sum(available + in_use + quarantined + withdrawn) > 0 or sum(retired) > 0;

create or replace view reporting.inventory as
select stock.phone_number, stock.kind, area_code, state, provider, state_since,
    reporting.account_sid(accounts.sid) as account_sid,
    (provider_cost * 0.0001)::numeric(20, 4) as provider_cost, note, import_id as import,
    case when state = 'quarantined' then quarantined_at + make_interval(days =>
        (select days from quarantine_lengths where quarantine_lengths.kind = stock.kind)) end as back_on_sale,
    retirement
from stock
left join tenancies on tenancies.sid = tenancy_sid and tenancies.phone_number = stock.phone_number and ended_at is null
left join accounts on accounts.sid = account_sid;

alter view reporting.accounts rename column monthly_cost to monthly_fees;
-- What was spent is joined by the Sid as text: so a report limited to one account reads that account's entries only.
create or replace view reporting.accounts as
with month as (
    select date_trunc('month', reporting.moment() at time zone 'UTC') as begins
)
select reporting.account_sid(accounts.sid) as sid, name, status,
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

create or replace view reporting.tenancies as
select reporting.number_sid(sid) as sid, phone_number, kind, reporting.account_sid(holder) as account_sid,
    started_at, ended_at, (price * 0.01)::numeric(20, 2) as price, url is not null or sms_url is not null as configured,
    case when ended_at is null then due_on end as next_fee_on
from (
    select tenancies.sid, phone_number, kind, accounts.sid as holder, started_at, ended_at, price, url, sms_url, due_on
    from tenancies join accounts on accounts.sid = account_sid where ended_at is null
    union all
    select tenancies.sid, phone_number, kind, accounts.sid as holder, started_at, ended_at, price, url, sms_url, due_on
    from tenancies join accounts on accounts.sid = account_sid where ended_at is not null
) as halves;

-- A number that was restored was nobody's since its release, and one that was moved is another account's. So each sale,
-- restore and transfer begins a stretch; the tenancy's next release or transfer ends it. First the stretches after the
-- last transfer, which are the tenancy's account's, in two halves as above; then those that each transfer took from
-- its giver. So for both there is an index by account.
create or replace view reporting.holdings as
select phone_number, reporting.account_sid(holder) as account_sid, began.at as held_from,
    (select greatest(began.at, at) from stock_moves
    where phone_number = tenancies.phone_number and tenancy_sid = tenancies.sid and from_state = 'in_use' and id > began.id
    order by id limit 1) as held_until,
    reporting.number_sid(tenancies.sid) as number_sid
from (
    select tenancies.sid, phone_number, started_at, accounts.sid as holder
    from tenancies join accounts on accounts.sid = account_sid where ended_at is null
    union all
    select tenancies.sid, phone_number, started_at, accounts.sid as holder
    from tenancies join accounts on accounts.sid = account_sid where ended_at is not null
) as tenancies
cross join lateral (
    select started_at as at, 0 as id
    union all
    select at, id from stock_moves
    where phone_number = tenancies.phone_number and tenancy_sid = tenancies.sid and cause = 'restore'
    union all
    select at, id from tenancy_transfers where tenancy_sid = tenancies.sid
) as began
where not exists (select from tenancy_transfers where tenancy_sid = tenancies.sid and id > began.id)
union all
select tenancies.phone_number, reporting.account_sid(accounts.sid), began.at,
    (select greatest(began.at, at) from (
        select at, id from stock_moves
        where phone_number = tenancies.phone_number and tenancy_sid = tenancies.sid and from_state = 'in_use'
            and id > began.id
        union all
        select gone.at, gone.id
    ) as ends order by id limit 1),
    reporting.number_sid(tenancies.sid)
from tenancy_transfers as gone
join accounts on accounts.sid = from_account
join tenancies on tenancies.sid = tenancy_sid and (ended_at is null or ended_at is not null)
cross join lateral (
    select started_at as at, 0 as id
    union all
    select at, id from stock_moves
    where phone_number = tenancies.phone_number and tenancy_sid = tenancies.sid and cause = 'restore'
    union all
    select at, id from tenancy_transfers where tenancy_sid = tenancies.sid
) as began
where began.id < gone.id and not exists (
    select from tenancy_transfers as between_them
    where tenancy_sid = tenancies.sid and between_them.id > began.id and between_them.id < gone.id);

create or replace view reporting.moves as
select phone_number, at, from_state, to_state, cause, reporting.number_sid(tenancy_sid) as number_sid, id, note, retirement
from stock_moves
union all
select phone_number, started_at, 'available', 'in_use', 'sale', sid, null, null, null from reporting.tenancies;

create or replace view reporting.ledger as
select reporting.account_sid(accounts.sid) as account_sid, at, ledger_entries.kind,
    (amount * 0.01)::numeric(20, 2) as amount, (balance_after * 0.01)::numeric(20, 2) as balance_after,
    phone_number, note, id, reporting.number_sid(tenancy_sid) as number_sid,
    name as account_name,
    ((started_at at time zone 'UTC')::date + make_interval(months => month))::date as period_from,
    ((started_at at time zone 'UTC')::date + make_interval(months => month + 1))::date as period_to,
    reverses, transfer
from ledger_entries
join accounts on accounts.sid = ledger_entries.account_sid
left join tenancies on tenancies.sid = tenancy_sid and (ended_at is null or ended_at is not null);

create or replace view reporting.operator_actions as
select id, operator_actions.at as begun_at, operator, login, database_role, action, arguments, outcome, reason,
    operator_outcomes.at as ended_at,
    case when action = 'account create' then reporting.account_sid(account_sid) end as account_created,
    reporting.account_sid(account_sid) as account_sid, phone_number, counts
from operator_actions left join operator_outcomes on action_id = id;

create view reporting.prices as
select reporting.account_sid(accounts.sid) as account_sid, prices.kind, (price * 0.01)::numeric(20, 2) as price
from prices left join accounts on accounts.sid = account_sid;

create view reporting.price_history as
select id, at, price_changes.kind, reporting.account_sid(accounts.sid) as account_sid,
    (price * 0.01)::numeric(20, 2) as price, operator
from price_changes left join accounts on accounts.sid = account_sid;

create view reporting.account_events as
select reporting.account_sid(accounts.sid) as account_sid, name as account_name, account_events.id, at, change, reason,
    phone_number, reporting.number_sid(tenancy_sid) as number_sid, note
from account_events
join accounts on accounts.sid = account_events.account_sid
left join tenancies on tenancies.sid = tenancy_sid and (ended_at is null or ended_at is not null);

create view reporting.transfers as
select tenancy_transfers.id, phone_number, reporting.number_sid(tenancy_sid) as number_sid, at,
    reporting.account_sid(giver.sid) as from_account_sid, reporting.account_sid(taker.sid) as to_account_sid, note
from tenancy_transfers
join tenancies on tenancies.sid = tenancy_sid and (ended_at is null or ended_at is not null)
join accounts as giver on giver.sid = from_account
join accounts as taker on taker.sid = to_account;

create view reporting.daily_revenue as
select (at at time zone 'UTC')::date as day, tenancies.kind, ledger_entries.kind as charge,
    reporting.account_sid(accounts.sid) as account_sid, count(*) as count, (-sum(amount) * 0.01)::numeric(20, 2) as amount
from ledger_entries
join tenancies on tenancies.sid = tenancy_sid
join accounts on accounts.sid = ledger_entries.account_sid
group by 1, 2, 3, accounts.sid;

create view reporting.margins as
select stock.phone_number, stock.kind, reporting.account_sid(accounts.sid) as account_sid,
    (price * 0.01)::numeric(20, 2) as price, provider, (provider_cost * 0.0001)::numeric(20, 4) as provider_cost,
    (price * 0.01 - provider_cost * 0.0001)::numeric(20, 4) as margin
from stock
join tenancies on tenancies.sid = tenancy_sid and tenancies.phone_number = stock.phone_number and ended_at is null
join accounts on accounts.sid = account_sid
where state = 'in_use';

comment on column reporting.inventory_summary.total is 'numbers in stock: those of the four states before';
comment on column reporting.inventory_summary.retired is 'numbers that were in stock and are ours no longer';
comment on column reporting.inventory.state is 'available, in_use, quarantined (released, not sold again yet), withdrawn (by the operator) or retired (ours no longer)';
comment on column reporting.inventory.state_since is 'when it came into its state or, where it is in use, to its holder';
comment on column reporting.inventory.back_on_sale is 'when its quarantine ends; null unless it is quarantined';
comment on column reporting.inventory.retirement is 'why it was retired: ported_out, returned or mistake; else null';
comment on column reporting.accounts.monthly_fees is 'dollars a month for the numbers held now';
comment on column reporting.accounts.ref is 'the operator''s own key of the account; null where there is none';
comment on column reporting.accounts.unpaid_since is 'since when a fee is due that the balance did not cover; else null';
comment on column reporting.accounts.last_used_on is 'day, UTC, of its last request that was let in; null before the first';
comment on column reporting.tenancies.account_sid is 'whose it is or, of an ended one, was last';
comment on column reporting.tenancies.next_fee_on is 'day on which the next fee is due; null where it has ended';
comment on column reporting.holdings.held_from is 'when it was sold, restored or moved to the account';
comment on column reporting.holdings.held_until is 'when it was released or moved to another account: held no more at this moment; null while it is held';
comment on column reporting.moves.cause is 'sale; release, operator_release, close (of the account) or unpaid; recycle (its quarantine has ended), restore; withdraw, return, retire';
comment on column reporting.moves.note is 'what the operator said of it; else null';
comment on column reporting.moves.retirement is 'why it was retired: ported_out, returned or mistake; else null';
comment on column reporting.ledger.account_name is 'as its owner calls it';
comment on column reporting.ledger.period_from is 'first day of the month that was paid for; null where none was';
comment on column reporting.ledger.period_to is 'day on which the next month begins; null where none was paid for';
comment on column reporting.ledger.reverses is 'id of the entry that this one undoes; else null';
comment on column reporting.ledger.transfer is 'the same number for both entries of a transfer between accounts; else null';
comment on column reporting.operator_actions.account_sid is 'the account that it was about; null where there was none';
comment on column reporting.operator_actions.phone_number is 'the number that it was about; null where it was none or several';
comment on column reporting.operator_actions.counts is 'what it did, counted, as JSON; null where it counts nothing';

comment on view reporting.prices is 'The price of the next sale, general and of single accounts';
comment on column reporting.prices.account_sid is 'whose price; null: of all accounts that have none of their own';
comment on column reporting.prices.kind is 'local or tollfree';
comment on column reporting.prices.price is 'dollars a month';

comment on view reporting.price_history is 'Every change of a price';
comment on column reporting.price_history.id is 'grows from change to change';
comment on column reporting.price_history.at is 'when; of prices from before changes were recorded, when that began';
comment on column reporting.price_history.kind is 'local or tollfree';
comment on column reporting.price_history.account_sid is 'whose price; null: of all accounts that have none of their own';
comment on column reporting.price_history.price is 'dollars a month from then on; null: the account''s own price was taken away';
comment on column reporting.price_history.operator is 'who: as --operator or NUMBERBANK_OPERATOR said, else the user of the operating system; null before changes were recorded';

comment on view reporting.account_events is 'What became of accounts: suspended, activated, closed, a number lost';
comment on column reporting.account_events.account_sid is 'the account';
comment on column reporting.account_events.account_name is 'as its owner calls it';
comment on column reporting.account_events.id is 'grows from event to event: puts those of an account in order';
comment on column reporting.account_events.at is 'when';
comment on column reporting.account_events.change is 'suspended, activated, closed, or number_lost';
comment on column reporting.account_events.reason is 'operator; unpaid; paid or nothing_owed of an activation; moved (to another account) of a number';
comment on column reporting.account_events.phone_number is 'the number that was lost; else null';
comment on column reporting.account_events.number_sid is 'its tenancy; else null';
comment on column reporting.account_events.note is 'what the operator said of it; else null';

comment on view reporting.transfers is 'Every tenancy that went from one account to another';
comment on column reporting.transfers.id is 'grows from transfer to transfer of a number';
comment on column reporting.transfers.phone_number is 'ten digits';
comment on column reporting.transfers.number_sid is 'the tenancy, which goes on';
comment on column reporting.transfers.at is 'when';
comment on column reporting.transfers.from_account_sid is 'who held it until then';
comment on column reporting.transfers.to_account_sid is 'who holds it from then on';
comment on column reporting.transfers.note is 'what the operator said of it; else null';

comment on view reporting.daily_revenue is 'What accounts were charged on each day, UTC';
comment on column reporting.daily_revenue.day is 'the day';
comment on column reporting.daily_revenue.kind is 'of the numbers: local or tollfree';
comment on column reporting.daily_revenue.charge is 'purchase or monthly_fee';
comment on column reporting.daily_revenue.account_sid is 'who was charged';
comment on column reporting.daily_revenue.count is 'number of charges';
comment on column reporting.daily_revenue.amount is 'dollars';

comment on view reporting.margins is 'Every number in use: what its holder pays and what the provider charges';
comment on column reporting.margins.phone_number is 'ten digits';
comment on column reporting.margins.kind is 'local or tollfree';
comment on column reporting.margins.account_sid is 'who holds it';
comment on column reporting.margins.price is 'dollars a month, as at the sale';
comment on column reporting.margins.provider is 'who the operator has it from, where that was said';
comment on column reporting.margins.provider_cost is 'dollars a month that the provider charges; null where that was not said';
comment on column reporting.margins.margin is 'dollars a month: the price less the provider''s cost; null where that is';

grant select on reporting.prices, reporting.price_history, reporting.account_events, reporting.transfers,
    reporting.daily_revenue, reporting.margins to numberbank_reporting;

-- For our triggers and statements only, whose role owns them.
revoke execute on function began_for(uuid, uuid), tell_transfer(), activate_without_debt(), refuse_wrong_reversal() from public;
