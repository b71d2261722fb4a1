-- A release as one statement: stock, account, tenancy. Each client takes every sixteenth number from its own on.
\set i :i + 1
\set n :first + :client_id + 16 * :i
with held as materialized (
    select stock.phone_number, stock.tenancy_sid, tenancies.account_sid, tenancies.price
    from tenancies join stock on stock.phone_number = tenancies.phone_number and stock.tenancy_sid = tenancies.sid
    where tenancies.sid = bench.number_sid(:n) and tenancies.account_sid = bench.account_sid(:n % 20 + 1)
        and ended_at is null
    for update of stock
), freed as (
    update stock set state = 'quarantined', moved_by = 'release', state_since = now(), quarantined_at = now(),
        tenancy_sid = null
    from held where stock.phone_number = held.phone_number
    returning held.tenancy_sid, held.account_sid, held.price
), returned as (
    update account_sums set local_numbers = local_numbers - 1, monthly_fees = monthly_fees - price
    from freed where account_sums.account_sid = freed.account_sid
    returning freed.tenancy_sid
)
update tenancies set
    ended_at = greatest(now(), started_at, month_begins(started_at, due_month - 1)::timestamp at time zone 'UTC')
from returned where tenancies.sid = returned.tenancy_sid;
