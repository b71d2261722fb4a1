--- Each rule of the database, and statements that only this rule refuses. `constraints.rs` runs them.

--- Checks

-- accounts_name_length
update accounts set name = '';
update accounts set name = repeat('x', 65);

-- account_sums_balance_not_negative
update account_sums set balance = balance - 90000 where is_main;

-- account_sums_numbers_not_negative
update account_sums set local_numbers = -1;
update account_sums set tollfree_numbers = -1;

-- account_sums_sub_account_has_no_money
update account_sums set balance = 1 where not is_main;

-- accounts_token_digest_length
update accounts set token_digest = '\x00';

-- accounts_token_verifiable
update accounts set token_digest = null;

-- accounts_chosen_token_has_no_digest
update accounts set token_chosen = true, token_hash = 'x';

-- accounts_sub_account_is_never_unpaid
update accounts set unpaid_since = now() where owner_sid is not null;

-- accounts_main_account_has_no_owner
update accounts set suspended_by_owner_at = now() where owner_sid is null;
update accounts set owner_suspended = true where owner_sid is null;

-- accounts_one_level_of_sub_accounts
update accounts set sub_accounts = -1 where owner_sid is null;
update accounts set sub_accounts = 1 where owner_sid is not null;
update accounts set closed_at = now() where sub_accounts > 0;

-- accounts_is_not_its_owner
update accounts set owner_sid = sid where owner_sid is not null;

-- api_keys_name_length
update api_keys set name = '';
update api_keys set name = repeat('x', 65);

-- api_keys_secret_digest_length
update api_keys set secret_digest = '\x00';

-- stock_phone_number_ten_digits
insert into stock (phone_number, kind, state_since, added_at) values (1998670000, 'local', now(), now());
insert into stock (phone_number, kind, state_since, added_at) values (10002345678, 'local', now(), now());
insert into stock (phone_number, kind, state_since, added_at) values (4151999999, 'local', now(), now());

-- stock_tenancy_while_in_use
update stock set tenancy_sid = null where state = 'in_use';
update stock set tenancy_sid = gen_random_uuid() where state = 'available';

-- stock_quarantine_has_beginning
update stock set quarantined_at = null where state = 'quarantined';
update stock set quarantined_at = now() where state = 'available';
update stock set quarantined_at = now() where state = 'in_use';

-- stock_provider_cost_not_negative
update stock set provider_cost = -1;

-- stock_thresholds_positive
update stock_thresholds set threshold = 0;

-- prices_not_negative
update prices set price = -1;

-- tenancies_price_not_negative
update tenancies set price = -1;

-- tenancies_ends_after_start
update tenancies set ended_at = started_at - interval '1 microsecond';

-- tenancies_friendly_name_length
update tenancies set friendly_name = '';
update tenancies set friendly_name = repeat('x', 65);

-- tenancies_method_with_url
update tenancies set url = 'http://a';
update tenancies set method = 'GET';
update tenancies set sms_url = 'http://a' where kind = 'local';
update tenancies set sms_method = 'GET';
update tenancies set url = 'http://a', method = 'GET', voice_fallback_url = 'http://a';
update tenancies set voice_fallback_method = 'GET';
update tenancies set sms_url = 'http://a', sms_method = 'GET', sms_fallback_url = 'http://a'
    where kind = 'local';
update tenancies set sms_fallback_method = 'GET';

-- tenancies_voice_fallback_needs_url
update tenancies set voice_fallback_url = 'http://a', voice_fallback_method = 'GET';

-- tenancies_sms_fallback_needs_sms_url
update tenancies set sms_fallback_url = 'http://a', sms_fallback_method = 'GET' where kind = 'local';

-- tenancies_status_method_with_url
update tenancies set status_callback_method = 'GET';

-- tenancies_application_or_trunk
update tenancies set voice_application_sid = 'AP' || repeat('a', 32), trunk_sid = 'TK' || repeat('a', 32);

-- tenancies_foreign_sids
update tenancies set bundle_sid = 'RI' || repeat('a', 32);

-- tenancies_api_version
update tenancies set api_version = '2010-04-02';

-- ledger_entries_balance_not_negative
insert into ledger_entries (account_sid, at, kind, amount, balance_after)
    select sid, now(), 'debit', -1, -1 from accounts;

-- ledger_entries_sign
insert into ledger_entries (account_sid, at, kind, amount, balance_after)
    select sid, now(), 'credit', 0, 1 from accounts;
insert into ledger_entries (account_sid, at, kind, amount, balance_after)
    select sid, now(), 'credit', -1, 1 from accounts;
insert into ledger_entries (account_sid, at, kind, amount, balance_after)
    select sid, now(), 'debit', 1, 1 from accounts;
insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select account_sid, now(), 'monthly_fee', 1, 1, sid, 1 from tenancies;

-- ledger_entries_charge_names_month
insert into ledger_entries (account_sid, at, kind, amount, balance_after)
    select sid, now(), 'purchase', -1, 1 from accounts;
insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid)
    select account_sid, now(), 'credit', 1, 1, sid from tenancies;
insert into ledger_entries (account_sid, at, kind, amount, balance_after, month)
    select sid, now(), 'monthly_fee', -1, 1, 1 from accounts;
insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select account_sid, now(), 'debit', -1, 1, sid, 1 from tenancies;
insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select account_sid, now(), 'purchase', -1, 1, sid, 1 from tenancies;

-- health_one_row
insert into health (is_one) values (false);

-- imports_changed_were_known
insert into imports (at, file, operator, added, already_known, changed, rejected)
    values (now(), '-', 'Anna', 0, 1, 2, 0);

-- stock_moves_retirement_has_reason
insert into stock_moves (phone_number, at, from_state, to_state, cause)
    values (4158670000, now(), 'available', 'retired', 'retire');
insert into stock_moves (phone_number, at, from_state, to_state, cause, retirement)
    values (4158670000, now(), 'available', 'withdrawn', 'withdraw', 'mistake');

-- stock_moves_note_length
insert into stock_moves (phone_number, at, from_state, to_state, cause, note)
    values (4158670000, now(), 'available', 'withdrawn', 'withdraw', '');
insert into stock_moves (phone_number, at, from_state, to_state, cause, note)
    values (4158670000, now(), 'available', 'withdrawn', 'withdraw', repeat('x', 256));

-- account_events_number_lost
insert into account_events (account_sid, at, change, reason) select sid, now(), 'number_lost', 'unpaid' from accounts;
insert into account_events (account_sid, at, change, reason, tenancy_sid)
    select account_sid, now(), 'closed', 'operator', sid from tenancies;

-- account_events_note_length
insert into account_events (account_sid, at, change, reason, note) select sid, now(), 'closed', 'operator', '' from accounts;
insert into account_events (account_sid, at, change, reason, note)
    select sid, now(), 'closed', 'operator', repeat('x', 256) from accounts;

-- quarantine_lengths_not_negative
update quarantine_lengths set days = -1;

-- tenancy_transfers_to_another
insert into tenancy_transfers (tenancy_sid, at, from_account, to_account, from_month)
    select sid, now(), account_sid, account_sid, 1 from tenancies;

-- ledger_keys_length
insert into ledger_keys select account_sid, '', id, '{}', '{}' from ledger_entries where kind = 'purchase' limit 1;
insert into ledger_keys select account_sid, repeat('x', 256), id, '{}', '{}'
    from ledger_entries where kind = 'purchase' limit 1;

-- price_changes_general_has_price
insert into price_changes (at, kind) values (now(), 'local');

-- audit_checkpoints_only
insert into audit_checkpoints (is_only, entry_id, month, proven_at) values (false, 1, now(), now());

--- Unique keys

-- accounts_pkey
update accounts set sid = (select max(sid::text)::uuid from accounts where owner_sid is null) where owner_sid is null;

-- account_sums_pkey
insert into account_sums select * from account_sums;

-- stock_pkey
insert into stock (phone_number, kind, state_since, added_at)
    select phone_number, kind, state_since, added_at from stock;

-- stock_thresholds_pkey
insert into stock_thresholds select * from stock_thresholds;

-- prices_general_key
insert into prices select * from prices where account_sid is null;

-- prices_account_key
insert into prices select * from prices where account_sid is not null;

-- tenancies_pkey
insert into tenancies
    (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on, ended_at)
    select sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on, ended_at
    from tenancies where ended_at is not null;

-- tenancies_one_open_per_number
insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on)
    select gen_random_uuid(), account_sid, phone_number, kind, price, started_at, updated_at, due_on
    from tenancies where ended_at is null;
update tenancies set phone_number = 4158670000, ended_at = null where kind = 'local';

-- idempotency_keys_pkey
insert into idempotency_keys select * from idempotency_keys;

-- ledger_entries_pkey
insert into ledger_entries (account_sid, id, at, kind, amount, balance_after) overriding system value
    select account_sid, id, at, 'credit', 1, 1 from ledger_entries;

-- ledger_entries_month_charged_once
insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select account_sid, now(), 'purchase', -1, 1, sid, 0 from tenancies;
insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select account_sid, now(), 'monthly_fee', -1, 1, sid, 1 from tenancies, generate_series(1, 2);

-- stock_moves_pkey
insert into stock_moves (phone_number, id, at, from_state, to_state, cause) overriding system value
    select phone_number, id, at, from_state, to_state, cause from stock_moves;

-- account_events_pkey
insert into account_events (id, account_sid, at, change, reason, tenancy_sid) overriding system value
    select id, account_sid, at, change, reason, tenancy_sid from account_events;

-- operator_actions_pkey
insert into operator_actions (id, at, operator, login, action, arguments) overriding system value
    select id, at, operator, login, action, arguments from operator_actions;

-- operator_outcomes_pkey
insert into operator_outcomes (action_id, at, outcome) select action_id, at, 'failed' from operator_outcomes;

-- health_pkey
insert into health default values;

-- imports_pkey
insert into imports (id, at, file, operator, added, already_known, changed, rejected)
    select id, at, file, operator, added, already_known, changed, rejected from imports;

-- import_changes_pkey
insert into import_changes (phone_number) values (4158670000), (4158670000);

-- quarantine_lengths_pkey
insert into quarantine_lengths select * from quarantine_lengths;

-- audit_checkpoints_pkey
insert into audit_checkpoints (entry_id, month, proven_at) values (1, now(), now()), (2, now(), now());

-- audit_balances_pkey
insert into audit_balances (account_sid, entry_id, balance) select sid, n, 0 from accounts, generate_series(1, 2) as n;

-- tenancy_transfers_pkey
insert into tenancy_transfers select * from tenancy_transfers;

-- accounts_ref_key
update accounts set ref = 'crm-1';

-- ledger_entries_reversed_once
insert into ledger_entries (account_sid, at, kind, amount, balance_after, reverses)
    select account_sid, at, kind, amount, balance_after, reverses from ledger_entries where reverses is not null;

-- ledger_entries_transfer_halves
insert into ledger_entries (account_sid, at, kind, amount, balance_after, transfer)
    select account_sid, at, kind, amount, balance_after, transfer from ledger_entries where transfer is not null;

-- ledger_keys_pkey
insert into ledger_keys select account_sid, key, max(ledger_entries.id), '{}', '{}'
    from ledger_keys join ledger_entries using (account_sid) where kind = 'purchase' group by account_sid, key;

-- ledger_keys_one_for_an_entry
insert into ledger_keys select account_sid, 'another', entry_id, '{}', '{}' from ledger_keys;

-- api_keys_pkey
insert into api_keys select * from api_keys;

-- price_changes_pkey
insert into price_changes (id, at, kind, price) overriding system value select id, at, kind, price from price_changes;

--- Foreign keys

-- api_keys_account_sid_fkey
update api_keys set account_sid = gen_random_uuid();

-- account_sums_account_sid_fkey
insert into account_sums (account_sid, is_main) values (gen_random_uuid(), true);

-- prices_account_sid_fkey
insert into prices values ('local', gen_random_uuid(), 1);

-- tenancies_account_sid_fkey
update tenancies set account_sid = gen_random_uuid();

-- tenancies_phone_number_fkey
update tenancies set phone_number = phone_number + 1000;
delete from stock where state = 'in_use';

-- idempotency_keys_account_sid_fkey
update idempotency_keys set account_sid = gen_random_uuid();

-- idempotency_keys_tenancy_sid_fkey
update idempotency_keys set tenancy_sid = gen_random_uuid();

-- ledger_entries_account_sid_fkey
insert into ledger_entries (account_sid, at, kind, amount, balance_after)
    values (gen_random_uuid(), now(), 'credit', 1, 1);

-- ledger_entries_tenancy_sid_fkey
insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
    select sid, now(), 'monthly_fee', -1, 1, gen_random_uuid(), 1 from accounts;

-- stock_moves_phone_number_fkey
insert into stock_moves (phone_number, at, from_state, to_state, cause)
    values (4158671000, now(), 'available', 'withdrawn', 'withdraw');

-- stock_moves_tenancy_sid_fkey
insert into stock_moves (phone_number, at, from_state, to_state, cause, tenancy_sid)
    values (4158670000, now(), 'in_use', 'quarantined', 'release', gen_random_uuid());

-- account_events_account_sid_fkey
insert into account_events (account_sid, at, change, reason)
    values (gen_random_uuid(), now(), 'suspended', 'operator');

-- operator_outcomes_action_id_fkey
insert into operator_outcomes (action_id, at, outcome) values (0, now(), 'done');

-- operator_outcomes_account_sid_fkey
insert into operator_outcomes (action_id, at, outcome, account_sid)
    select max(id), now(), 'done', gen_random_uuid() from operator_actions;

-- accounts_owner_sid_fkey
insert into accounts (sid, owner_sid, name, credential, token_digest, created_at, updated_at)
    select gen_random_uuid(), gen_random_uuid(), name, credential, token_digest, created_at, updated_at from accounts
    where owner_sid is not null;

-- tenancy_transfers_tenancy_sid_fkey
insert into tenancy_transfers (tenancy_sid, at, from_account, to_account, from_month)
    select gen_random_uuid(), at, from_account, to_account, from_month from tenancy_transfers;

-- tenancy_transfers_to_account_fkey
insert into tenancy_transfers (tenancy_sid, at, from_account, to_account, from_month)
    select tenancy_sid, at, from_account, gen_random_uuid(), from_month from tenancy_transfers;

-- ledger_keys_entry_fkey
insert into ledger_keys select sid, 'another', -1, '{}', '{}' from accounts limit 1;

-- price_changes_account_sid_fkey
insert into price_changes (at, kind, account_sid, price) values (now(), 'local', gen_random_uuid(), 1);

--- Rules of triggers

-- stock_moves_legal
update stock set state = 'withdrawn', moved_by = 'recycle' where state = 'available';
update stock set state = 'in_use', moved_by = 'sale', quarantined_at = null,
    tenancy_sid = (select sid from tenancies where ended_at is not null) where state = 'quarantined';

-- stock_moves_forward
update stock set state = 'withdrawn', moved_by = 'withdraw', state_since = state_since - interval '1 microsecond'
    where state = 'available';

-- stock_no_service_exchange
insert into stock (phone_number, kind, state_since, added_at) values (4159110000, 'local', now(), now());

-- ledger_entries_reverses_whole
insert into ledger_entries (account_sid, at, kind, amount, balance_after, reverses)
    select sid, now(), 'credit', 1, 1, -1 from accounts;
insert into ledger_entries (account_sid, at, kind, amount, balance_after, reverses)
    select account_sid, now(), 'debit', 1 - amount, 1, id from ledger_entries where kind = 'credit' and amount > 1
        and transfer is null and id not in (select reverses from ledger_entries where reverses is not null);
insert into ledger_entries (account_sid, at, kind, amount, balance_after, reverses)
    select account_sid, now(), 'credit', -amount, 1, id from ledger_entries where kind = 'purchase';
insert into ledger_entries (account_sid, at, kind, amount, balance_after, reverses)
    select account_sid, now(), 'credit', -amount, 1, id from ledger_entries where reverses is not null;
insert into ledger_entries (account_sid, at, kind, amount, balance_after, reverses)
    select account_sid, now(), 'debit', -amount, 1, id from ledger_entries where transfer is not null and amount > 0;
