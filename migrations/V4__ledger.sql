-- The ledger: every movement of money. Entries are only ever added.

create type entry_kind as enum ('credit', 'debit', 'purchase');

create table ledger_entries (
    id            bigint      not null generated always as identity,
    account_sid   uuid        not null constraint ledger_entries_account_sid_fkey references accounts (sid),
    at            timestamptz not null,
    kind          entry_kind  not null,
    amount        bigint      not null, -- cents; what leaves the account is negative
    balance_after bigint      not null, -- cents
    tenancy_sid   uuid        constraint ledger_entries_tenancy_sid_fkey references tenancies (sid),
    month         smallint,   -- of the tenancy that is paid for; 0 is the purchase's
    note          text,
    -- An account's entries in the order in which its balance changed.
    constraint ledger_entries_pkey primary key (account_sid, id),
    -- A month of a tenancy is charged once.
    constraint ledger_entries_month_charged_once unique (tenancy_sid, month),
    constraint ledger_entries_balance_not_negative check (balance_after >= 0),
    constraint ledger_entries_sign check (case kind when 'credit' then amount > 0 else amount <= 0 end),
    constraint ledger_entries_charge_names_month check (
        (tenancy_sid is null) = (month is null) and (kind = 'purchase') = coalesce(month = 0, false))
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is only ever added to', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;

create trigger ledger_entries_append_only before update or delete or truncate on ledger_entries
    for each statement execute function refuse_change();

create trigger tenancies_never_deleted before delete or truncate on tenancies
    for each statement execute function refuse_change();
