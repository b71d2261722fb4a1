-- A purchase by area code as one statement: candidate, price, debit, claim, tenancy and ledger entry. It leaves out
-- what serves only refusals and replays.
\set a random(1, :accounts)
\set area random(1, 20)
\set pick random(0, 2147483646)
with buyer as materialized (
    select bench.account_sid(:a) as account_sid, gen_random_uuid() as tenancy_sid, now() as at
), candidate as materialized (
    select next.phone_number
    from (values (:pick::integer, 2147483647), (0, :pick::integer - 1)) as range (low, high)
    cross join lateral (
        select phone_number from stock
        where state = 'available' and kind = 'local' and area_code = (:areas::smallint[])[:area::integer]
            and pick between low and high
        order by pick limit 1 for update skip locked
    ) as next
    limit 1
), cost as materialized (
    select price from prices
    where kind = 'local' and (account_sid = bench.account_sid(:a) or account_sid is null)
    order by account_sid nulls last limit 1
), debit as (
    update account_sums set balance = balance - price, monthly_fees = monthly_fees + price,
        local_numbers = local_numbers + 1
    from candidate, cost
    where account_sid = bench.account_sid(:a) and balance >= price
        and exists (select from accounts where sid = account_sid and status = 'active')
    returning phone_number, price, balance
), claim as (
    update stock set state = 'in_use', moved_by = 'sale', state_since = at, tenancy_sid = buyer.tenancy_sid
    from debit, buyer where stock.phone_number = debit.phone_number
), tenancy as (
    insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, url, method)
    select tenancy_sid, account_sid, phone_number, 'local', price, at, at, 'http://example.com/answer', 'POST'
    from debit, buyer
), entry as (
    insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select account_sid, at, 'purchase', -price, balance, tenancy_sid, 0 from debit, buyer
)
select tenancy_sid, phone_number, at from debit, buyer;
