-- API keys: further user names and passwords of an account, each of which can be revoked by itself.

create type api_key_scope as enum (
    'standard', -- all but accounts, keys and transfers
    'main'      -- all but transfers
);

-- But for its name, a key never changes: instances remember its account and scope.
create table api_keys (
    sid           uuid          constraint api_keys_pkey primary key,
    account_sid   uuid          not null constraint api_keys_account_sid_fkey references accounts (sid),
    scope         api_key_scope not null,
    name          text          constraint api_keys_name_length check (char_length(name) between 1 and 64), -- null: none
    -- The fast hash: numberbank makes all secrets.
    secret_digest bytea         not null constraint api_keys_secret_digest_length check (octet_length(secret_digest) = 32),
    created_at    timestamptz   not null,
    updated_at    timestamptz   not null
);

-- The keys of an account, the newest first.
create index api_keys_of_account on api_keys (account_sid, created_at, sid);

create function reporting.key_sid(sid uuid) returns text
language sql immutable parallel safe as $$ select 'SK' || replace(sid::text, '-', '') $$;

create view reporting.api_keys as
select reporting.key_sid(api_keys.sid) as sid, reporting.account_sid(accounts.sid) as account_sid,
    accounts.name as account_name, api_keys.name, scope, api_keys.created_at, api_keys.updated_at
from api_keys join accounts on accounts.sid = account_sid
where closed_at is null;

grant select on reporting.api_keys to numberbank_reporting;

comment on column reporting.operator_actions.counts is
    'what it did, counted, or the Sid of the API key that it made, as JSON; null where there is nothing to tell';
comment on view reporting.api_keys is 'The API keys with which requests are let in, beside the AuthTokens of accounts';
comment on column reporting.api_keys.sid is 'the user name of its requests';
comment on column reporting.api_keys.account_sid is 'the account as which it acts';
comment on column reporting.api_keys.account_name is 'the name of that account';
comment on column reporting.api_keys.name is 'what its account calls it; null if it has no name';
comment on column reporting.api_keys.scope is
    'standard: it does all but manage accounts and keys and transfer numbers; main: all but transfer numbers';
comment on column reporting.api_keys.created_at is 'when it was made';
comment on column reporting.api_keys.updated_at is 'when it was last renamed';
