-- Inventory: which numbers exist and what may be done with them.

create type number_kind as enum ('local', 'tollfree');
create type stock_state as enum ('available', 'in_use', 'quarantined', 'withdrawn');

create table stock (
    phone_number   bigint      constraint stock_pkey primary key, -- ten digits
    area_code      smallint    not null generated always as ((phone_number / 10000000)::smallint) stored,
    kind           number_kind not null,
    state          stock_state not null default 'available',
    state_since    timestamptz not null,
    -- When its quarantine began, until that has ended: a withdrawal does not shorten it.
    quarantined_at timestamptz,
    -- The open tenancy while in use: what a release must still find here when its turn comes.
    tenancy_sid    uuid,
    -- A random place in the queue: buyers start at random points and so keep apart.
    pick           integer     not null default floor(random() * 2147483648)::integer,
    provider       text,
    monthly_cost   bigint, -- cents, what the operator pays
    note           text,
    added_at       timestamptz not null,
    constraint stock_phone_number_ten_digits check (
        phone_number between 2000000000 and 9999999999 and phone_number / 1000000 % 10 >= 2),
    constraint stock_tenancy_while_in_use check ((state = 'in_use') = (tenancy_sid is not null)),
    constraint stock_quarantine_has_beginning check (case state
        when 'quarantined' then quarantined_at is not null
        when 'withdrawn' then true
        else quarantined_at is null end),
    constraint stock_monthly_cost_not_negative check (monthly_cost >= 0)
)
-- A sale and a release rewrite the row in place where there is room.
with (fillfactor = 90);

-- A purchase by area code walks from a random pick to the next available number.
create index stock_available_by_area_code on stock (area_code, pick) where state = 'available';
-- The same for a purchase anywhere in the country.
create index stock_available_by_kind on stock (kind, pick) where state = 'available';

create table prices (
    kind        number_kind not null,
    account_sid uuid        constraint prices_account_sid_fkey references accounts (sid), -- null: everybody
    price       bigint      not null, -- cents a month
    constraint prices_not_negative check (price >= 0)
);

-- One price a kind for everybody …
create unique index prices_general_key on prices (kind) where account_sid is null;
-- … and at most one of its own for each account.
create unique index prices_account_key on prices (account_sid, kind) where account_sid is not null;

insert into prices (kind, price) values ('local', 100), ('tollfree', 200);
