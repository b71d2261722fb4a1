-- Tokens that were made here are 128 random bits, and a fast hash is enough for them (SECURITY.md). Tokens that people
-- choose keep argon2id. All tokens from before were made here: they get the fast hash beside the slow one when they
-- are first used.
alter table accounts
    -- Whether an operator chose the token; else it was made here.
    add column token_chosen boolean not null default false,
    -- BLAKE2b-256 of the account's Sid, keyed with the token.
    add column token_digest bytea
        constraint accounts_token_digest_length check (octet_length(token_digest) = 32),
    alter column token_hash drop not null,
    add constraint accounts_token_verifiable check (token_hash is not null or token_digest is not null),
    add constraint accounts_chosen_token_has_no_digest check (not token_chosen or token_digest is null);
