-- The benchmark's data. Everything has an ordinal, and its name follows from that: so SQL and the load generator can
-- name any number or account without a lookup.

create schema bench;

create function bench.account_sid(n bigint) returns uuid language sql immutable as $$
    select lpad(to_hex(n), 32, '0')::uuid
$$;

-- Neighbours are far apart in the index, as with random Sids.
create function bench.number_sid(n bigint) returns uuid language sql immutable as $$
    select rpad(lpad(to_hex(n * 165901211 % 4294967296), 8, '0'), 32, '0')::uuid
$$;

-- The first 999,000 are in the area code of which only 1,000 are left. N11 exchanges are left out, so each million has
-- 990,000 numbers: those of X11 begin at the 110,000th.
create function bench.phone_number(n bigint) returns bigint language sql immutable as $$
    select case when n <= 999000 then 9072000000 else 8082000000 end
        + n / 990000 * 1000000 + n % 990000 + case when n % 990000 >= 110000 then 10000 else 0 end
$$;

-- All have the same token. Its hashes were made before.
with account as (
    insert into accounts (sid, name, credential, token_digest, balance, created_at, updated_at)
    select bench.account_sid(n), 'Account ' || n, gen_random_uuid(), digest, 1000000000000, moment, moment
    from token_digests, (values (now() - interval '30 days')) as moments (moment)
    returning sid, balance, created_at
)
insert into ledger_entries (account_sid, at, kind, amount, balance_after, note)
select sid, created_at, 'credit', balance, balance, 'first balance' from account;

-- Sells new numbers, a tenth of a second apart, to one account or to the first twenty in turn, and leaves the same rows
-- as real purchases.
create procedure bench.sell(first bigint, last bigint, holder bigint) language plpgsql as $$
begin
    create temporary table sold on commit drop as
    select n, bench.number_sid(n) as sid, bench.account_sid(coalesce(holder, n % 20 + 1)) as account_sid,
        bench.phone_number(n) as phone_number, now() - interval '20 days' + n * interval '100 ms' as at
    from generate_series(first, last) as n;
    insert into stock (phone_number, kind, state, moved_by, state_since, tenancy_sid, added_at)
    select phone_number, 'local', 'in_use', 'sale', at, sid, at from sold order by n;
    -- Foreign keys are not checked from here on: all that is referred to was made above.
    perform set_config('session_replication_role', 'replica', true);
    insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on, url, method)
    select sid, account_sid, phone_number, 'local', 100, at, at, month_begins(at, 1), 'http://example.com/answer', 'POST'
    from sold order by n;
    insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select account_sid, at, 'purchase', -100,
        balance - 100 * row_number() over (partition by account_sid order by n), sold.sid, 0
    from sold join accounts on accounts.sid = account_sid order by n;
    update accounts set balance = balance - 100 * bought, monthly_fees = monthly_fees + 100 * bought,
        local_numbers = local_numbers + bought
    from (select account_sid, count(*) as bought from sold group by account_sid) as buyers
    where sid = account_sid;
    perform set_config('session_replication_role', 'origin', true);
end $$;

-- One account with a million, twenty with 10,000 each, one with as many as a page shows.
call bench.sell(1, 1000000, 21);
call bench.sell(1000001, 1200000, null);
call bench.sell(1200001, 1200050, 22);
