//! The audit names whatever is broken, and nothing else.

use std::collections::BTreeSet;

use numberbank::audit;
use sqlx::AssertSqlSafe;

use crate::support::{Account, World, test_without_audit};

/// Two accounts; one holds a number and has released another, the other holds one.
struct Scene {
    account: Account,
    /// The Sid and digits of the number that is held.
    sid: String,
    number: String,
    released: String,
}

/// What a breach is about.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Account,
    Number,
    Sid,
    Released,
}

impl Scene {
    async fn new(world: &World) -> Self {
        world.stock(4_158_670_000, 9).await;
        let (account, bystander) = (world.account("50.00").await, world.account("50.00").await);
        let bought = world.server.buy(&account, &[]).await;
        let released = world.server.buy(&account, &[]).await.assert_status(201).element("Sid");
        world.server.buy(&bystander, &[]).await.assert_status(201);
        world.server.release(&account, &released).await.assert_status(204);
        let (sid, number) = (bought.element("Sid"), bought.element("PhoneNumber"));
        assert_eq!(audit::audit(&world.db).await.expect("the audit runs"), []);
        Self { account, sid, number, released }
    }

    fn name(&self, subject: Subject) -> &str {
        match subject {
            Subject::Account => &self.account.sid,
            Subject::Number => &self.number,
            Subject::Sid => &self.sid,
            Subject::Released => &self.released,
        }
    }

    /// Puts the scene's own Sids and digits into a statement.
    fn fill(&self, statement: &str) -> String {
        let uuid = |sid: &str| format!("'{}'::uuid", &sid[2..]);
        statement
            .replace(":account", &uuid(&self.account.sid))
            .replace(":sid", &uuid(&self.sid))
            .replace(":released", &uuid(&self.released))
            .replace(":number", &self.number)
    }
}

/// Breaks a fresh world in this way; the audit must name exactly these.
async fn assert_named(world: &World, statement: &str, expected: &[(i32, Subject)]) {
    let scene = Scene::new(world).await;
    // As a replica, PostgreSQL asks neither triggers nor foreign keys.
    let statement = format!("set session_replication_role = replica; {}", scene.fill(statement));
    sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&world.db).await.expect(&statement);
    let breaches = audit::audit(&world.db).await.expect("the audit runs");
    assert!(breaches.iter().all(|breach| !breach.what.is_empty()));
    let named: BTreeSet<_> = breaches.iter().map(|breach| (breach.invariant, breach.subject.as_str())).collect();
    let expected = expected.iter().map(|(invariant, subject)| (*invariant, scene.name(*subject))).collect();
    assert_eq!(named, expected, "{statement}: {breaches:?}");
}

macro_rules! broken {
    ($($name:ident: $statement:expr => [$(($invariant:literal, $subject:ident)),+];)+) => {
        $(
            #[test]
            fn $name() {
                let expected = [$(($invariant, Subject::$subject)),+];
                test_without_audit(async |world| assert_named(world, $statement, &expected).await);
            }
        )+
    };
}

broken! {
    // 1: balances
    a_balance_that_is_not_the_sum_is_named:
        "update accounts set balance = balance + 1 where sid = :account" => [(1, Account)];
    an_entry_whose_balance_after_is_not_the_running_sum_is_named:
        "update ledger_entries set balance_after = balance_after + 1 where tenancy_sid = :sid" => [(1, Account)];
    a_negative_balance_is_named:
        "alter table accounts drop constraint accounts_balance_not_negative;
        alter table ledger_entries drop constraint ledger_entries_balance_not_negative;
        insert into ledger_entries (account_sid, at, kind, amount, balance_after)
            values (:account, now(), 'debit', -10000, -5200);
        update accounts set balance = -5200 where sid = :account" => [(1, Account)];
    a_balance_without_any_entry_is_named:
        "alter table ledger_entries drop constraint ledger_entries_charge_names_month;
        update ledger_entries set account_sid = gen_random_uuid() where account_sid = :account and kind = 'credit'"
        => [(1, Account)];

    // 2: holders
    a_number_in_use_without_a_tenancy_is_named:
        "update tenancies set ended_at = now() where sid = :sid;
        update accounts set local_numbers = 0 where sid = :account" => [(2, Number)];
    a_number_with_two_tenancies_is_named:
        "drop index tenancies_one_open_per_number;
        update tenancies set ended_at = null,
            phone_number = :number where sid = :released;
        update accounts set local_numbers = 2 where sid = :account" => [(2, Number)];
    a_tenancy_of_a_number_that_is_not_in_use_is_named:
        "update stock set state = 'available', tenancy_sid = null where phone_number = :number" => [(2, Number)];
    a_number_in_use_by_another_tenancy_than_its_own_is_named:
        "update stock set tenancy_sid = :released where phone_number = :number" => [(2, Number)];
    a_wrong_count_of_numbers_is_named:
        "update accounts set local_numbers = 7 where sid = :account" => [(2, Account)];

    // 3: purchases
    a_tenancy_that_was_not_paid_for_is_named:
        "delete from ledger_entries where tenancy_sid = :released;
        update ledger_entries set balance_after = 4900 where account_sid = :account and month = 0;
        update accounts set balance = 4900 where sid = :account" => [(3, Released)];
    a_purchase_without_a_tenancy_is_named:
        "delete from tenancies where sid = :released" => [(3, Released)];
    a_purchase_at_another_price_is_named:
        "update tenancies set price = 99 where sid = :sid" => [(3, Sid)];
    a_purchase_that_another_account_paid_is_named:
        "update tenancies set account_sid = (select sid from accounts where sid <> :account) where sid = :released"
        => [(3, Released)];
    a_purchase_of_a_number_that_is_not_in_stock_is_named:
        "delete from stock where tenancy_sid is null" => [(3, Released)];
    a_purchase_that_was_paid_twice_is_named:
        "alter table ledger_entries drop constraint ledger_entries_month_charged_once;
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'purchase', -100, 4700, :sid, 0);
        update accounts set balance = 4700 where sid = :account" => [(3, Sid), (4, Sid)];

    // 4: months
    a_month_that_is_charged_twice_is_named:
        "alter table ledger_entries drop constraint ledger_entries_month_charged_once;
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'monthly_fee', -100, 4700, :sid, 1), (:account, now(), 'monthly_fee', -100, 4600, :sid, 1);
        update accounts set balance = 4600 where sid = :account" => [(4, Sid)];
    a_month_that_is_charged_after_the_end_is_named:
        "insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            values (:account, now(), 'monthly_fee', -100, 4700, :released, 1);
        update accounts set balance = 4700 where sid = :account" => [(4, Released)];
}
