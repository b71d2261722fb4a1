-- The clocks of several machines differ: a number's time never goes backwards, whichever of them moves it.

-- Of an action whose last answer was lost: whether it was done, its command could not tell.
alter type action_outcome add value 'unknown';

comment on column reporting.operator_actions.outcome is 'done; refused: nothing was changed; failed or interrupted: what was committed by then stays; unknown: the answer to its last step was lost, so it may be done or not; null while it goes on, or where its process was killed';

-- What a clock far ahead has put on sale would be sold ahead: up to now such a sale was dated by its own clock.
update stock set state_since = now() where state = 'available' and state_since > now();

-- Every statement dates a move no earlier than the one before (greatest of both times). One that forgets is refused.
create function refuse_move_back() returns trigger language plpgsql as $$
begin
    raise exception '% cannot move at %, before its last move at %', new.phone_number, new.state_since, old.state_since
        using errcode = 'check_violation', constraint = 'stock_moves_forward';
end $$;

create trigger stock_moved_back after update of state on stock
    for each row when (new.state_since < old.state_since) execute function refuse_move_back();

-- Their times may be the same, where one machine's clock is behind another's.
create or replace view reporting.moves as
select phone_number, at, from_state, to_state, cause, reporting.number_sid(tenancy_sid) as number_sid, id from stock_moves
union all
select phone_number, started_at, 'available', 'in_use', 'sale', sid, null from reporting.tenancies;

comment on column reporting.moves.id is 'grows from move to move of a number: puts those of one moment in order; null for a sale, which its tenancy tells of';
