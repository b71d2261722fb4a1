-- A new voice URL, if the account may update; the answer shows the whole number.
\set n random(1000001, 1200000)
update tenancies set updated_at = now(), url = 'http://example.com/changed', method = coalesce(method, 'POST')
where sid = bench.number_sid(:n) and account_sid = bench.account_sid(:n % 20 + 1) and ended_at is null
    and exists (select from accounts where accounts.sid = bench.account_sid(:n % 20 + 1) and status = 'active')
returning sid, phone_number, started_at, updated_at, friendly_name, url, method, sms_url, sms_method,
    voice_fallback_url, voice_fallback_method, sms_fallback_url, sms_fallback_method, voice_caller_id_lookup,
    status_callback, status_callback_method, voice_application_sid, sms_application_sid, trunk_sid, address_sid, bundle_sid,
    identity_sid, api_version;
