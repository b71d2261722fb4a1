-- What may be refused, and what must be committed before it is used: by itself, so that nothing else
-- has happened yet.

-- Who may read the views of the schema reporting and none of the tables. A role is known to all
-- databases of the cluster: another one may have made it, or makes it right now.
do $$
begin
    if not exists (select from pg_roles where rolname = 'numberbank_reporting') then
        create role numberbank_reporting nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then
        raise insufficient_privilege using message = 'this user may not create roles: '
            'an administrator must run "create role numberbank_reporting", then migrate again';
end $$;

alter type entry_kind add value 'monthly_fee';
