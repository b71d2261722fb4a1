-- A kind of ledger entry, by itself: nobody may use a new value in the transaction that adds it.

alter type entry_kind add value 'monthly_fee';
