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

-- A program from before knows the slow hash only: where it replaces a token, the fast hash of the old one must go.
create function forget_token_digest() returns trigger language plpgsql as $$
begin
    new.token_digest := null;
    return new;
end $$;

create trigger accounts_token_replaced before update of credential on accounts for each row
    when (new.credential <> old.credential and new.token_digest = old.token_digest)
    execute function forget_token_digest();
