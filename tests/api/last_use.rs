//! The day on which an account was let in last.

use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use numberbank::accounts;

use crate::support::{Account, World, eventually, test, timed};

async fn last_used(world: &World, account: &Account) -> Option<NaiveDate> {
    accounts::find(&world.db, account.sid.parse().expect("a Sid")).await.expect("an account").last_used_on
}

async fn eventually_used(world: &World, account: &Account, day: &str) {
    let day = Some(day.parse().expect("a day"));
    eventually("its use is noted", async || last_used(world, account).await == day).await;
}

#[test]
fn the_day_of_the_last_request_that_was_let_in_is_noted_once() {
    test(async |world| {
        let [account, other] = [world.account("0.00").await, world.account("0.00").await];
        let wrong = Account { token: "wrong".to_owned(), ..other.clone() };
        world.server.get(&wrong, "").await.assert_status(401);
        world.server.get(&account, "").await.assert_status(200);
        eventually_used(world, &account, "2008-04-01").await;
        // Further requests of the day write nothing, through another instance either.
        let version = "select string_agg(xmin::text, ' ' order by sid) from accounts";
        let before: String = world.value(version).await;
        let another = world.another_server();
        for _ in 0..5 {
            world.server.get(&account, "").await.assert_status(200);
            another.get(&account, "").await.assert_status(200);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(world.value::<String>(version).await, before);
        another.stop().await;
        world.clock.advance(TimeDelta::days(3));
        world.server.get(&account, "").await.assert_status(200);
        eventually_used(world, &account, "2008-04-04").await;
        assert_eq!(last_used(world, &other).await, None);
    });
}

#[test]
fn a_request_does_not_wait_for_its_note_which_is_tried_again() {
    test(async |world| {
        let account = world.known_accounts(&[&world.server], 1, "0.00").await.remove(0);
        eventually_used(world, &account, "2008-04-01").await;
        world.clock.advance(TimeDelta::days(1));
        let mut open = world.db.begin().await.expect("a transaction");
        sqlx::query("select from accounts for update").execute(&mut *open).await.expect("a lock");
        let (took, answer) = timed(world.server.get(&account, "")).await;
        answer.assert_status(200);
        assert!(took < Duration::from_secs(2), "{took:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(world.waiting().await, 0, "a note waits for no lock");
        open.rollback().await.expect("a rollback");
        eventually_used(world, &account, "2008-04-02").await;
    });
}
