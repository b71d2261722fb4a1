-- Lets the data of fill.sql grow: a year of history, and the stock of a large registry.

-- Sells new numbers to the accounts from 23 on in turn, a year and a month before today, and charges twelve monthly fees
-- for each: the rows that purchases and runs of billing would have left, in the order of their time.
create procedure bench.keep(first bigint, last bigint) language plpgsql as $$
begin
    perform set_config('session_replication_role', 'replica', true);
    perform set_config('work_mem', '256MB', true);
    create temporary table kept on commit drop as
    select n, bench.number_sid(n) as sid, bench.account_sid(n % 2000 + 23) as account_sid,
        bench.phone_number(n) as phone_number,
        now() - interval '13 months' + (n - first) * (interval '20 days' / (last - first + 1)) as at
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
    from kept join accounts on accounts.sid = account_sid
    cross join lateral (
        select month, case month when 0 then at else month_begins(at, month)::timestamp at time zone 'UTC' end
        from generate_series(0, 12) as month
    ) as charge (month, charged_at)
    order by charged_at, n;
    update accounts set balance = balance - 1300 * held, monthly_fees = monthly_fees + 100 * held,
        local_numbers = local_numbers + held
    from (select account_sid, count(*) as held from kept group by account_sid) as holders
    where sid = account_sid;
    perform set_config('session_replication_role', 'origin', true);
end $$;

-- Puts numbers on sale: so many in each of these area codes, after those that it has.
create procedure bench.stock(areas smallint[], first bigint, last bigint) language sql as $$
    insert into stock (phone_number, kind, state_since, added_at)
    select area::bigint * 10000000 + 2000000 + n / 990000 * 1000000 + n % 990000
        + case when n % 990000 >= 110000 then 10000 else 0 end, 'local', now(), now()
    from unnest(areas) as area cross join generate_series(first, last) as n
$$;
