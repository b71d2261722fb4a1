//! The audit reports each broken invariant, and nothing else.

use numberbank::audit::Extent;
use sqlx::AssertSqlSafe;

use crate::support::{Account, World, audited, breaches, test_without_audit};

/// Two main accounts; one holds a number and has released another, the other holds one. A sub-account of the first.
struct Scene {
    account: Account,
    child: Account,
    /// The Sid and digits of the first account's number.
    sid: String,
    number: String,
    released: String,
}

/// The subject of a breach.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Account,
    Child,
    Number,
    Sid,
    Released,
    Area,
    NoAccount,
    NoTenancy,
}

impl Scene {
    async fn new(world: &World) -> Self {
        world.stock(4_158_670_000, 9).await;
        let (account, bystander) = (world.account("50.00").await, world.account("50.00").await);
        let child = world.child(&account).await;
        let bought = world.server.buy(&account, &[]).await;
        let released = world.server.buy(&account, &[]).await.assert_status(201).element("Sid");
        world.server.buy(&bystander, &[]).await.assert_status(201);
        world.server.release(&account, &released).await.assert_status(204);
        let (sid, number) = (bought.element("Sid"), bought.element("PhoneNumber"));
        assert_eq!(breaches(&world.db).await, []);
        Self { account, child, sid, number, released }
    }

    fn name(&self, subject: Subject) -> &str {
        match subject {
            Subject::Account => &self.account.sid,
            Subject::Child => &self.child.sid,
            Subject::Number => &self.number,
            Subject::Sid => &self.sid,
            Subject::Released => &self.released,
            Subject::Area => "local 415",
            Subject::NoAccount => "AC00000000000000000000000000000001",
            Subject::NoTenancy => "PN00000000000000000000000000000001",
        }
    }

    /// Replaces placeholders in a statement by the scene's Sids and digits.
    fn fill(&self, statement: &str) -> String {
        let uuid = |sid: &str| format!("'{}'::uuid", &sid[2..]);
        statement
            .replace(":nobody", "'00000000-0000-0000-0000-000000000001'::uuid")
            .replace(":bystander", "(select sid from accounts where sid <> :account and owner_sid is null)")
            .replace(":account", &uuid(&self.account.sid))
            .replace(":child", &uuid(&self.child.sid))
            .replace(":sid", &uuid(&self.sid))
            .replace(":released", &uuid(&self.released))
            .replace(":number", &self.number)
    }
}

/// Breaks a new database, which was audited, with a statement.
async fn broken(world: &World, statement: &str) -> Scene {
    let scene = Scene::new(world).await;
    // In the role of a replica, PostgreSQL runs neither triggers nor foreign keys.
    let statement = format!("set session_replication_role = replica; {}", scene.fill(statement));
    sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&world.db).await.expect(&statement);
    scene
}

/// Breaks a new database with a statement; the audit must report exactly these breaches.
async fn assert_named(world: &World, statement: &str, expected: &[(i32, Subject, &str)]) {
    let scene = broken(world, statement).await;
    let breaches = breaches(&world.db).await;
    assert_eq!(breaches.len(), expected.len(), "{statement}: {breaches:?}");
    for (breach, (invariant, subject, words)) in breaches.iter().zip(expected) {
        assert_eq!((breach.invariant, breach.subject.as_str()), (*invariant, scene.name(*subject)), "{breaches:?}");
        assert!(breach.what.contains(words), "{words:?} is not in {breaches:?}");
    }
}

macro_rules! broken {
    ($($name:ident: $statement:expr => [$(($invariant:literal, $subject:ident, $words:literal)),+];)+) => {
        $(
            #[test]
            fn $name() {
                let expected = [$(($invariant, Subject::$subject, $words)),+];
                test_without_audit(async |world| assert_named(world, $statement, &expected).await);
            }
        )+
    };
}

broken! {
    // 1: balances
    a_balance_that_is_not_the_sum_is_named:
        "update account_sums set balance = balance + 1 where account_sid = :account"
        => [(1, Account, "the balance is 4801 cents, the ledger sums up to 4800")];
    an_entry_whose_balance_after_is_not_the_running_sum_is_named:
        "update ledger_entries set balance_after = balance_after + 1 where tenancy_sid = :sid"
        => [(1, Account, "says that 4901 cents are left, with the one before it they are 4900"),
            (1, Account, "says that 4800 cents are left, with the one before it they are 4801")];
    an_entry_after_one_that_is_missing_is_named:
        "delete from ledger_entries where account_sid = :account and kind = 'credit'"
        => [(1, Account, "says that 4900 cents are left, with the one before it they are -100"),
            (1, Account, "the balance is 4800 cents, the ledger sums up to -200")];
    a_negative_balance_is_named:
        "alter table account_sums drop constraint account_sums_balance_not_negative;
        alter table ledger_entries drop constraint ledger_entries_balance_not_negative;
        insert into ledger_entries (account_sid, at, kind, amount, balance_after)
            values (:account, now(), 'debit', -10000, -5200);
        update account_sums set balance = -5200 where account_sid = :account"
        => [(1, Account, "says that -5200 cents are left, with the one before it they are -5200"),
            (1, Account, "the balance is -5200 cents, less than nothing")];
    a_balance_without_any_entry_is_named:
        "insert into accounts (sid, name, credential, token_hash, created_at, updated_at)
            values (:nobody, 'Nobody', gen_random_uuid(), '', now(), now());
        insert into account_sums (account_sid, is_main, balance) values (:nobody, true, 5)"
        => [(1, NoAccount, "the balance is 5 cents, the ledger sums up to 0")];
    an_account_without_sums_is_named:
        "delete from account_sums where account_sid = :child"
        => [(2, Child, "has 0 rows of sums")];
    an_account_with_two_rows_of_sums_is_named:
        "insert into account_sums (account_sid, version, is_main, balance)
            select account_sid, version + 1, is_main, balance from account_sums where account_sid = :child"
        => [(2, Child, "has 2 rows of sums")];
    entries_of_no_account_are_named:
        "insert into ledger_entries (account_sid, at, kind, amount, balance_after)
            values (:nobody, now(), 'credit', 500, 500)"
        => [(1, NoAccount, "entries of 500 cents, but there is no such account")];

    // 2: holders
    a_number_in_use_without_a_tenancy_is_named:
        "update tenancies set ended_at = now() where sid = :sid;
        update account_sums set local_numbers = 0, monthly_fees = 0 where account_sid = :account"
        => [(2, Number, "in use by PN")];
    a_number_with_two_tenancies_is_named:
        "drop index tenancies_one_open_per_number;
        update tenancies set ended_at = null,
            phone_number = :number where sid = :released;
        update account_sums set local_numbers = 2, monthly_fees = 200 where account_sid = :account"
        => [(2, Number, "not in use by PN"), (5, Number, "while another tenancy goes on")];
    a_tenancy_of_a_number_that_is_not_in_use_is_named:
        "update stock set state = 'available', tenancy_sid = null where phone_number = :number;
        insert into stock_counts values ('local', 415, 1, -1, 0, 0)"
        => [(2, Number, "not in use by PN")];
    a_number_in_use_by_another_tenancy_than_its_own_is_named:
        "update stock set tenancy_sid = :released where phone_number = :number"
        => [(2, Number, "in use by PN"), (2, Number, "not in use by PN")];
    a_wrong_count_of_local_numbers_is_named:
        "update account_sums set local_numbers = 7 where account_sid = :account"
        => [(2, Account, "counts 7 local numbers, holds 1")];
    a_wrong_count_of_tollfree_numbers_is_named:
        "update account_sums set tollfree_numbers = 7 where account_sid = :account"
        => [(2, Account, "counts 7 toll-free numbers, holds 0")];
    wrong_monthly_fees_are_named:
        "update account_sums set monthly_fees = 99 where account_sid = :account"
        => [(2, Account, "counts 99 cents a month, holds numbers for 100")];
    numbers_of_no_account_are_named:
        "update tenancies set account_sid = :nobody where sid = :sid;
        update account_sums set local_numbers = 0, monthly_fees = 0 where account_sid = :account"
        => [(2, NoAccount, "holds numbers, but there is no such account"), (3, Sid, "paid for by AC")];
    stock_that_is_not_counted_is_named:
        "delete from stock_counts" => [(2, Area, "counts 0 numbers available, holds 6"),
            (2, Area, "counts 0 numbers in_use, holds 2"), (2, Area, "counts 0 numbers quarantined, holds 1")];
    stock_that_is_counted_and_gone_is_named:
        "delete from stock where phone_number = (select max(phone_number) from stock where state = 'available')"
        => [(2, Area, "counts 6 numbers available, holds 5")];
    a_number_that_moved_without_being_counted_is_named:
        "update stock set state = 'withdrawn' where state = 'quarantined'"
        => [(2, Area, "counts 0 numbers withdrawn, holds 1"), (2, Area, "counts 1 numbers quarantined, holds 0")];

    // 3: purchases
    a_tenancy_that_was_not_paid_for_is_named:
        "delete from ledger_entries where tenancy_sid = :released;
        update ledger_entries set balance_after = 4900 where account_sid = :account and month = 0;
        update account_sums set balance = 4900 where account_sid = :account"
        => [(3, Released, "never paid for")];
    a_purchase_without_a_tenancy_is_named:
        "delete from tenancies where sid = :released"
        => [(3, Released, "paid for with 100 cents, but there is no such tenancy")];
    a_purchase_at_another_price_is_named:
        "update tenancies set price = 99 where sid = :sid;
        update account_sums set monthly_fees = 99 where account_sid = :account"
        => [(3, Sid, "paid for with 100 cents, the price is 99")];
    a_purchase_that_another_account_paid_is_named:
        "update tenancies set account_sid = :bystander where sid = :released"
        => [(3, Released, "paid for by AC")];
    a_purchase_that_a_sub_account_paid_is_named:
        "alter table ledger_entries drop constraint ledger_entries_month_charged_once;
        update ledger_entries set balance_after = 4900 where tenancy_sid = :released;
        update ledger_entries set account_sid = :child, amount = 0, balance_after = 0 where tenancy_sid = :sid;
        update tenancies set account_sid = :child, price = 0 where sid = :sid;
        update account_sums set balance = 4900, local_numbers = 0, monthly_fees = 0 where account_sid = :account;
        update account_sums set local_numbers = 1 where account_sid = :child"
        => [(3, Sid, "paid for by AC")];
    a_purchase_of_a_number_that_is_not_in_stock_is_named:
        "delete from stock where tenancy_sid is null;
        insert into stock_counts values ('local', 415, -6, 0, -1, 0)"
        => [(3, Released, "is not in stock")];
    a_purchase_of_a_number_of_another_kind_is_named:
        "update tenancies set kind = 'tollfree' where sid = :released"
        => [(3, Released, "sold as tollfree, its number 415")];
    a_purchase_that_was_paid_twice_is_named:
        "alter table ledger_entries drop constraint ledger_entries_month_charged_once;
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'purchase', -100, 4700, :sid, 0);
        update account_sums set balance = 4700 where account_sid = :account"
        => [(3, Sid, "paid for 2 times"), (4, Sid, "month 0 is charged 2 times")];

    // 4: months
    a_month_that_is_charged_twice_is_named:
        "alter table ledger_entries drop constraint ledger_entries_month_charged_once;
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'monthly_fee', -100, 4700, :sid, 1), (:account, now(), 'monthly_fee', -100, 4600, :sid, 1);
        update account_sums set balance = 4600 where account_sid = :account;
        update tenancies set due_month = 2, due_on = '2008-06-01' where sid = :sid"
        => [(4, Sid, "month 1 is charged 2 times")];
    a_month_that_is_charged_after_the_end_is_named:
        "insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'monthly_fee', -100, 4700, :released, 1);
        update account_sums set balance = 4700 where account_sid = :account;
        update tenancies set due_month = 2, due_on = '2008-06-01' where sid = :released"
        => [(4, Released, "month 1 begins on 2008-05-01, after the end on 2008-04-01")];
    a_fee_that_is_not_the_price_is_named:
        "insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'monthly_fee', 0, 4800, :sid, 1);
        update tenancies set due_month = 2, due_on = '2008-06-01' where sid = :sid"
        => [(4, Sid, "month 1 is charged with 0 cents, the price is 100")];
    a_fee_that_another_account_paid_is_named:
        "insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:bystander, now(), 'monthly_fee', -100, 4800, :sid, 1);
        update account_sums set balance = 4800 where account_sid = :bystander;
        update tenancies set due_month = 2, due_on = '2008-06-01' where sid = :sid"
        => [(4, Sid, "month 1 is paid by AC")];
    a_fee_that_a_sub_account_paid_is_named:
        "insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:child, now(), 'monthly_fee', 0, 0, :sid, 1);
        update ledger_entries set amount = 0, balance_after = 5000 where tenancy_sid = :sid and month = 0;
        update ledger_entries set balance_after = 4900 where tenancy_sid = :released;
        update account_sums set balance = 4900, monthly_fees = 0 where account_sid = :account;
        update tenancies set due_month = 2, due_on = '2008-06-01', price = 0 where sid = :sid"
        => [(4, Sid, "month 1 is paid by AC")];
    a_fee_that_was_charged_and_is_still_due_is_named:
        "insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'monthly_fee', -100, 4700, :sid, 1);
        update account_sums set balance = 4700 where account_sid = :account"
        => [(4, Sid, "month 1 is charged, but next is month 1")];
    a_fee_of_no_tenancy_is_named:
        "insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'monthly_fee', -100, 4700, :nobody, 1);
        update account_sums set balance = 4700 where account_sid = :account"
        => [(4, NoTenancy, "month 1 is charged, but there is no such tenancy")];
    a_fee_that_is_due_on_the_wrong_day_is_named:
        "update tenancies set due_on = '2008-05-02' where sid = :sid"
        => [(4, Sid, "month 1 is due on 2008-05-02, begins on 2008-05-01")];

    // 5: overlaps
    a_tenancy_that_begins_before_the_one_before_it_has_ended_is_named:
        "update tenancies set phone_number = :number, started_at = started_at - interval '1 hour' where sid = :released;
        update stock_moves set phone_number = :number, at = at + interval '1 hour' where tenancy_sid = :released"
        => [(5, Number, "on, while another tenancy holds it until 2008-04-01 19:26:32")];
    a_tenancy_within_another_that_goes_on_is_named:
        "update tenancies set phone_number = :number, started_at = started_at + interval '1 hour',
            ended_at = ended_at + interval '2 hours' where sid = :released;
        update stock_moves set phone_number = :number, at = at + interval '2 hours' where tenancy_sid = :released"
        => [(5, Number, "holds it from 2008-04-01 19:26:32 on, while another tenancy goes on")];
    an_overlap_of_a_tenancy_whose_release_is_not_written_down_is_named:
        "update tenancies set phone_number = :number, started_at = started_at - interval '1 hour',
            ended_at = ended_at + interval '1 hour' where sid = :released;
        delete from stock_moves"
        => [(5, Number, "while another tenancy holds it until 2008-04-01 19:26:32")];

    // 7: families
    an_owner_that_does_not_exist_is_named:
        "update accounts set sub_accounts = 0 where sid = :account;
        update accounts set owner_sid = :nobody where sid = :child"
        => [(7, Child, "is owned by AC00000000000000000000000000000001, but there is no such account")];
    an_owner_that_is_a_sub_account_is_named:
        "insert into accounts (sid, owner_sid, name, credential, token_hash, created_at, updated_at)
            values (:nobody, :child, 'Grandchild', gen_random_uuid(), '', now(), now());
        insert into account_sums (account_sid, is_main) values (:nobody, false)"
        => [(7, NoAccount, ", itself a sub-account"), (7, Child, "counts 0 open sub-accounts, owns 1")];
    an_owner_that_is_closed_is_named:
        "alter table accounts drop constraint accounts_one_level_of_sub_accounts;
        update accounts set closed_at = now() where sid = :account;
        update accounts set owner_suspended = true where sid = :child"
        => [(7, Child, ", which is closed")];
    a_sub_account_that_is_suspended_without_its_owner_is_named:
        "update accounts set owner_suspended = true where sid = :child"
        => [(7, Child, "is suspended with its owner, which is active")];
    a_sub_account_that_is_not_suspended_with_its_owner_is_named:
        "update accounts set suspended_at = now() where sid = :account"
        => [(7, Child, "is not suspended with its owner, which is suspended")];
    a_sub_account_that_has_money_is_named:
        "alter table account_sums drop constraint account_sums_sub_account_has_no_money;
        insert into ledger_entries (account_sid, at, kind, amount, balance_after)
            values (:child, now(), 'credit', 5, 5);
        update account_sums set balance = 5 where account_sid = :child"
        => [(7, Child, "has 5 cents, which are its owner's to have")];
    a_wrong_count_of_sub_accounts_is_named:
        "update accounts set sub_accounts = 2 where sid = :account"
        => [(7, Account, "counts 2 open sub-accounts, owns 1")];
    a_closed_sub_account_that_is_still_counted_is_named:
        "update accounts set closed_at = now() where sid = :child"
        => [(7, Account, "counts 1 open sub-accounts, owns 0")];
}

/// Breaks a new database; says what the next audit finds in what is open, and in all.
async fn found_after(world: &World, statement: &str) -> [Vec<String>; 2] {
    broken(world, statement).await;
    let (open, all) = (audited(&world.db, Extent::Open).await, breaches(&world.db).await);
    [open, all].map(|found| found.into_iter().map(|breach| breach.what).collect())
}

#[test]
fn an_entry_of_a_closed_month_that_was_changed_is_found_by_a_full_audit() {
    test_without_audit(async |world| {
        let statement = "update ledger_entries set balance_after = balance_after + 1
            where account_sid = :account and tenancy_sid = :sid";
        let [open, all] = found_after(world, statement).await;
        assert_eq!(open, [""; 0]);
        assert_eq!(all.len(), 2, "{all:?}");
    });
}

#[test]
fn an_entry_after_the_checkpoint_must_go_on_from_it() {
    test_without_audit(async |world| {
        let statement = "insert into ledger_entries (account_sid, at, kind, amount, balance_after)
            values (:account, now(), 'credit', 100, 4901);
            update account_sums set balance = 4901 where account_sid = :account";
        let [open, all] = found_after(world, statement).await;
        assert_eq!(open.len(), 2, "{open:?}");
        assert!(
            open.iter()
                .any(|what| what.contains("says that 4901 cents are left, with the one before it they are 4900"))
        );
        assert_eq!(open, all);
    });
}

#[test]
fn the_entry_at_which_a_checkpoint_stands_must_be_as_it_was() {
    test_without_audit(async |world| {
        let statement = "update ledger_entries set balance_after = balance_after + 1
            where account_sid = :account and tenancy_sid <> :sid";
        let [open, _] = found_after(world, statement).await;
        assert_eq!(open.len(), 1, "{open:?}");
        assert!(open[0].contains("was proven to leave 4800 cents"), "{open:?}");
    });
}

#[test]
fn a_purchase_after_the_checkpoint_is_proven() {
    test_without_audit(async |world| {
        let statement = "insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'monthly_fee', -99, 4701, :sid, 1);
            update account_sums set balance = 4701 where account_sid = :account";
        let [open, all] = found_after(world, statement).await;
        assert!(open.iter().any(|what| what.contains("is charged with 99 cents, the price is 100")), "{open:?}");
        assert_eq!(open, all);
    });
}

/// What a transaction that goes on has written, an audit does not see: no checkpoint may cover it.
#[test]
fn an_entry_that_was_not_committed_yet_is_proven_by_a_later_audit() {
    test_without_audit(async |world| {
        let scene = Scene::new(world).await;
        let mut open = world.db.begin().await.expect("a transaction");
        let written = "set local session_replication_role = replica;
            insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'purchase', -77, 4723, :nobody, 0);
            update account_sums set balance = 4723 where account_sid = :account";
        let written = AssertSqlSafe(scene.fill(written));
        sqlx::raw_sql(written).execute(&mut *open).await.expect("an entry");
        assert_eq!(audited(&world.db, Extent::Open).await, []);
        open.commit().await.expect("a commit");
        let [open, all] = [audited(&world.db, Extent::Open).await, breaches(&world.db).await];
        assert!(open.iter().any(|breach| breach.what.contains("there is no such tenancy")), "{open:?}");
        assert_eq!(open, all);
    });
}

/// Only those that may have written entries are waited for.
#[test]
fn a_transaction_that_writes_no_entries_keeps_no_audit_from_its_checkpoint() {
    test_without_audit(async |world| {
        Scene::new(world).await;
        sqlx::raw_sql("delete from audit_checkpoints").execute(&world.db).await.expect("no checkpoint");
        let mut open = world.db.begin().await.expect("a transaction");
        let written = "update stock_thresholds set threshold = threshold; select pg_current_xact_id()";
        sqlx::raw_sql(written).execute(&mut *open).await.expect("a transaction that writes");
        assert_eq!(audited(&world.db, Extent::Open).await, []);
        assert_eq!(world.value::<i64>("select count(*) from audit_checkpoints").await, 1);
    });
}

#[test]
fn a_checkpoint_of_a_month_to_come_does_not_count() {
    test_without_audit(async |world| {
        let statement = "delete from ledger_entries where tenancy_sid = :sid;
            update audit_checkpoints set month = month + interval '1 month'";
        let [open, all] = found_after(world, statement).await;
        assert!(open.iter().any(|what| what.contains("paid")), "{open:?}");
        assert_eq!(open, all);
    });
}
