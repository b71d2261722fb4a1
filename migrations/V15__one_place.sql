-- One rule in one place: what several statements need is a function here, and what must hold of a new row a trigger.

-- How many months of a tenancy are due by a day: those from due_month on that have begun by then. Less than one: none.
-- It calls no other function, so that views which use it work with any search_path.
create function months_due(started_at timestamptz, due_month integer, day date) returns integer
language sql immutable parallel safe as $$
    select months - due_month + 1
        - (((started_at at time zone 'UTC')::date + make_interval(months => months))::date > day)::integer
    from (select ((extract(year from day) - extract(year from started_at at time zone 'UTC')) * 12
        + extract(month from day) - extract(month from started_at at time zone 'UTC'))::integer as months) as calendar
$$;

-- The day by which an unpaid account's fees are due: that on which it was found unpaid, or today if that is later.
create function owes_by(unpaid_since timestamptz, moment timestamptz) returns date
language sql immutable parallel safe as $$
    select (greatest(unpaid_since, moment) at time zone 'UTC')::date
$$;

-- First the view and then its tables, as those who read it lock them.
create or replace view reporting.accounts as
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
        select coalesce(sum(price * months_due(started_at, due_month, day)), 0)
        from tenancies, (values (owes_by(unpaid_since, reporting.moment()))) as today (day)
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

-- In the order in which lists and purchases lock them, so that those of a running program wait and do not deadlock.
lock table accounts, tenancies in access exclusive mode;

-- The day on which a tenancy's next fee is due follows from its month.
create function set_due_day() returns trigger language plpgsql as $$
begin
    new.due_on := month_begins(new.started_at, new.due_month);
    return new;
end $$;

create trigger tenancies_due_day before update of due_month on tenancies
    for each row execute function set_due_day();

-- A purchase says the day itself, by the same function: to begin a trigger for each row costs 5 % of it.
create trigger tenancies_first_due_day before insert on tenancies
    for each row when (new.due_on is null) execute function set_due_day();

-- A toll-free number keeps nothing about SMS.
create function drop_sms() returns trigger language plpgsql as $$
begin
    new.sms_url := null;
    new.sms_method := null;
    new.sms_fallback_url := null;
    new.sms_fallback_method := null;
    return new;
end $$;

create trigger tenancies_drop_sms before insert or update of sms_url on tenancies
    for each row when (new.kind = 'tollfree' and new.sms_url is not null) execute function drop_sms();

-- Without SmsUrl there is no SmsFallbackUrl either: another constraint refuses a fallback without its URL.
alter table tenancies
    drop constraint tenancies_no_sms_on_tollfree,
    add constraint tenancies_no_sms_on_tollfree check (kind = 'local' or sms_url is null);

-- The settings of a number, as a purchase or an update names them; an array of them is one parameter of a statement. A
-- program sends all columns, so this type is never altered: a new setting comes with a new type (see CONTRIBUTING.md).
create type number_settings as (
    friendly_name          text,
    url                    text,
    method                 text,
    sms_url                text,
    sms_method             text,
    voice_fallback_url     text,
    voice_fallback_method  text,
    sms_fallback_url       text,
    sms_fallback_method    text,
    voice_caller_id_lookup boolean
);

-- The settings after a change, of which null keeps what was and an empty text clears it. A method goes with its URL: it
-- ends with it, begins as the default, and stays unless another is given.
create function changed_settings(was tenancies, given number_settings, default_method text) returns number_settings
language sql immutable parallel safe as $$
    select row(
        nullif(coalesce(given.friendly_name, was.friendly_name), ''),
        nullif(coalesce(given.url, was.url), ''),
        case when coalesce(given.url, was.url) <> '' then coalesce(given.method, was.method, default_method) end,
        nullif(coalesce(given.sms_url, was.sms_url), ''),
        case when coalesce(given.sms_url, was.sms_url) <> ''
            then coalesce(given.sms_method, was.sms_method, default_method) end,
        nullif(coalesce(given.voice_fallback_url, was.voice_fallback_url), ''),
        case when coalesce(given.voice_fallback_url, was.voice_fallback_url) <> ''
            then coalesce(given.voice_fallback_method, was.voice_fallback_method, default_method) end,
        nullif(coalesce(given.sms_fallback_url, was.sms_fallback_url), ''),
        case when coalesce(given.sms_fallback_url, was.sms_fallback_url) <> ''
            then coalesce(given.sms_fallback_method, was.sms_fallback_method, default_method) end,
        coalesce(given.voice_caller_id_lookup, was.voice_caller_id_lookup)
    )::number_settings
$$;

-- Whether the constraints of tenancies let settings pass: for a statement that changes many, and is to fail for none.
create function settings_fit(settings number_settings) returns boolean
language sql immutable parallel safe as $$
    select (settings.voice_fallback_url is null or settings.url is not null)
        and (settings.sms_fallback_url is null or settings.sms_url is not null)
$$;

-- How many numbers of a kind an account holds; null: of both kinds.
create function numbers_held(account accounts, wanted number_kind) returns bigint
language sql immutable parallel safe as $$
    select case wanted when 'local' then account.local_numbers when 'tollfree' then account.tollfree_numbers
        else account.local_numbers + account.tollfree_numbers end
$$;

-- What is left of a balance after each of several amounts, in their order: of use as a window function.
create function add_amount(balance_after bigint, balance bigint, amount bigint) returns bigint
language plpgsql immutable parallel safe as $$
begin
    return coalesce(balance_after, balance) + amount;
end $$;

create aggregate balance_after(balance bigint, amount bigint) (
    sfunc = add_amount, stype = bigint, parallel = safe
);

-- Why and when an account is suspended, activated or closed: said by the statement that does so, and kept by its event only.
create type change_cause as (reason change_reason, at timestamptz);
alter table accounts add column changed_by change_cause;

create function tell_change() returns trigger language plpgsql as $$
begin
    insert into account_events (account_sid, at, change, reason)
    values (new.sid, (new.changed_by).at, case
        when new.closed_at is not null then 'closed'::account_change
        when new.suspended_at is null and new.unpaid_since is null then 'activated'
        else 'suspended' end, (new.changed_by).reason);
    new.changed_by := null;
    return new;
end $$;

create trigger accounts_change_told before update of changed_by on accounts
    for each row when (new.changed_by is not null) execute function tell_change();

-- For our triggers and statements only, whose role owns them.
revoke execute on function set_due_day(), drop_sms(), changed_settings(tenancies, number_settings, text),
    settings_fit(number_settings), numbers_held(accounts, number_kind), add_amount(bigint, bigint, bigint),
    balance_after(bigint, bigint), tell_change() from public;
