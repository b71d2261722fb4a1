-- The 50 newest numbers of an account, and how many there are: one walk of one index. The service is asked for both
-- kinds, which takes two walks; a better index could save one, so this is fair.
\set a random(1, 20)
select sid, phone_number, started_at, updated_at, friendly_name, url, method, sms_url, sms_method,
    voice_fallback_url, voice_fallback_method, sms_fallback_url, sms_fallback_method, voice_caller_id_lookup,
    status_callback, status_callback_method, voice_application_sid, sms_application_sid, trunk_sid, address_sid, bundle_sid,
    identity_sid, api_version,
    (select local_numbers + tollfree_numbers from account_sums where account_sid = bench.account_sid(:a)) as total
from tenancies
where account_sid = bench.account_sid(:a) and kind = 'local' and ended_at is null
order by started_at desc, sid desc limit 50;
