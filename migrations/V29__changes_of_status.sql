-- An owner changes the status of a sub-account at most 100 times a day. This index finds the last changes without passing the
-- events of numbers that the account lost, which may be many.
create index account_events_of_status on account_events (account_sid, id) where change <> 'number_lost';
