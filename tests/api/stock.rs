//! The life of a number in stock: legal moves only, each of them recorded and counted.

use chrono::TimeDelta;
use futures_util::future::join;
use numberbank::db::violated;
use numberbank::error::Denied;
use numberbank::inventory::State;
use numberbank::numbers::{self, Biography};
use numberbank::releases::Refused;
use numberbank::values::phone::PhoneNumber;
use numberbank::{accounts, inventory, jobs, releases};
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{Account, World, eventually, test};

const NUMBER: i64 = 4_158_670_000;

fn number() -> PhoneNumber {
    PhoneNumber::new(NUMBER).expect("a number")
}

/// An account that holds the one number in stock, and its Sid.
async fn holder(world: &World) -> (Account, String) {
    world.stock(NUMBER, 1).await;
    let account = world.account("50.00").await;
    let sid = buy(world, &account).await;
    (account, sid)
}

async fn buy(world: &World, account: &Account) -> String {
    world.clock.advance(TimeDelta::seconds(1));
    world.server.buy(account, &[("Url", "http://example.com/")]).await.assert_status(201).element("Sid")
}

async fn release(world: &World, account: &Account, sid: &str) {
    world.clock.advance(TimeDelta::seconds(1));
    world.server.release(account, sid).await.assert_status(204);
}

async fn restore(world: &World, sid: &str) -> Result<(), Denied<Refused>> {
    world.clock.advance(TimeDelta::seconds(1));
    releases::restore(&world.db, &world.clock, sid.parse().expect("a Sid")).await.map(drop)
}

async fn biography(world: &World) -> Biography {
    numbers::biography(&world.db, number()).await.expect("a biography")
}

/// The causes of a number's moves.
async fn causes(world: &World) -> Vec<String> {
    biography(world).await.moves.iter().map(|made| format!("{:?}", made.cause)).collect()
}

#[track_caller]
fn assert_refused(done: Result<(), Denied<Refused>>, is: fn(&Refused) -> bool) {
    let refused = done.expect_err("a refusal");
    assert!(matches!(&refused, Denied::Refused(reason) if is(reason)), "{refused:?}");
}

#[test]
fn every_move_of_a_number_is_recorded() {
    test(async |world| {
        let (account, first) = holder(world).await;
        release(world, &account, &first).await;
        restore(world, &first).await.expect("it goes back");
        release(world, &account, &first).await;
        inventory::withdraw(&world.db, &world.clock, &[number()], None).await.expect("a withdrawal");
        inventory::put_back(&world.db, &world.clock, &[number()], false).await.expect("a return");
        world.clock.advance(TimeDelta::days(45));
        assert_eq!(world.recycle().await, 1);
        let second = buy(world, &account).await;
        world.close(&account).await;
        let expected = ["Sale", "Release", "Restore", "Release", "Withdraw", "Return", "Recycle", "Sale", "Close"];
        assert_eq!(causes(world).await, expected);
        let biography = biography(world).await;
        let sids = biography.moves.iter().map(|made| made.sid.map(|sid| sid.to_string()));
        let (one, two) = (Some(first.clone()), Some(second.clone()));
        let expected = [&one, &one, &one, &one, &None, &None, &None, &two, &two];
        assert_eq!(sids.collect::<Vec<_>>(), expected.map(Clone::clone));
        assert!(biography.moves.is_sorted_by_key(|made| made.at));
        // Nobody held the restored one for a while.
        let history: Vec<_> = biography.history.iter().map(|tenancy| tenancy.sid.to_string()).collect();
        assert_eq!(history, [first.clone(), first, second]);
    });
}

#[test]
fn a_number_is_sold_again_only_when_its_quarantine_has_ended() {
    test(async |world| {
        let (account, sid) = holder(world).await;
        release(world, &account, &sid).await;
        world.clock.advance(TimeDelta::days(45) - TimeDelta::microseconds(1));
        assert_eq!(world.recycle().await, 0);
        world.server.buy(&account, &[]).await.assert_refused(400, 21452);
        world.clock.advance(TimeDelta::microseconds(1));
        assert_eq!((world.recycle().await, world.recycle().await), (1, 0));
        world.server.buy(&account, &[]).await.assert_status(201);
    });
}

#[test]
fn many_runs_at_once_recycle_each_number_once() {
    test(async |world| {
        world.stock(NUMBER, 300).await;
        let account = world.account("300.00").await;
        for _ in 0..30 {
            let bought = futures_util::future::join_all((0..10).map(|_| world.server.buy(&account, &[]))).await;
            futures_util::future::join_all(bought.iter().map(async |answer| {
                world.server.release(&account, &answer.element("Sid")).await.assert_status(204);
            }))
            .await;
        }
        world.clock.advance(TimeDelta::days(45));
        let recycled = futures_util::future::join_all((0..4).map(|_| world.recycle())).await;
        assert_eq!(recycled.iter().sum::<u64>() + world.recycle().await, 300);
    });
}

#[test]
fn a_run_leaves_a_number_that_somebody_holds_to_the_next_one() {
    test(async |world| {
        world.stock(NUMBER, 3).await;
        let account = world.account("50.00").await;
        for _ in 0..3 {
            let sid = buy(world, &account).await;
            release(world, &account, &sid).await;
        }
        world.clock.advance(TimeDelta::days(45));
        let mut holder = world.db.begin().await.expect("a transaction");
        let lock = "select from stock where phone_number = 4158670001 for update";
        sqlx::query(lock).execute(&mut *holder).await.expect("a lock");
        assert_eq!(world.recycle().await, 2, "it waits for nobody");
        holder.rollback().await.expect("the number is let go");
        assert_eq!(world.recycle().await, 1);
    });
}

#[test]
fn a_withdrawal_does_not_shorten_the_quarantine() {
    test(async |world| {
        let (account, sid) = holder(world).await;
        release(world, &account, &sid).await;
        inventory::withdraw(&world.db, &world.clock, &[number()], None).await.expect("a withdrawal");
        world.clock.advance(TimeDelta::days(30));
        assert_eq!(world.recycle().await, 0);
        inventory::put_back(&world.db, &world.clock, &[number()], false).await.expect("a return");
        assert_eq!(world.recycle().await, 0);
        world.clock.advance(TimeDelta::days(15));
        assert_eq!(world.recycle().await, 1);
    });
}

#[test]
fn a_restored_number_is_the_same_as_before() {
    test(async |world| {
        let (account, sid) = holder(world).await;
        let below = format!("/IncomingPhoneNumbers/{sid}");
        let before = world.server.get(&account, &below).await.body;
        release(world, &account, &sid).await;
        world.server.get(&account, &below).await.assert_refused(404, 20404);
        restore(world, &sid).await.expect("it goes back");
        assert_eq!(world.server.get(&account, &below).await.body, before);
        assert_eq!(world.server.balance(&account).await, "49.00");
        assert_eq!(world.server.get(&account, "/IncomingPhoneNumbers").await.attribute("total"), "1");
        release(world, &account, &sid).await;
    });
}

/// Months that began while no account held the number are never charged.
#[test]
fn a_restored_number_is_charged_from_its_next_month_on() {
    test(async |world| {
        world.on("2008-01-31T10:00:00Z");
        let (account, sid) = holder(world).await;
        world.on("2008-02-10T00:00:00Z");
        release(world, &account, &sid).await;
        world.on("2008-03-10T00:00:00Z");
        restore(world, &sid).await.expect("it goes back");
        world.on("2008-03-30T23:59:59Z");
        assert_eq!(world.bill().await.charged, 0);
        world.on("2008-03-31T00:00:00Z");
        assert_eq!(world.bill().await.charged, 1);
    });
}

#[test]
fn only_the_last_holder_gets_a_number_back_and_only_out_of_quarantine() {
    test(async |world| {
        let (account, first) = holder(world).await;
        assert_refused(restore(world, &first).await, |why| matches!(why, Refused::IsHeld(..)));
        let nobody = format!("PN{}", "0".repeat(32));
        assert_refused(restore(world, &nobody).await, |why| matches!(why, Refused::NeverSold(_)));
        release(world, &account, &first).await;
        world.clock.advance(TimeDelta::days(45));
        world.recycle().await;
        assert_refused(restore(world, &first).await, |why| matches!(why, Refused::NotQuarantined(_, State::Available)));
        let second = buy(world, &account).await;
        assert_refused(restore(world, &first).await, |why| matches!(why, Refused::NotQuarantined(_, State::InUse)));
        release(world, &account, &second).await;
        assert_refused(restore(world, &first).await, |why| matches!(why, Refused::NotLast(..)));
        inventory::withdraw(&world.db, &world.clock, &[number()], None).await.expect("a withdrawal");
        assert_refused(restore(world, &second).await, |why| {
            matches!(why, Refused::NotQuarantined(_, State::Withdrawn))
        });
        inventory::put_back(&world.db, &world.clock, &[number()], false).await.expect("a return");
        world.close(&account).await;
        let before = world.fingerprint().await;
        assert_refused(restore(world, &second).await, |why| matches!(why, Refused::HolderClosed(_)));
        assert_eq!(world.fingerprint().await, before);
    });
}

/// One of the two wins: the number is restored, or sold again.
#[test]
fn restores_and_recycling_at_once_leave_one_holder() {
    test(async |world| {
        let (account, sid) = holder(world).await;
        for _ in 0..10 {
            release(world, &account, &sid).await;
            world.clock.advance(TimeDelta::days(45));
            let sid = sid.parse().expect("a Sid");
            let restores =
                futures_util::future::join_all((0..3).map(|_| releases::restore(&world.db, &world.clock, sid)));
            let (restored, recycled) = futures_util::future::join(restores, world.recycle()).await;
            let restored = restored.iter().filter(|done| done.is_ok()).count() as u64;
            assert_eq!(restored + recycled, 1);
            if recycled == 1 {
                break;
            }
        }
    });
}

#[test]
fn the_database_itself_refuses_any_other_move() {
    test(async |world| {
        world.stock(NUMBER, 3).await;
        let account = world.account("50.00").await;
        let released = buy(world, &account).await;
        buy(world, &account).await;
        release(world, &account, &released).await;
        let holding = "tenancy_sid = (select sid from tenancies limit 1)";
        let fresh = "quarantined_at = null, tenancy_sid = null";
        for (from, to) in [
            (
                "available",
                format!("'quarantined', moved_by = 'release', quarantined_at = now(), {}", "tenancy_sid = null"),
            ),
            ("available", format!("'in_use', moved_by = 'restore', {holding}")),
            ("in_use", format!("'available', moved_by = 'recycle', {fresh}")),
            ("in_use", "'withdrawn', moved_by = 'withdraw', tenancy_sid = null".to_owned()),
            ("quarantined", format!("'in_use', moved_by = 'sale', quarantined_at = null, {holding}")),
            ("quarantined", format!("'available', moved_by = 'return', {fresh}")),
        ] {
            let statement = format!("update stock set state = {to} where state = '{from}'");
            let error = world.db.execute(AssertSqlSafe(statement.clone())).await.expect_err(&statement);
            assert_eq!(violated(&error), Some("stock_moves_legal"), "{statement}: {error}");
        }
    });
}

#[test]
fn the_counts_of_the_stock_are_kept_whatever_moves_and_folded_without_loss() {
    test(async |world| {
        world.stock(NUMBER, 5).await;
        world.stock(8_005_550_100, 2).await;
        let account = world.account("50.00").await;
        let released = buy(world, &account).await;
        buy(world, &account).await;
        release(world, &account, &released).await;
        let withdrawn =
            "delete from stock where phone_number in (select phone_number from stock where kind = 'tollfree' limit 1)";
        world.db.execute(withdrawn).await.expect("a number that was never sold can go");
        for _ in 0..2 {
            let summary = inventory::summary(&world.db).await.expect("a summary");
            let counts: Vec<_> = summary
                .iter()
                .map(|row| (row.area_code, [row.available, row.in_use, row.quarantined, row.withdrawn, row.total]))
                .collect();
            assert_eq!(counts, [(415, [3, 1, 1, 0, 5]), (800, [1, 0, 0, 0, 1])]);
            futures_util::future::join_all((0..3).map(|_| inventory::fold_counts(&world.db))).await;
        }
        assert_eq!(world.value::<i64>("select count(*) from stock_counts").await, 2);
    });
}

/// Adds enough rows that several transactions are needed to sum them up. The rows add up to zero.
async fn many_moves(world: &World) {
    let moves = "insert into stock_counts select 'local', 201 + n % 50, (-1) ^ (n / 50), 0, 0, 0 from generate_series(1, 20000) as n";
    world.db.execute(moves).await.expect("moves");
}

async fn rows(world: &World) -> i64 {
    world.value("select count(*) from stock_counts").await
}

#[test]
fn many_counts_are_folded_some_at_a_time_and_read_whole_meanwhile() {
    test(async |world| {
        world.stock(NUMBER, 5).await;
        many_moves(world).await;
        let mut open = world.db.begin().await.expect("a transaction");
        let last = "select from stock_counts where ctid = (select max(ctid) from stock_counts) for update";
        open.execute(last).await.expect("a lock");
        let whole = async || {
            let summary = inventory::summary(&world.db).await.expect("a summary");
            let counts: Vec<_> = summary.iter().map(|row| (row.area_code, row.available)).collect();
            assert_eq!(counts, [(415, 5)]);
        };
        let others = async {
            eventually("it waits", async || world.waiting().await == 1).await;
            assert!((1..15_000).contains(&rows(world).await), "a part is summed up");
            whole().await;
            open.commit().await.expect("a commit");
        };
        let (folded, ()) = join(inventory::fold_counts(&world.db), others).await;
        folded.expect("they are summed up");
        whole().await;
        assert!(rows(world).await < 250, "{}", rows(world).await);
        // What is summed up already is not written anew.
        inventory::fold_counts(&world.db).await.expect("the sums of the portions");
        let written = async || world.value::<i64>("select max(xmin::text::bigint) from stock_counts").await;
        let before = written().await;
        inventory::fold_counts(&world.db).await.expect("no change");
        assert_eq!(written().await, before);
    });
}

/// It takes ten seconds.
#[test]
fn an_instance_sums_up_the_counts_every_few_seconds() {
    test(async |world| {
        world.stock(NUMBER, 5).await;
        many_moves(world).await;
        let folding = jobs::keep_folding(world.db.clone());
        let folded = eventually("they are summed up", async || rows(world).await < 250);
        tokio::select! {
            () = folding => {}
            () = folded => {}
        }
    });
}

#[test]
fn an_account_s_events_tell_why_it_stands_as_it_does() {
    test(async |world| {
        let account = world.account("5.00").await;
        let sid = account.sid.parse().expect("a Sid");
        for _ in 0..2 {
            accounts::suspend(&world.db, &world.clock, sid, None).await.expect("a suspension");
        }
        for _ in 0..2 {
            accounts::activate(&world.db, &world.clock, sid, None).await.expect("an activation");
        }
        world.close(&account).await;
        world.close(&account).await;
        let events = accounts::events(&world.db, sid).await.expect("events");
        let told: Vec<_> = events.iter().map(|event| format!("{:?} {:?}", event.change, event.reason)).collect();
        assert_eq!(told, ["Suspended Operator", "Activated Operator", "Closed Operator"]);
    });
}

#[test]
fn an_area_code_with_nothing_left_is_found_empty_at_a_glance() {
    test(async |world| {
        // All of one area code, so the planner expects nothing from its condition.
        world.stock(4_158_670_000, 5_000).await;
        world.db.execute("analyze stock").await.expect("statistics");
        let account = world.account("9.00").await;
        let walks =
            "select sum(idx_scan)::bigint from pg_stat_user_indexes where indexrelname like 'stock_available_by_%'";
        eventually("PostgreSQL tells which index was walked", async || {
            world.server.buy(&account, &[("AreaCode", "212")]).await.assert_refused(400, 21452);
            world.value::<i64>(walks).await > 0
        })
        .await;
        let read = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'stock_available_by_kind'";
        assert_eq!(world.value::<i64>(read).await, 0);
    });
}
