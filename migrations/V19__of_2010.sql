-- What version 2010-04-01 of the API keeps of a number and the older version does not show.

-- A toll-free number takes SMS there. The older version goes on hiding that.
drop trigger tenancies_drop_sms on tenancies;
drop function drop_sms();

alter table tenancies
    drop constraint tenancies_no_sms_on_tollfree,
    add column status_callback        text,
    add column status_callback_method text,
    -- Sids of resources that this registry does not have. They are given back as they came.
    add column voice_application_sid  text,
    add column sms_application_sid    text,
    add column trunk_sid              text,
    add column address_sid            text,
    add column bundle_sid             text,
    add column identity_sid           text,
    add column api_version            text not null default '2008-08-01',
    add constraint tenancies_status_method_with_url check (
        (status_callback is null) = (status_callback_method is null)),
    add constraint tenancies_application_or_trunk check (voice_application_sid is null or trunk_sid is null),
    add constraint tenancies_foreign_sids check (
        voice_application_sid ~ '^AP[0-9A-Fa-f]{32}$'
        and sms_application_sid ~ '^AP[0-9A-Fa-f]{32}$'
        and trunk_sid ~ '^TK[0-9A-Fa-f]{32}$'
        and address_sid ~ '^AD[0-9A-Fa-f]{32}$'
        and bundle_sid ~ '^BU[0-9A-Fa-f]{32}$'
        and identity_sid ~ '^RI[0-9A-Fa-f]{32}$'),
    add constraint tenancies_api_version check (api_version in ('2008-08-01', '2010-04-01'));

-- As number_settings, which older instances still send.
create type number_settings_2 as (
    friendly_name          text,
    url                    text,
    method                 text,
    sms_url                text,
    sms_method             text,
    voice_fallback_url     text,
    voice_fallback_method  text,
    sms_fallback_url       text,
    sms_fallback_method    text,
    voice_caller_id_lookup boolean,
    status_callback        text,
    status_callback_method text,
    voice_application_sid  text,
    sms_application_sid    text,
    trunk_sid              text,
    address_sid            text,
    bundle_sid             text,
    identity_sid           text,
    api_version            text
);

-- The settings after a change, of which null keeps what was and an empty text clears it. A method goes with its URL: it
-- ends with it, begins as the default, and stays unless another is given. A new trunk ends the application of calls, and
-- the other way round; of both in one change, the trunk stays.
create function changed_settings(was tenancies, given number_settings_2, default_method text) returns number_settings_2
language sql immutable parallel safe as $$
    select row(
        nullif(coalesce(given.friendly_name, was.friendly_name), ''),
        nullif(coalesce(given.url, was.url), ''),
        case when coalesce(given.url, was.url) <> '' then coalesce(given.method, was.method, default_method) end,
        nullif(coalesce(given.sms_url, was.sms_url), ''),
        case when coalesce(given.sms_url, was.sms_url) <> ''
            then coalesce(given.sms_method, was.sms_method, default_method) end,
        nullif(coalesce(given.voice_fallback_url, was.voice_fallback_url), ''),
        case when coalesce(given.voice_fallback_url, was.voice_fallback_url) <> ''
            then coalesce(given.voice_fallback_method, was.voice_fallback_method, default_method) end,
        nullif(coalesce(given.sms_fallback_url, was.sms_fallback_url), ''),
        case when coalesce(given.sms_fallback_url, was.sms_fallback_url) <> ''
            then coalesce(given.sms_fallback_method, was.sms_fallback_method, default_method) end,
        coalesce(given.voice_caller_id_lookup, was.voice_caller_id_lookup),
        nullif(coalesce(given.status_callback, was.status_callback), ''),
        case when coalesce(given.status_callback, was.status_callback) <> ''
            then coalesce(given.status_callback_method, was.status_callback_method, default_method) end,
        case when given.trunk_sid <> '' then null
            else nullif(coalesce(given.voice_application_sid, was.voice_application_sid), '') end,
        nullif(coalesce(given.sms_application_sid, was.sms_application_sid), ''),
        case when given.trunk_sid <> '' then given.trunk_sid
            when given.trunk_sid is null and coalesce(given.voice_application_sid, '') = '' then was.trunk_sid end,
        nullif(coalesce(given.address_sid, was.address_sid), ''),
        nullif(coalesce(given.bundle_sid, was.bundle_sid), ''),
        nullif(coalesce(given.identity_sid, was.identity_sid), ''),
        coalesce(given.api_version, was.api_version)
    )::number_settings_2
$$;

-- Whether the constraints of tenancies let settings pass: for a statement that changes many, and is to fail for none.
create function settings_fit(settings number_settings_2) returns boolean
language sql immutable parallel safe as $$
    select (settings.voice_fallback_url is null or settings.url is not null)
        and (settings.sms_fallback_url is null or settings.sms_url is not null)
$$;

-- For our statements only, whose role owns them.
revoke execute on function changed_settings(tenancies, number_settings_2, text), settings_fit(number_settings_2) from public;
