-- The changes of an account's status, of which an owner makes so many a day. Numbers that the account lost are no such changes,
-- and may be many.
create index account_events_of_status on account_events (account_sid, id) where change <> 'number_lost';
