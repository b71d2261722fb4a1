-- What operators do by command: an entry before each action, and its outcome after it. Both are only ever added.

create type action_outcome as enum (
    'done',
    'refused',    -- nothing was changed
    'failed',     -- or half done: what was committed by then stays
    'interrupted' -- by a signal; likewise
);

create table operator_actions (
    id            bigint      not null generated always as identity constraint operator_actions_pkey primary key,
    at            timestamptz not null,
    operator      text        not null, -- who they say they are, else the user of the operating system
    login         text        not null, -- that user and the host
    database_role text        not null default session_user,
    action        text        not null, -- the words of the command
    arguments     jsonb       not null  -- what was said with it
);

-- Of an action that has none nobody knows: it goes on still, or its process was killed.
create table operator_outcomes (
    action_id   bigint         not null constraint operator_outcomes_pkey primary key
        constraint operator_outcomes_action_id_fkey references operator_actions (id),
    at          timestamptz    not null,
    outcome     action_outcome not null,
    reason      text,          -- why it was refused
    account_sid uuid           constraint operator_outcomes_account_sid_fkey references accounts (sid) -- that it made
);

create trigger operator_actions_append_only before update or delete or truncate on operator_actions
    for each statement execute function refuse_change();
create trigger operator_outcomes_append_only before update or delete or truncate on operator_outcomes
    for each statement execute function refuse_change();

create view reporting.operator_actions as
select id, operator_actions.at as begun_at, operator, login, database_role, action, arguments, outcome, reason,
    operator_outcomes.at as ended_at, reporting.account_sid(account_sid) as account_created
from operator_actions left join operator_outcomes on action_id = id;

comment on view reporting.operator_actions is 'Every action of an operator by command: who, what, when, and what came of it';
comment on column reporting.operator_actions.id is 'grows from action to action: puts them in order';
comment on column reporting.operator_actions.begun_at is 'when';
comment on column reporting.operator_actions.operator is 'who: as --operator or NUMBERBANK_OPERATOR said, else the user of the operating system';
comment on column reporting.operator_actions.login is 'user of the operating system and host that the command ran as and on';
comment on column reporting.operator_actions.database_role is 'who the command was to PostgreSQL';
comment on column reporting.operator_actions.action is 'the words of the command, as in account credit';
comment on column reporting.operator_actions.arguments is 'what was said with it, as JSON; defaults are left out';
comment on column reporting.operator_actions.outcome is 'done; refused: nothing was changed; failed or interrupted: what was committed by then stays; null while it goes on, or where its process was killed';
comment on column reporting.operator_actions.reason is 'why it was refused; else null';
comment on column reporting.operator_actions.ended_at is 'when it ended; null where outcome is';
comment on column reporting.operator_actions.account_created is 'the account that it made; else null';

-- By itself: with the other function in it, reporting.accounts was for a usual search_path only.
create or replace function months_begun(started_at timestamptz, day date) returns integer
language sql immutable parallel safe as $$
    select months - (((started_at at time zone 'UTC')::date + make_interval(months => months))::date > day)::integer
    from (select ((extract(year from day) - extract(year from started_at at time zone 'UTC')) * 12
        + extract(month from day) - extract(month from started_at at time zone 'UTC'))::integer as months) as calendar
$$;

-- Default privileges name the role that they are of, so that a dump could be restored under that name only.
-- A view is granted by name instead.
alter default privileges in schema reporting revoke select on tables from numberbank_reporting;
grant select on reporting.operator_actions to numberbank_reporting;
