-- New values of enums. By themselves, because PostgreSQL uses a value only after the transaction that added it.

alter type stock_state add value 'retired';          -- ours no longer

alter type move_cause add value 'operator_release';  -- in_use → quarantined, by the operator
alter type move_cause add value 'retire';            -- available, quarantined, withdrawn → retired

alter type account_change add value 'number_lost';   -- a number left the account, and not by its holder's release

alter type change_reason add value 'moved';          -- the operator moved the number to another account
alter type change_reason add value 'nothing_owed';   -- what was not paid left the account
