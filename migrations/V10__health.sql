-- What tells that a server takes writes, and lists by name that cost the same whatever kind is asked for.

-- A row that an instance writes before it says that it is ready.
create table health (
    is_one boolean not null default true constraint health_pkey primary key,
    writes bigint  not null default 0,
    constraint health_one_row check (is_one)
);

insert into health default values;

-- Makes the server write half a megabyte to its disk, in a file that is gone right after: where there is no room, this fails
-- before a table or an index cannot grow. What it counts is too much for the memory that it may use.
create function room_on_disk() returns bigint
language sql volatile set work_mem = '64kB' as $$
    select count(*) from generate_series(1, 32000)
$$;

-- Fails, as a write would, where the server takes none: on a standby, and where transactions are read-only.
create function demand_primary() returns boolean
language plpgsql stable as $$
begin
    if current_setting('transaction_read_only')::boolean then
        raise exception 'the server takes no writes' using errcode = 'read_only_sql_transaction';
    end if;
    return true;
end
$$;

-- By kind too: else a list of toll-free numbers with a name that a million local ones have walks all of them.
drop index tenancies_open_by_name;
-- Lists by name, one kind at a time as in the other lists. Numbers that keep their default name do not pay for it.
create index tenancies_open_by_name on tenancies (account_sid, friendly_name, kind, started_at, sid)
    where ended_at is null and friendly_name is not null;
