//! What the constraints and triggers of the database refuse.
//!
//! `constraints.sql` has statements for each rule. The rules are read from the catalogue of a migrated database, so
//! that no new rule can be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use numberbank::accounts::keys::Scope;
use numberbank::db::violated;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

use crate::support::{World, test};

/// The name of each rule, and the statement that drops it. A trigger's function names its rule where it raises the
/// error.
const RULES: &str = r"
    select conname::text, format('alter table %s drop constraint %I cascade', conrelid::regclass, conname)
    from pg_constraint where connamespace = 'public'::regnamespace and contype in ('c', 'u', 'p', 'f', 'x')
        and conrelid <> 'refinery_schema_history'::regclass
    union all
    select relname::text, format('drop index %I', relname) from pg_index join pg_class on pg_class.oid = indexrelid
    where relnamespace = 'public'::regnamespace and indisunique
        and not exists (select from pg_constraint where conindid = indexrelid)
    union all
    select (regexp_match(prosrc, 'constraint = ''(\w+)'''))[1], format('drop trigger %I on %s', tgname, tgrelid::regclass)
    from pg_trigger join pg_proc on pg_proc.oid = tgfoid where prosrc ~ 'constraint = '''";

/// Rows in each table, so that each statement finds rows to change.
async fn scene(world: &World) {
    world.stock(4_158_670_000, 3).await;
    world.stock(8_002_340_000, 2).await;
    let (one, two) = (world.account("5.00").await, world.account("5.00").await);
    let released = world.server.buy(&one, &[]).await.assert_status(201).element("Sid");
    world.server.release(&one, &released).await.assert_status(204);
    world.server.buy_once(&two, "once", &[("SmsUrl", "http://example.com/sms")]).await.assert_status(201);
    world.server.post(&two, "/IncomingPhoneNumbers/TollFree", &[]).await.assert_status(201);
    world.suspend(&one).await;
    let of_operators = "insert into stock_thresholds values ('local', 415, 1);
        insert into prices select 'local', sid, 100 from accounts;
        insert into operator_actions (at, operator, login, action, arguments)
            select now(), 'Anna', 'anna@host', 'account list', '{}' from generate_series(1, 2);
        insert into operator_outcomes (action_id, at, outcome) select min(id), now(), 'done' from operator_actions;
        insert into imports (at, file, operator, added, already_known, changed, rejected)
            values (now(), '-', 'Anna', 0, 1, 1, 0);
        with mover as (
            select tenancies.sid, account_sid as giver, accounts.sid as taker, price
            from tenancies join accounts on accounts.sid <> account_sid where tenancies.kind = 'tollfree'
        ), given as (
            update account_sums set tollfree_numbers = 0, monthly_fees = monthly_fees - price from mover where account_sid = giver
        ), taken as (
            update account_sums set tollfree_numbers = 1, monthly_fees = monthly_fees + price from mover where account_sid = taker
        ), moved as (
            update tenancies set account_sid = taker from mover where tenancies.sid = mover.sid
        )
        insert into tenancy_transfers (tenancy_sid, at, from_account, to_account, from_month)
            select sid, now(), giver, taker, 1 from mover;
        update accounts set ref = 'crm-1' where sid = (select min(account_sid::text)::uuid from tenancies);
        with given as (
            update account_sums set balance = balance + 100 from accounts where account_sid = sid and ref is not null returning sid, balance
        )
        insert into ledger_entries (account_sid, at, kind, amount, balance_after)
            select sid, now(), 'credit', 100, balance from given;
        with taken as (
            update account_sums set balance = balance - 100 from accounts where account_sid = sid and ref is not null returning sid, balance
        )
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, reverses)
            select sid, now(), 'debit', -100, balance, (select max(id) from ledger_entries where amount = 100) from taken;
        with changed as (
            update account_sums set balance = balance + case when ref is null then 1 else -1 end from accounts
            where account_sid = sid returning sid, ref, balance
        )
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, transfer)
            select sid, now(), case when ref is null then 'credit' else 'debit' end::entry_kind,
                case when ref is null then 1 else -1 end, balance, 1 from changed;
        insert into ledger_keys select account_sid, 'once', min(id), '{}', '{}'
            from ledger_entries where kind = 'credit' group by account_sid";
    raw_sql(of_operators).execute(&world.db).await.expect("rows of operators");
    world.child(&two).await;
    world.key(&two, Scope::Standard).await;
}

/// The statements of the file by the rule that refuses them.
fn statements() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for block in include_str!("constraints.sql").split("\n-- ").skip(1) {
        let (rule, rest) = block.split_once('\n').expect("a rule, and its statements");
        let (rest, _) = rest.split_once("\n---").unwrap_or((rest, ""));
        let statements = rest.split(';').map(str::trim).filter(|statement| !statement.is_empty());
        assert!(all.insert(rule, statements.collect()).is_none(), "{rule} is there twice");
    }
    all
}

/// Runs a statement after another one, in a transaction that is rolled back, and returns its result.
async fn tried(connection: &mut PgConnection, before: &str, statement: &str) -> sqlx::Result<u64> {
    let mut transaction = connection.begin().await?;
    raw_sql(AssertSqlSafe(before.to_owned())).execute(&mut *transaction).await?;
    let done = raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await?;
    Ok(done?.rows_affected())
}

#[test]
fn the_database_itself_refuses_what_must_never_be() {
    test(async |world| {
        scene(world).await;
        let rules: Vec<(String, String)> = sqlx::query_as(RULES).fetch_all(&world.db).await.expect("the rules");
        let statements = statements();
        let names: BTreeSet<_> = rules.iter().map(|(rule, _)| rule.as_str()).collect();
        let written = statements.keys().copied().collect();
        let (forgotten, unknown) = (names.difference(&written), written.difference(&names));
        let (forgotten, unknown): (Vec<_>, Vec<_>) = (forgotten.collect(), unknown.collect());
        assert!(
            forgotten.is_empty() && unknown.is_empty(),
            "constraints.sql: no statements for {forgotten:?}, no rule for {unknown:?}"
        );
        let mut connection = PgConnection::connect_with(&world.options).await.expect("a connection");
        for (rule, removal) in &rules {
            assert!(!statements[rule.as_str()].is_empty(), "{rule} refuses something");
            for statement in &statements[rule.as_str()] {
                let refused = tried(&mut connection, "", statement).await.expect_err(statement);
                assert_eq!(violated(&refused), Some(rule.as_str()), "{statement}: {refused}");
                let done = tried(&mut connection, removal, statement).await;
                let rows = done.unwrap_or_else(|error| panic!("without {rule}, too, {statement} is refused: {error}"));
                assert!(rows > 0, "{statement} changes nothing");
            }
        }
    });
}

/// The tables whose rows are kept, and whether their triggers refuse a truncation, a deletion and a change.
const KEPT: &str = "select tgrelid::regclass::text, tgtype & 32 > 0, tgtype & 8 > 0, tgtype & 16 > 0
    from pg_trigger where tgfoid = 'refuse_change'::regproc order by 1";

#[test]
fn a_ledger_entry_is_never_changed_and_a_tenancy_never_deleted() {
    test(async |world| {
        scene(world).await;
        let kept: Vec<(String, bool, bool, bool)> = sqlx::query_as(KEPT).fetch_all(&world.db).await.expect("triggers");
        let tables: Vec<_> = kept.iter().map(|(table, ..)| table.as_str()).collect();
        let expected = ["account_events", "imports", "ledger_entries", "ledger_keys", "operator_actions"];
        let more = ["operator_outcomes", "price_changes", "stock_moves", "tenancies", "tenancy_transfers"];
        assert_eq!(tables, [expected, more].concat());
        let mut connection = PgConnection::connect_with(&world.options).await.expect("a connection");
        for (table, truncate, delete, update) in kept {
            assert_eq!((truncate, delete, update), (true, true, table != "tenancies"), "{table}");
            let column = if table == "ledger_keys" { "answer = '{}'" } else { "at = now()" };
            let mut statements = vec![format!("truncate {table} cascade"), format!("delete from {table}")];
            if update {
                statements.push(format!("update {table} set {column}"));
            }
            for statement in statements {
                let refused = tried(&mut connection, "", &statement).await.expect_err(&statement).to_string();
                assert!(refused.contains(&format!("{table} is only ever added to")), "{statement}: {refused}");
            }
        }
    });
}
