-- A note on an account is kept even if the account is already as it should be: as an event of its own. The same note again
-- is a command that was repeated, and tells nothing.
create or replace function tell_change() returns trigger language plpgsql as $$
begin
    if (new.closed_at, new.suspended_at, new.unpaid_since) is distinct from
            (old.closed_at, old.suspended_at, old.unpaid_since)
        or new.changed_note <> coalesce(
            (select note from account_events where account_sid = new.sid order by id desc limit 1), '')
    then
        insert into account_events (account_sid, at, change, reason, note)
        values (new.sid, (new.changed_by).at, case
            when new.closed_at is not null then 'closed'::account_change
            when new.suspended_at is null and new.unpaid_since is null then 'activated'
            else 'suspended' end, (new.changed_by).reason, new.changed_note);
    end if;
    new.changed_by := null;
    new.changed_note := null;
    return new;
end $$;

-- The numbers of an import. They came together and lie together, so a few bytes for many pages tell where; a purchase, which
-- writes each index of the stock, hardly touches this one.
create index stock_of_import on stock using brin (import_id) with (pages_per_range = 32);
-- The numbers of a provider, likewise.
create index stock_of_provider on stock using brin (provider) with (pages_per_range = 32);
