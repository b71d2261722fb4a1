-- What the audit has proven of the ledger, so that closed months are proven once. Derived from the ledger: to delete all
-- of it only makes the next audit longer.

create table audit_checkpoints (
    -- One row at most.
    is_only   boolean     not null default true constraint audit_checkpoints_pkey primary key
        constraint audit_checkpoints_only check (is_only),
    -- All entries up to this one are proven.
    entry_id  bigint      not null,
    -- The beginning of the month that was open then: all tenancies from before are proven to be paid for.
    month     timestamptz not null,
    proven_at timestamptz not null
);

-- Each account's last entry that is proven, and what was left after it.
create table audit_balances (
    account_sid uuid   not null constraint audit_balances_pkey primary key,
    entry_id    bigint not null,
    balance     bigint not null -- cents
);

drop index ledger_entries_at;
-- The entries of a month and of days, as reports limit them, and those of some ids, which the audit reads at a time. They
-- come in order, so a few bytes for many pages tell where each is. One index for all, for each purchase writes it.
create index ledger_entries_at on ledger_entries using brin (at, ((at at time zone 'UTC')::date), id)
    with (autosummarize = on);
