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

-- All have the same token. Its digests were made before. They are older than any history below.
with account as (
    insert into accounts (sid, name, credential, token_digest, created_at, updated_at)
    select bench.account_sid(n), 'Account ' || n, gen_random_uuid(), digest, moment, moment
    from token_digests, (values (now() - interval '14 months')) as moments (moment)
    returning sid, created_at
)
insert into ledger_entries (account_sid, at, kind, amount, balance_after, note)
select sid, created_at, 'credit', 1000000000000, 1000000000000, 'first balance' from account;
update account_sums set balance = 1000000000000;

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
    from sold join account_sums using (account_sid) order by n;
    update account_sums set balance = balance - 100 * bought, monthly_fees = monthly_fees + 100 * bought,
        local_numbers = local_numbers + bought
    from (select account_sid, count(*) as bought from sold group by account_sid) as buyers
    where account_sums.account_sid = buyers.account_sid;
    perform set_config('session_replication_role', 'origin', true);
end $$;

-- Sells new numbers to the accounts from 23 on in turn, a year and a month before today, and charges twelve monthly fees
-- for each: the rows that purchases and runs of billing would have left, in the order of their time.
create procedure bench.keep(first bigint, last bigint) language plpgsql as $$
begin
    perform set_config('session_replication_role', 'replica', true);
    perform set_config('work_mem', '256MB', true);
    create temporary table kept on commit drop as
    select n, bench.number_sid(n) as sid, bench.account_sid(n % 2000 + 23) as account_sid,
        bench.phone_number(n) as phone_number,
        now() - interval '13 months' + (n - first) * (interval '20 days' / greatest(last - first + 1, 1)) as at
    from generate_series(first, last) as n;
    insert into stock (phone_number, kind, state, moved_by, state_since, tenancy_sid, added_at)
    select phone_number, 'local', 'in_use', 'sale', at, sid, at from kept order by n;
    insert into stock_counts (kind, area_code, available, in_use, quarantined, withdrawn)
    select 'local', area_code, 0, count(*), 0, 0 from stock join kept using (phone_number) group by area_code;
    insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_month, due_on, url, method)
    select sid, account_sid, phone_number, 'local', 100, at, at, 13, month_begins(at, 13), 'http://example.com/answer', 'POST'
    from kept order by n;
    insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select account_sid, charged_at, case month when 0 then 'purchase'::entry_kind else 'monthly_fee' end, -100,
        balance - 100 * row_number() over (partition by account_sid order by charged_at, n), kept.sid, month
    from kept join account_sums using (account_sid)
    cross join lateral (
        select month, case month when 0 then at else month_begins(at, month)::timestamp at time zone 'UTC' end
        from generate_series(0, 12) as month
    ) as charge (month, charged_at)
    order by charged_at, n;
    update account_sums set balance = balance - 1300 * held, monthly_fees = monthly_fees + 100 * held,
        local_numbers = local_numbers + held
    from (select account_sid, count(*) as held from kept group by account_sid) as holders
    where account_sums.account_sid = holders.account_sid;
    perform set_config('session_replication_role', 'origin', true);
end $$;

-- Before the sales below, so that ids are in the order of time.
call bench.keep(5000001, 5000000 + :history);

-- One account with a million, twenty with 10,000 each, one with as many as a page shows.
call bench.sell(1, 1000000, 21);
call bench.sell(1000001, 1200000, null);
call bench.sell(1200001, 1200050, 22);
