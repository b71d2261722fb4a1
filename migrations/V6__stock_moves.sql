-- The life of a number in stock: which moves are legal, a record of each, and counts of every state.

create type move_cause as enum (
    'sale',     -- available → in_use
    'release',  -- in_use → quarantined: by its holder,
    'close',    --     with its holder's account,
    'unpaid',   --     or because its fee was not paid
    'recycle',  -- quarantined → available
    'restore',  -- quarantined → in_use, back to its last holder
    'withdraw', -- available, quarantined → withdrawn
    'return'    -- withdrawn → where it was
);

-- Said by the statement that moves a number; null: as it was added.
alter table stock add column moved_by move_cause;

-- The same in fewer words: PostgreSQL reads a table's checks anew for every statement.
alter table stock
    drop constraint stock_phone_number_ten_digits,
    add constraint stock_phone_number_ten_digits check (
        phone_number between 2000000000 and 9999999999 and phone_number % 10000000 >= 2000000);

-- Every move but sales, each of which is recorded by the tenancy that begins with it.
create table stock_moves (
    id           bigint      not null generated always as identity,
    phone_number bigint      not null constraint stock_moves_phone_number_fkey references stock (phone_number),
    at           timestamptz not null,
    from_state   stock_state not null,
    to_state     stock_state not null,
    cause        move_cause  not null,
    tenancy_sid  uuid        constraint stock_moves_tenancy_sid_fkey references tenancies (sid), -- that ended or began again
    constraint stock_moves_pkey primary key (phone_number, id)
);

insert into stock_moves (phone_number, at, from_state, to_state, cause, tenancy_sid)
select phone_number, ended_at, 'in_use', 'quarantined', 'release', sid from tenancies
where ended_at is not null order by ended_at;

create trigger stock_moves_append_only before update or delete or truncate on stock_moves
    for each statement execute function refuse_change();

-- How many numbers are in which state: rows that add up. Whoever moves a number adds a row, so that
-- nobody waits for anybody; now and then many rows are replaced by their sum.
create table stock_counts (
    kind        number_kind not null,
    area_code   smallint    not null,
    available   integer     not null,
    in_use      integer     not null,
    quarantined integer     not null,
    withdrawn   integer     not null
);

insert into stock_counts
select kind, area_code, count(*) filter (where state = 'available'), count(*) filter (where state = 'in_use'),
    count(*) filter (where state = 'quarantined'), count(*) filter (where state = 'withdrawn')
from stock group by kind, area_code;

-- The one place that knows which moves are legal, and for what cause.
create function move_stock() returns trigger language plpgsql as $$
begin
    if old.state = 'available' and new.state = 'in_use' and new.moved_by = 'sale' then
        -- Its tenancy tells the rest.
        insert into stock_counts values (new.kind, new.area_code, -1, 1, 0, 0);
        return null;
    elsif (old.state, new.state, new.moved_by) in (
        ('in_use', 'quarantined', 'release'), ('in_use', 'quarantined', 'close'), ('in_use', 'quarantined', 'unpaid'),
        ('quarantined', 'available', 'recycle'), ('quarantined', 'in_use', 'restore'),
        ('available', 'withdrawn', 'withdraw'), ('quarantined', 'withdrawn', 'withdraw'),
        ('withdrawn', 'available', 'return'), ('withdrawn', 'quarantined', 'return'))
    then
        insert into stock_moves (phone_number, at, from_state, to_state, cause, tenancy_sid)
        values (new.phone_number, new.state_since, old.state, new.state, new.moved_by,
            coalesce(old.tenancy_sid, new.tenancy_sid));
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
        (new.state = 'withdrawn')::integer - (old.state = 'withdrawn')::integer);
    return null;
end $$;

create trigger stock_moved after update of state on stock
    for each row execute function move_stock();

-- What is added counts, and what an operator deletes counts no more.
create function count_stock() returns trigger language plpgsql as $$
declare
    sign integer := case tg_op when 'DELETE' then -1 else 1 end;
begin
    insert into stock_counts
    select kind, area_code, sign * count(*) filter (where state = 'available'),
        sign * count(*) filter (where state = 'in_use'), sign * count(*) filter (where state = 'quarantined'),
        sign * count(*) filter (where state = 'withdrawn')
    from changed group by kind, area_code;
    return null;
end $$;

create trigger stock_added after insert on stock referencing new table as changed
    for each statement execute function count_stock();
create trigger stock_deleted after delete on stock referencing old table as changed
    for each statement execute function count_stock();

-- Whose quarantine ends next. A sale does not touch it.
create index stock_quarantined on stock (kind, quarantined_at) where state = 'quarantined';

-- Below how many available numbers the operator wants to know.
create table stock_thresholds (
    kind      number_kind not null,
    area_code smallint    not null,
    threshold integer     not null constraint stock_thresholds_positive check (threshold > 0),
    constraint stock_thresholds_pkey primary key (kind, area_code)
);
