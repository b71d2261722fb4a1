-- One number by its Sid. To make the Sids from ordinals costs a little. The request says whose it is, and the digits say
-- its kind.
\set n random(1000001, 1200000)
select sid, phone_number, started_at, updated_at, friendly_name, url, method, sms_url, sms_method,
    voice_fallback_url, voice_fallback_method, sms_fallback_url, sms_fallback_method, voice_caller_id_lookup,
    status_callback, status_callback_method, voice_application_sid, sms_application_sid, trunk_sid, address_sid, bundle_sid,
    identity_sid, api_version
from tenancies
where sid = bench.number_sid(:n) and account_sid = bench.account_sid(:n % 20 + 1) and ended_at is null;
