//! Operators who do opposite things at once, and customers beside them: one after the other, in whichever order.

use std::collections::HashSet;

use chrono::TimeDelta;
use futures_util::future::{join, join_all, join3, join4};
use numberbank::billing;
use numberbank::error::Denied;
use numberbank::inventory::{self, Quarantine, Retirement, State};
use numberbank::numbers::{self, Biography, Settings};
use numberbank::purchases::{self, Assigned};
use numberbank::releases::{self, Refused};
use numberbank::values::chance::Chance;
use numberbank::values::money::Money;
use numberbank::values::phone::PhoneNumber;
use numberbank::values::sid::AccountSid;

use crate::support::{Account, Answer, CLOSING, World, eventually, test};

const NUMBER: i64 = 4_158_670_000;
const ROUNDS: i64 = 25;

fn number(at: i64) -> PhoneNumber {
    PhoneNumber::new(NUMBER + at).expect("a number")
}

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

async fn transfer(world: &World, at: i64, to: &Account) -> Result<Biography, Denied<Refused>> {
    crate::support::move_number(&world.db, &world.clock, number(at), None, sid(to), None).await
}

async fn end(world: &World, at: i64) -> Result<Biography, Denied<Refused>> {
    releases::release_by_operator(&world.db, &world.clock, number(at), None, None).await
}

async fn assign(world: &World, at: i64, to: &Account) -> Assignment {
    assign_for(world, at, to, 1).await
}

type Assignment = Result<Assigned, Denied<purchases::Refused>>;

async fn assign_for(world: &World, at: i64, to: &Account, cents: i64) -> Assignment {
    let (price, settings) = (Some(Money::from_cents(cents)), Settings::default());
    purchases::assign(&world.db, &world.clock, &Chance::System, sid(to), number(at), price, settings).await
}

async fn told(world: &World, at: i64) -> Biography {
    numbers::biography(&world.db, number(at)).await.expect("a biography")
}

/// Puts what was released on sale, once nobody holds it: what was refused may not have let go of it yet.
async fn recycle(world: &World) {
    let at_once = Quarantine { local: TimeDelta::zero(), tollfree: TimeDelta::zero() };
    eventually("it is on sale again", async || {
        let recycled = inventory::recycle(&world.db, &world.clock, world.clock.now(), at_once).await;
        recycled.expect("a run") == 1
    })
    .await;
}

async fn accounts(world: &World, count: usize) -> Vec<Account> {
    world.known_accounts(&[&world.server], count, "90.00").await
}

fn refused<T>(done: &Result<T, Denied<Refused>>, is: fn(&Refused) -> bool) -> bool {
    matches!(done, Err(Denied::Refused(reason)) if is(reason))
}

#[test]
fn a_move_and_two_releases_at_once_leave_nobody_who_holds_it() {
    test(async |world| {
        let accounts = accounts(world, 2).await;
        world.stock(NUMBER, 1).await;
        let mut moved = 0;
        for _ in 0..ROUNDS {
            let held = world.server.buy(&accounts[0], &[]).await.assert_status(201).element("Sid");
            let (transfer, ended, released) =
                join3(transfer(world, 0, &accounts[1]), end(world, 0), world.server.release(&accounts[0], &held)).await;
            moved += u32::from(transfer.is_ok());
            assert!(transfer.is_ok() || refused(&transfer, |why| matches!(why, Refused::NotInUse(..))), "{transfer:?}");
            assert!(ended.is_ok() || refused(&ended, |why| matches!(why, Refused::NotInUse(..))), "{ended:?}");
            assert_eq!(ended.is_ok(), released.status == 404, "{}", released.body);
            let told = told(world, 0).await;
            assert_eq!((told.stocked.state, told.holder), (State::Quarantined, None));
            let last = if transfer.is_ok() { &accounts[1] } else { &accounts[0] };
            assert_eq!(told.last_holder, Some(sid(last)));
            recycle(world).await;
        }
        let transfers = world.value::<i64>("select count(*) from tenancy_transfers").await;
        assert_eq!(transfers, i64::from(moved));
    });
}

#[test]
fn a_number_that_is_moved_to_two_accounts_at_once_goes_to_both_in_turn() {
    test(async |world| {
        let accounts = accounts(world, 3).await;
        world.stock(NUMBER, 2).await;
        for account in &accounts[..2] {
            world.server.buy(account, &[]).await.assert_status(201);
        }
        for round in 0..ROUNDS {
            let holder = told(world, 0).await.holder.expect("a holder");
            let others: Vec<_> = accounts.iter().filter(|account| sid(account) != holder).collect();
            let (one, two) = join(transfer(world, 0, others[0]), transfer(world, 0, others[1])).await;
            assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
            let told = told(world, 0).await;
            assert_eq!(told.transfers.len() as i64, 2 * (round + 1));
            let (first, last) = (&told.transfers[told.transfers.len() - 2], &told.transfers[told.transfers.len() - 1]);
            assert_eq!((first.from, first.to, Some(last.to)), (holder, last.from, told.holder));
        }
    });
}

/// In opposite directions, so that without an order of their locks they would wait for one another.
#[test]
fn two_numbers_that_change_places_do_not_block_each_other() {
    test(async |world| {
        let accounts = accounts(world, 2).await;
        world.stock(NUMBER, 8).await;
        for at in 0..8 {
            assign(world, at, &accounts[at as usize % 2]).await.expect("it is sold");
        }
        let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
        for round in 0..ROUNDS {
            let moves = (0..8).map(|at| transfer(world, at, &accounts[(at + round + 1) as usize % 2]));
            for done in join_all(moves).await {
                done.expect("a transfer");
            }
        }
        assert_eq!(world.value::<i64>(deadlocks).await, 0);
        assert_eq!(world.value::<i64>("select count(*) from tenancy_transfers").await, 8 * ROUNDS);
    });
}

#[test]
fn the_last_number_is_assigned_or_bought_once() {
    test(async |world| {
        let accounts = accounts(world, 4).await;
        let mut ways = HashSet::new();
        for round in 0..ROUNDS {
            world.stock(NUMBER + round, 1).await;
            let (assigned, again, by_area, anywhere) = join4(
                assign(world, round, &accounts[0]),
                assign(world, round, &accounts[1]),
                world.server.buy(&accounts[2], &[("AreaCode", "415")]),
                world.server.buy(&accounts[3], &[]),
            )
            .await;
            let won = [assigned.is_ok(), again.is_ok(), by_area.status == 201, anywhere.status == 201];
            assert_eq!(won.iter().filter(|won| **won).count(), 1, "{assigned:?} {again:?} {by_area:?} {anywhere:?}");
            for lost in [assigned, again].into_iter().filter_map(Result::err) {
                let in_use = numbers::Refused::NotOnSale(number(round), State::InUse);
                assert!(
                    matches!(&lost, Denied::Refused(purchases::Refused::NotOnSale(why)) if *why == in_use),
                    "{lost:?}"
                );
            }
            for lost in [by_area, anywhere].iter().filter(|answer| answer.status != 201) {
                lost.assert_refused(400, 21452);
            }
            ways.insert(won);
        }
        assert!(ways.len() > 1, "the same one always won: {ways:?}");
    });
}

#[test]
fn a_number_is_retired_or_sold() {
    test(async |world| {
        let account = &accounts(world, 1).await[0];
        let mut sold = 0;
        for round in 0..ROUNDS {
            world.stock(NUMBER + round, 1).await;
            let numbers = [number(round)];
            let retire = inventory::retire(&world.db, &world.clock, &numbers, Retirement::PortedOut, None);
            let (retired, bought): (_, Answer) = join(retire, world.server.buy(account, &[])).await;
            match retired {
                Ok(_) => bought.assert_refused(400, 21452),
                Err(Denied::Refused(inventory::Refused::CannotRetire(_, State::InUse))) => {
                    bought.assert_status(201);
                    sold += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let retired = world.value::<i64>("select count(*) from stock where state = 'retired'").await;
        assert_eq!(retired + sold, ROUNDS);
    });
}

/// Twelve numbers, half of which change their account while all are charged, and both accounts get money.
#[test]
fn each_month_of_a_number_that_is_moved_during_a_run_is_charged_once() {
    test(async |world| {
        let accounts = accounts(world, 2).await;
        world.stock(NUMBER, 12).await;
        for at in 0..12 {
            assign(world, at, &accounts[at as usize % 2]).await.expect("it is sold");
        }
        for round in 0..12 {
            world.clock.advance(TimeDelta::days(31));
            let moves = (0..6).map(|at| transfer(world, at, &accounts[(at + round + 1) as usize % 2]));
            let credits = async {
                for account in accounts.iter().cycle().take(20) {
                    world.credit(account, "0.01").await;
                }
            };
            let bills = join(world.bill(), world.bill());
            let (moved, (one, two), ()) = join3(join_all(moves), bills, credits).await;
            moved.into_iter().for_each(|moved| drop(moved.expect("a transfer")));
            assert_eq!((one.charged + two.charged, one.suspended + two.suspended), (12, 0));
        }
    });
}

#[test]
fn an_account_that_is_closed_while_a_number_is_moved_to_it_holds_none() {
    test(async |world| {
        let giver = world.account("90.00").await;
        for round in 0..ROUNDS {
            world.stock(NUMBER + round, 1).await;
            let taker = world.account("5.00").await;
            assign(world, round, &giver).await.expect("it is sold");
            let close = releases::close_account(&world.db, &world.clock, sid(&taker), CLOSING);
            let (moved, closed) = join(transfer(world, round, &taker), close).await;
            let closed = closed.expect("it is closed");
            assert!(moved.is_ok() || refused(&moved, |why| matches!(why, Refused::TakerClosed(_))), "{moved:?}");
            assert_eq!((moved.is_ok(), closed.account.local_numbers), (closed.released == 1, 0));
        }
    });
}

/// A number of one account, and another account, which takes it while something else waits behind the transfer: for the
/// number, or for its account.
struct Queue<'w> {
    world: &'w World,
    holder: Account,
    taker: Account,
    sid: String,
}

impl<'w> Queue<'w> {
    async fn new(world: &'w World, balance: &str) -> Self {
        world.stock(NUMBER, 1).await;
        let mut accounts = world.known_accounts(&[&world.server], 1, balance).await;
        let (holder, taker) = (accounts.remove(0), world.account("5.00").await);
        let sid = world.server.buy(&holder, &[]).await.assert_status(201).element("Sid");
        // It holds others too, one of them free. Else a wrong count of them would be less than nothing, which the
        // database refuses.
        world.stock(NUMBER + 1, 3).await;
        for (at, cents) in [(1, 1), (2, 1), (3, 0)] {
            assign_for(world, at, &holder, cents).await.expect("it is sold");
        }
        Self { world, holder, taker, sid }
    }

    /// Does something that has begun before the transfer is done, and waits for it.
    async fn behind<T>(&self, lock: &'static str, work: impl Future<Output = T>) -> T {
        let world = self.world;
        let mut first = world.db.begin().await.expect("a transaction");
        sqlx::query(lock).execute(&mut *first).await.expect("the row is locked");
        let second = async {
            eventually("the transfer waits", async || world.waiting().await == 1).await;
            work.await
        };
        let let_go = async {
            eventually("both wait", async || world.waiting().await == 2).await;
            first.rollback().await.expect("the row is let go");
        };
        let (moved, done, ()) = join3(transfer(world, 0, &self.taker), second, let_go).await;
        moved.expect("a transfer");
        done
    }

    async fn assert_held_by_its_taker(&self) {
        assert_eq!(told(self.world, 0).await.holder, Some(sid(&self.taker)));
    }
}

const NUMBER_IS_BUSY: &str = "select from stock where phone_number = 4158670000 for update";
const HOLDER_IS_BUSY: &str = "select from accounts join account_sums on account_sid = sid
    where local_numbers > 0 for update of accounts";

#[test]
fn a_release_that_waited_for_a_move_does_not_find_the_number() {
    test(async |world| {
        let queue = Queue::new(world, "5.00").await;
        let released = queue.behind(NUMBER_IS_BUSY, world.server.release(&queue.holder, &queue.sid)).await;
        released.assert_refused(404, 20404);
        queue.assert_held_by_its_taker().await;
    });
}

#[test]
fn a_closing_that_waited_for_a_move_leaves_the_number_to_its_new_holder() {
    test(async |world| {
        let queue = Queue::new(world, "5.00").await;
        let close = releases::close_account(&world.db, &world.clock, sid(&queue.holder), CLOSING);
        assert_eq!(queue.behind(NUMBER_IS_BUSY, close).await.expect("it is closed").released, 3);
        queue.assert_held_by_its_taker().await;
    });
}

#[test]
fn an_unpaid_number_that_is_moved_before_it_is_released_is_kept() {
    test(async |world| {
        let queue = Queue::new(world, "1.02").await;
        world.clock.advance(TimeDelta::days(31));
        assert_eq!(world.bill().await.suspended, 1);
        world.clock.advance(TimeDelta::days(14));
        assert_eq!(queue.behind(NUMBER_IS_BUSY, world.bill()).await.released, 2);
        queue.assert_held_by_its_taker().await;
    });
}

#[test]
fn a_run_that_waited_for_a_move_charges_the_new_holder() {
    test(async |world| {
        let queue = Queue::new(world, "5.00").await;
        world.clock.advance(TimeDelta::days(31));
        let (now, mut seen) = (world.clock.now(), 0);
        let bill = billing::bill(&world.db, &world.clock, now, TimeDelta::days(14), |more| seen += more.looked_at);
        assert_eq!(queue.behind(HOLDER_IS_BUSY, bill).await.expect("a run").charged, 4);
        // The moved number is left to the next batch, which locks its new account.
        assert_eq!(seen, 5);
        queue.assert_held_by_its_taker().await;
        let balances = (world.server.balance(&queue.holder).await, world.server.balance(&queue.taker).await);
        assert_eq!(balances, ("3.96".into(), "4.00".into()));
    });
}

#[test]
fn an_update_that_waited_for_a_move_does_not_find_the_number() {
    test(async |world| {
        let queue = Queue::new(world, "5.00").await;
        let below = format!("/IncomingPhoneNumbers/{}", queue.sid);
        let update = world.server.post(&queue.holder, &below, &[("FriendlyName", "Mine")]);
        let lock = "select from tenancies where phone_number = 4158670000 for update";
        let updated = queue.behind(lock, update).await;
        updated.assert_refused(404, 20404);
        queue.assert_held_by_its_taker().await;
    });
}
