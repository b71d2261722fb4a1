-- A word that V21 needs. A transaction that adds a value cannot use it.

alter type change_reason add value 'owner'; -- a sub-account's owner did it, or may not act itself
