-- Tenancies: who held which number from when to when. On the wire a tenancy that has
-- not ended is an IncomingPhoneNumber. None is ever deleted.

create table tenancies (
    sid                    uuid        constraint tenancies_pkey primary key,
    account_sid            uuid        not null constraint tenancies_account_sid_fkey references accounts (sid),
    phone_number           bigint      not null constraint tenancies_phone_number_fkey references stock (phone_number),
    kind                   number_kind not null,
    price                  bigint      not null, -- cents a month, as at the sale
    started_at             timestamptz not null,
    updated_at             timestamptz not null,
    ended_at               timestamptz,
    friendly_name          text, -- null: the phone number, nicely formatted
    url                    text,
    method                 text,
    sms_url                text,
    sms_method             text,
    voice_fallback_url     text,
    voice_fallback_method  text,
    sms_fallback_url       text,
    sms_fallback_method    text,
    voice_caller_id_lookup boolean     not null default false,
    constraint tenancies_price_not_negative check (price >= 0),
    constraint tenancies_ends_after_start check (ended_at >= started_at),
    constraint tenancies_friendly_name_length check (char_length(friendly_name) between 1 and 64),
    constraint tenancies_method_with_url check (
        (url is null) = (method is null)
        and (sms_url is null) = (sms_method is null)
        and (voice_fallback_url is null) = (voice_fallback_method is null)
        and (sms_fallback_url is null) = (sms_fallback_method is null)),
    constraint tenancies_voice_fallback_needs_url check (voice_fallback_url is null or url is not null),
    constraint tenancies_sms_fallback_needs_sms_url check (sms_fallback_url is null or sms_url is not null),
    constraint tenancies_no_sms_on_tollfree check (
        kind = 'local' or (sms_url is null and sms_fallback_url is null))
)
-- Settings change in place where there is room (HOT).
with (fillfactor = 90);

-- A number has at most one holder; also finds a holder's number by its digits.
create unique index tenancies_one_open_per_number on tenancies (phone_number) where ended_at is null;
-- Lists: newest first, one kind at a time; both kinds together merge two walks.
create index tenancies_open_by_account on tenancies (account_sid, kind, started_at, sid) where ended_at is null;
-- Lists by name. Numbers that keep their default name do not pay for it.
create index tenancies_open_by_name on tenancies (account_sid, friendly_name, started_at, sid) include (kind)
    where ended_at is null and friendly_name is not null;
-- The history of a number; written only at a release.
create index tenancies_ended_by_number on tenancies (phone_number, started_at) where ended_at is not null;

create table idempotency_keys (
    account_sid uuid        not null constraint idempotency_keys_account_sid_fkey references accounts (sid),
    key         text        not null,
    request     bytea       not null, -- digest of what was asked
    tenancy_sid uuid        not null constraint idempotency_keys_tenancy_sid_fkey references tenancies (sid),
    created_at  timestamptz not null,
    -- A second purchase with a key of the last 24 hours fails here, and takes everything with it.
    constraint idempotency_keys_pkey primary key (account_sid, key)
);
