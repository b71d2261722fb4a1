-- Accounts: who may ask, and how much money they hold.
-- A Sid is its 128 random bits here; the two letters before them are added on the wire.

create type account_status as enum ('active', 'suspended', 'closed');

create table accounts (
    sid              uuid           constraint accounts_pkey primary key,
    name             text           not null,
    status           account_status not null default 'active',
    -- Names the token in force and changes with it, so that a process that remembers
    -- a verification can tell that the token was replaced without reading its hash.
    credential       uuid           not null,
    token_hash       text           not null, -- argon2id, PHC string
    balance          bigint         not null default 0, -- cents
    -- How many numbers the account holds: kept by the statements that buy and release,
    -- so that the totals of a list cost the same at fifty numbers and at a million.
    local_numbers    bigint         not null default 0,
    tollfree_numbers bigint         not null default 0,
    created_at       timestamptz    not null,
    updated_at       timestamptz    not null,
    constraint accounts_name_length check (char_length(name) between 1 and 64),
    constraint accounts_balance_not_negative check (balance >= 0),
    constraint accounts_numbers_not_negative check (local_numbers >= 0 and tollfree_numbers >= 0)
)
-- Every purchase rewrites its account's row: room on the page lets it stay there (HOT).
with (fillfactor = 50);
