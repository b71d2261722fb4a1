//! Requests and runs that wait for a row, and find that it has changed: they act on what is there then, or refuse.

use chrono::TimeDelta;
use futures_util::future::join;
use numberbank::db::Transaction;
use numberbank::error::Denied;
use numberbank::inventory::{self, State};
use numberbank::releases;
use numberbank::values::phone::PhoneNumber;
use numberbank::values::sid::{AccountSid, NumberSid};
use sqlx::{Encode, Postgres, Type};

use crate::support::{Account, CLOSING, World, eventually, test};

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

/// A number in stock, and the Sid under which it was bought.
#[derive(Clone, Copy)]
struct Bought {
    number: PhoneNumber,
    sid: NumberSid,
}

/// An account that has bought so many numbers with all of its money.
async fn holder<const MANY: usize>(world: &World) -> (Account, [Bought; MANY]) {
    world.stock(4_158_670_000, 9).await;
    let account = world.account(&format!("{MANY}.00")).await;
    let mut bought = Vec::new();
    for _ in 0..MANY {
        let answer = world.server.buy(&account, &[]).await;
        let number = answer.assert_status(201).element("PhoneNumber").parse().expect("digits");
        let number = PhoneNumber::new(number).expect("a number");
        bought.push(Bought { number, sid: answer.element("Sid").parse().expect("a Sid") });
    }
    (account, bought.try_into().ok().expect("as many as wanted"))
}

async fn release(world: &World, account: &Account, bought: Bought) {
    world.server.release(account, &bought.sid.to_string()).await.assert_status(204);
}

/// A transaction of somebody else, which stays open.
struct Open<'a> {
    world: &'a World,
    transaction: Transaction,
}

impl<'a> Open<'a> {
    async fn on(world: &'a World) -> Self {
        Self { world, transaction: world.db.begin().await.expect("a transaction") }
    }

    /// Runs a statement whose `$1` is this Sid and whose `$2` is the time.
    async fn change<S>(mut self, statement: &'static str, sid: S) -> Self
    where
        S: for<'q> Encode<'q, Postgres> + Type<Postgres> + Send + 'static,
    {
        let query = sqlx::query(statement).bind(sid).bind(self.world.clock.now());
        let changed = query.execute(&mut *self.transaction).await.expect("a change").rows_affected();
        assert_eq!(changed, 1, "{statement}");
        self
    }

    /// Releases a number, but for its account's counts.
    async fn release(self, bought: Bought) -> Self {
        let statement = "with tenancy as (update tenancies set ended_at = $2 where sid = $1 returning phone_number)
            update stock set state = 'quarantined', moved_by = 'release', state_since = $2, quarantined_at = $2,
                tenancy_sid = null
            from tenancy where stock.phone_number = tenancy.phone_number";
        self.change(statement, bought.sid).await
    }

    /// Gives a number back, but for its account's counts.
    async fn restore(self, bought: Bought) -> Self {
        let statement = "with tenancy as (
                update tenancies set ended_at = null,
                    due_month = due_month + months_due(started_at, due_month, ($2 at time zone 'UTC')::date)
                where sid = $1 returning phone_number
            )
            update stock set state = 'in_use', moved_by = 'restore', state_since = $2, quarantined_at = null,
                tenancy_sid = $1
            from tenancy where stock.phone_number = tenancy.phone_number";
        self.change(statement, bought.sid).await
    }

    /// Counts one number more.
    async fn count(self, account: &Account) -> Self {
        let statement = "with account as (update accounts set updated_at = greatest($2, updated_at) where sid = $1)
            update account_sums set version = version + 1, local_numbers = local_numbers + 1,
                monthly_fees = monthly_fees + 100
            where account_sid = $1";
        self.change(statement, sid(account)).await
    }

    /// Does something, which waits for this transaction: once it does, this one is committed.
    async fn beside<T>(self, work: impl Future<Output = T>) -> T {
        let commit = async {
            eventually("it waits", async || self.world.waiting().await > 0).await;
            self.transaction.commit().await.expect("a commit");
        };
        join(work, commit).await.0
    }
}

/// The Sids of the numbers that are held.
async fn held(world: &World) -> Vec<NumberSid> {
    let statement = "select sid from tenancies where ended_at is null order by started_at, sid";
    sqlx::query_scalar(statement).fetch_all(&world.db).await.expect("Sids")
}

async fn state(world: &World, number: PhoneNumber) -> State {
    let mut transaction = world.db.begin().await.expect("a transaction");
    let found = inventory::find(&mut transaction, number).await.expect("the stock");
    found.expect("a number").0.state
}

#[test]
fn a_release_that_waits_for_another_finds_the_number_gone() {
    test(async |world| {
        let (account, [first, second, third]) = holder(world).await;
        release(world, &account, third).await;
        // One goes and one comes, so the account's counts stay as they are.
        let open = Open::on(world).await.release(first).await.restore(third).await;
        let path = first.sid.to_string();
        open.beside(world.server.release(&account, &path)).await.assert_refused(404, 20404);
        let mut left = [second.sid, third.sid];
        left.sort();
        assert_eq!(held(world).await, left);
    });
}

#[test]
fn a_closing_that_waits_releases_what_is_held_by_then() {
    test(async |world| {
        let (account, [first, _, third]) = holder(world).await;
        release(world, &account, third).await;
        let open = Open::on(world).await.release(first).await.restore(third).await;
        let closed = open.beside(releases::close_account(&world.db, &world.clock, sid(&account), CLOSING)).await;
        assert_eq!((closed.expect("a closing").released, held(world).await), (2, vec![]));
    });
}

#[test]
fn a_closing_that_waits_releases_a_number_that_came_meanwhile() {
    test(async |world| {
        let (account, [only]) = holder(world).await;
        release(world, &account, only).await;
        let open = Open::on(world).await.restore(only).await.count(&account).await;
        let closed = open.beside(releases::close_account(&world.db, &world.clock, sid(&account), CLOSING)).await;
        assert_eq!((closed.expect("a closing").released, held(world).await), (1, vec![]));
    });
}

#[test]
fn a_number_that_comes_into_use_is_not_withdrawn_nor_any_other_with_it() {
    test(async |world| {
        let (account, [only, other]) = holder(world).await;
        for bought in [only, other] {
            release(world, &account, bought).await;
        }
        let open = Open::on(world).await.restore(only).await.count(&account).await;
        let numbers = [only.number, other.number];
        let refused = open.beside(inventory::withdraw(&world.db, &world.clock, &numbers, None)).await;
        let refused = refused.expect_err("one is in use");
        let expected = inventory::Refused::CannotWithdraw(only.number, State::InUse);
        assert!(matches!(&refused, Denied::Refused(refused) if *refused == expected), "{refused:?}");
        assert_eq!(state(world, other.number).await, State::Quarantined);
    });
}

#[test]
fn a_number_that_another_puts_back_is_not_put_back_again_nor_any_other_with_it() {
    test(async |world| {
        let (account, [only, other]) = holder(world).await;
        for bought in [only, other] {
            release(world, &account, bought).await;
        }
        let numbers = [only.number, other.number];
        inventory::withdraw(&world.db, &world.clock, &numbers, None).await.expect("a withdrawal");
        let statement = "update stock set state = 'quarantined', moved_by = 'return', state_since = $2
            where phone_number = (select phone_number from tenancies where sid = $1)";
        let open = Open::on(world).await.change(statement, only.sid).await;
        let refused = open.beside(inventory::put_back(&world.db, &world.clock, &numbers, false)).await;
        let refused = refused.expect_err("one is in quarantine");
        let expected = inventory::Refused::CannotReturn(only.number, State::Quarantined);
        assert!(matches!(&refused, Denied::Refused(refused) if *refused == expected), "{refused:?}");
        assert_eq!(state(world, other.number).await, State::Withdrawn);
    });
}

#[test]
fn a_number_that_another_gives_back_is_not_given_back_again() {
    test(async |world| {
        let (account, [only]) = holder(world).await;
        release(world, &account, only).await;
        let open = Open::on(world).await.restore(only).await.count(&account).await;
        let refused = open.beside(releases::restore(&world.db, &world.clock, only.sid)).await;
        let expected = releases::Refused::IsHeld(only.number, only.sid);
        assert!(matches!(&refused, Err(Denied::Refused(refused)) if *refused == expected), "{refused:?}");
        assert_eq!(held(world).await, [only.sid]);
    });
}

/// Such an account, unpaid for so long that its numbers are released by the next run.
async fn unpaid<const MANY: usize>(world: &World) -> (Account, [Bought; MANY]) {
    let (account, bought) = holder(world).await;
    world.clock.advance(TimeDelta::days(31));
    assert_eq!(world.bill().await.suspended, 1);
    world.clock.advance(TimeDelta::days(14));
    (account, bought)
}

#[test]
fn a_run_that_waits_releases_no_number_that_is_gone_or_not_due_any_more() {
    test(async |world| {
        let (account, [first, _, third]) = unpaid(world).await;
        release(world, &account, third).await;
        let open = Open::on(world).await.release(first).await.restore(third).await;
        assert_eq!(open.beside(world.bill()).await.released, 1);
        assert_eq!(held(world).await, [third.sid]);
    });
}

#[test]
fn a_run_that_waits_keeps_a_number_that_was_released_and_given_back() {
    test(async |world| {
        let (_, [only]) = unpaid(world).await;
        let open = Open::on(world).await.release(only).await.restore(only).await;
        assert_eq!(open.beside(world.bill()).await.released, 0);
        assert_eq!(held(world).await, [only.sid]);
    });
}

#[test]
fn a_run_that_waits_keeps_the_numbers_of_an_account_that_an_operator_made_active() {
    test(async |world| {
        let (account, [only]) = unpaid(world).await;
        let statement = "update accounts set unpaid_since = null, changed_by = ('operator', $2) where sid = $1";
        let open = Open::on(world).await.change(statement, sid(&account)).await;
        assert_eq!(open.beside(world.bill()).await.released, 0);
        assert_eq!(held(world).await, [only.sid]);
    });
}
