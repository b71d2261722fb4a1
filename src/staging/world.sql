-- What makes a database that of a world: it is marked, sells its numbers in a settled order, and can go back to an earlier
-- state. No migration makes any of this, so no database of a registry has it. Run again, it changes nothing.

create schema if not exists staging;

-- The mark: one row.
create table if not exists staging.world (
    made_of    text        not null, -- the digest of its seed
    seed       bigint      not null, -- of its chance
    choice     text        not null,
    -- Where its clock stands; or it runs, by so many microseconds ahead of the machine's.
    stands_at  timestamptz,
    ahead      bigint      not null,
    -- Days of quarantine, and of grace.
    quarantine smallint    not null,
    grace      smallint    not null,
    made_at    timestamptz not null,
    starts     integer     not null default 0
);
-- Its first faults, in JSON, and whether it has Twilio's test numbers. Worlds of earlier versions had neither.
alter table staging.world add column if not exists faults text not null default '[]';
alter table staging.world add column if not exists magic boolean not null default true;
-- The names of callers by their numbers, in JSON.
alter table staging.world add column if not exists caller_names text not null default '{}';

-- After each change, its entries are looked for by their ids alone.
create index if not exists ledger_entries_id on public.ledger_entries (id);
create index if not exists account_events_id on public.account_events (id);

-- The time of the views is the world's; what a session says still comes first.
create or replace function reporting.moment() returns timestamptz
language sql stable parallel safe as $$
    select coalesce(nullif(current_setting('numberbank.now', true), '')::timestamptz,
        (select coalesce(stands_at, now() + ahead * interval '1 microsecond') from staging.world), now())
$$;

-- Who reads the views reads the time.
grant usage on schema staging to numberbank_reporting;
grant select on staging.world to numberbank_reporting;

create table if not exists staging.snapshots (
    id        integer generated always as identity constraint snapshots_pkey primary key,
    name      text        not null constraint snapshots_name_key unique,
    taken_at  timestamptz not null,
    shape     text        not null, -- of the tables
    -- How far the world's chance had come.
    start     integer     not null,
    drawn     bigint      not null,
    -- How its clock went, as in staging.world.
    stands_at timestamptz,
    ahead     bigint      not null
);

-- Of each snapshot, what the sequences would have given next.
create table if not exists staging.counted (
    snapshot integer not null constraint counted_snapshot_fkey references staging.snapshots (id) on delete cascade,
    name     text    not null,
    next     bigint  not null
);

-- The US area codes in their order, those of each kind by themselves.
create table if not exists staging.area_codes (
    code smallint constraint area_codes_pkey primary key,
    rank bigint   not null
);

-- A number's place among all numbers of its kind, from 1 on. No exchange is below 200.
create or replace function staging.place(number bigint) returns bigint language sql stable as $$
    select rank * 8000000 + number % 10000000 - 2000000 + 1 from staging.area_codes where code = number / 10000000
$$;

-- Places shuffled by a seed: each of 1 to 2³² - 1 is given another one of these, and no two the same (a Feistel network of
-- four rounds; 0 is passed on until it is something else).
create or replace function staging.shuffled(place bigint, seed bigint) returns bigint language plpgsql immutable as $$
declare
    high bigint := place >> 16;
    low bigint := place & 65535;
    mixed bigint;
begin
    loop
        for round in 1..4 loop
            mixed := ('x' || left(encode(sha256(convert_to(format('%s %s %s', seed, round, low), 'UTF8')), 'hex'), 4))::bit(16)::integer;
            mixed := high # mixed;
            high := low;
            low := mixed;
        end loop;
        exit when high > 0 or low > 0;
    end loop;
    return (high << 16) + low;
end $$;

-- A number's pick: the whole range of integers but the least of them.
create or replace function staging.pick(number bigint) returns integer language sql stable as $$
    select ((case choice when 'shuffled' then staging.shuffled(staging.place(number), seed)
        else staging.place(number) end) - 2147483648)::integer
    from staging.world
$$;

create or replace function staging.choose() returns trigger language plpgsql as $$
begin
    new.pick := staging.pick(new.phone_number);
    return new;
end $$;

drop trigger if exists stock_chosen on public.stock;
create trigger stock_chosen before insert on public.stock for each row execute function staging.choose();

-- All tables whose rows are the state of the world. In those with a primary key, no two rows are the same.
create or replace view staging.tables as
select relname::text as name,
    exists (select from pg_constraint where conrelid = pg_class.oid and contype = 'p') as has_key,
    exists (select from pg_trigger where tgrelid = pg_class.oid and not tgisinternal) as has_triggers,
    (select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
        where attrelid = pg_class.oid and attnum > 0 and not attisdropped and attgenerated = '') as columns
from pg_class
where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'refinery_schema_history';

-- All tables with their columns. A snapshot fits only where it is the same.
create or replace function staging.shape() returns text language sql stable as $$
    select string_agg(format('%s (%s)', name, columns), '; ' order by name) from staging.tables
$$;

-- What each sequence would give next.
create or replace function staging.sequences() returns table (name text, next bigint) language plpgsql as $$
declare
    one record;
begin
    for one in
        select relname, seqincrement from pg_class join pg_sequence on seqrelid = oid
        where relnamespace = 'public'::regnamespace
    loop
        return query execute format(
            'select %L::text, last_value + case when is_called then %s else 0 end from public.%I',
            one.relname, one.seqincrement, one.relname);
    end loop;
end $$;

-- The schema of a snapshot's tables.
create or replace function staging.folder(snapshot integer) returns text language sql immutable as $$
    select 'staging_snap_' || snapshot
$$;

-- Lets foreign keys wait for the end of a transaction. Until they are told to, they do not.
create or replace function staging.let_foreign_keys_wait() returns void language plpgsql as $$
declare
    one record;
begin
    for one in
        select conrelid::regclass as of, conname from pg_constraint
        where contype = 'f' and connamespace = 'public'::regnamespace and not condeferrable
    loop
        execute format('alter table %s alter constraint %I deferrable initially immediate', one.of, one.conname);
    end loop;
end $$;

-- Drops a snapshot, if there is one of this name.
create or replace function staging.forget(unwanted text) returns void language plpgsql as $$
declare
    taken integer;
begin
    delete from staging.snapshots where name = unwanted returning id into taken;
    if found then
        execute format('drop schema %I cascade', staging.folder(taken));
    end if;
end $$;

-- Takes a snapshot, in place of an older one of this name. False: there are as many as there may be. One whose name begins
-- with a dot is the world's own, and does not count.
create or replace function staging.take(wanted text, moment timestamptz, start integer, drawn bigint, most bigint)
returns boolean language plpgsql as $$
declare
    taken integer;
    folder text;
    one record;
    has_rows boolean;
begin
    -- One at a time.
    lock table staging.snapshots in share row exclusive mode;
    perform staging.let_foreign_keys_wait();
    perform staging.forget(wanted);
    if wanted not like '.%' and (select count(*) from staging.snapshots where name not like '.%') >= most then
        return false;
    end if;
    insert into staging.snapshots (name, taken_at, shape, start, drawn, stands_at, ahead)
    select wanted, moment, staging.shape(), start, drawn, stands_at, ahead from staging.world
    returning id into taken;
    folder := staging.folder(taken);
    execute format('create schema %I', folder);
    for one in select name from staging.tables loop
        execute format('select exists (select from public.%I)', one.name) into has_rows;
        -- To make a table takes longer than to fill it.
        if has_rows then
            execute format('create table %I.%I as table public.%I', folder, one.name, one.name);
        end if;
    end loop;
    insert into staging.counted (snapshot, name, next) select taken, name, next from staging.sequences();
    return true;
end $$;

-- Goes back to a snapshot. Foreign keys are checked at the end, and no trigger runs.
create or replace function staging.reset(taken integer) returns void language plpgsql as $$
declare
    folder text := staging.folder(taken);
    missing text := '';
    one record;
begin
    -- Others who are at work on the tables are waited for, and wait.
    for one in select name, has_triggers from staging.tables order by name loop
        execute format('lock table public.%I in share row exclusive mode', one.name);
        if one.has_triggers then
            execute format('alter table public.%I disable trigger user', one.name);
        end if;
    end loop;
    set constraints all deferred;
    for one in select * from staging.tables order by name loop
        if to_regclass(format('%I.%I', folder, one.name)) is null then
            execute format('delete from public.%I', one.name);
            continue;
        elsif one.has_key then
            -- Only what differs, so that little is written.
            execute format('delete from public.%I as held where not exists (select from %I.%I as kept where kept = held)',
                one.name, folder, one.name);
            missing := format('where not exists (select from public.%I as held where held = kept)', one.name);
        else
            execute format('delete from public.%I', one.name);
            missing := '';
        end if;
        execute format('insert into public.%I (%s) overriding system value select %s from %I.%I as kept %s',
            one.name, one.columns, one.columns, folder, one.name, missing);
    end loop;
    set constraints all immediate;
    for one in select name from staging.tables where has_triggers order by name loop
        execute format('alter table public.%I enable trigger user', one.name);
    end loop;
    for one in
        select name, counted.next from staging.counted join staging.sequences() as now using (name)
        where snapshot = taken and counted.next <> now.next
    loop
        execute format('alter sequence public.%I restart with %s', one.name, one.next);
    end loop;
    update staging.world set stands_at = kept.stands_at, ahead = kept.ahead
    from staging.snapshots as kept where kept.id = taken;
end $$;
