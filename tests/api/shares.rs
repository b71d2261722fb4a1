//! An account's share of the connections: however much one account asks for, others are served.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use futures_util::stream::{StreamExt, iter};
use tokio::time::timeout;

use crate::support::{Account, Answer, Server, WithForm, World, eventually, test, test_without_audit, within};

/// The limit for nine of ten requests of other accounts, while one account asks for far too much.
const SOON: Duration = Duration::from_millis(500);

/// Sends requests of another account, which holds the number `sid`. All must succeed. Returns their times.
async fn usual_work(server: &Server, account: &Account, sid: &str) -> Vec<Duration> {
    let mut took = Vec::new();
    let one = format!("/IncomingPhoneNumbers/{sid}");
    for round in 0..4 {
        let name = format!("Round {round}");
        let calls = [
            server.call(account, "GET", "/Balance"),
            server.call(account, "GET", &one),
            server.call(account, "GET", "/IncomingPhoneNumbers"),
            server.call(account, "GET", "/IncomingPhoneNumbers?FriendlyName=Home"),
            server.call(account, "POST", "/IncomingPhoneNumbers/Local").with_form(&[]),
            server.call(account, "POST", &one).with_form(&[("Url", ""), ("FriendlyName", &name)]),
            server.call(account, "POST", "").with_form(&[("FriendlyName", &name)]),
        ];
        for call in calls {
            let began = Instant::now();
            let answer = Answer::of(call).await;
            assert!([200, 201].contains(&answer.status), "{}", answer.body);
            took.push(began.elapsed());
        }
    }
    took
}

/// Does the usual work of several accounts until the flood is over. Nine of ten requests took no longer than the
/// returned time.
async fn beside(
    server: &Server,
    others: &[(Account, String)],
    crowd: impl Future<Output = Vec<Answer>>,
) -> (Duration, Vec<Answer>) {
    let work = async {
        // By now, the flood has begun.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let took = join_all(others.iter().map(|(account, sid)| usual_work(server, account, sid))).await;
        let mut took = took.concat();
        took.sort_unstable();
        took[took.len() * 9 / 10]
    };
    join(work, crowd).await
}

/// A server that closes no connection while its client waits for other answers.
fn patient(world: &World) -> Server {
    world.limited_server(&["--keep-alive", "3600", "--header-timeout", "3600"])
}

/// Some accounts, each with a number.
async fn others(world: &World, server: &Server) -> Vec<(Account, String)> {
    world.stock(2_128_670_000, 500).await;
    let accounts = world.known_accounts(&[server], 3, "90.00").await;
    let with_number = accounts.into_iter().map(|account| async {
        let sid = server.buy(&account, &[]).await.assert_status(201).element("Sid");
        (account, sid)
    });
    iter(with_number).buffered(3).collect().await
}

#[test]
fn a_crowd_of_slow_lists_of_one_account_keeps_no_other_waiting() {
    test_without_audit(async |world| {
        let large = world.large_account(130_000, "Everywhere").await;
        let server = patient(world);
        server.get(&large, "").await.assert_status(200);
        let others = others(world, &server).await;
        for path in ["?Page=1999", "?FriendlyName=Everywhere", "?FriendlyName=Everywhere&Page=1999", "?PageSize=1000"] {
            let path = format!("/IncomingPhoneNumbers{path}");
            within(SOON, &format!("the others' work beside {path}"), async || {
                let crowd = join_all((0..100).map(|_| server.get(&large, &path)));
                let (took, answers) = beside(&server, &others, crowd).await;
                let served = answers.iter().filter(|answer| answer.status == 200).count();
                assert!(served > 10, "{served} of the crowd's own requests for {path} were served");
                for answer in answers.iter().filter(|answer| answer.status != 200) {
                    assert!(
                        [429, 503].contains(&answer.status) && !answer.header("Retry-After").is_empty(),
                        "{answer:?}"
                    );
                }
                took
            })
            .await;
        }
        server.stop().await;
    });
}

/// Sends the crowd's requests while the rows of the account and of its numbers are locked.
async fn locked(world: &World, server: &Server, account: &Account, crowd: impl AsyncFn() -> Vec<Answer>) {
    let others = others(world, server).await;
    within(SOON, "the others' work", async || {
        let mut holder = world.db.begin().await.expect("a transaction");
        for lock in [
            "select from accounts where sid = $1::text::uuid for update",
            "select from tenancies where account_sid = $1::text::uuid for update",
        ] {
            sqlx::query(lock).bind(&account.sid[2..]).execute(&mut *holder).await.expect("a lock");
        }
        let (took, answers) = beside(server, &others, crowd()).await;
        holder.rollback().await.expect("the rows are free");
        assert!(answers.iter().all(|answer| [429, 503].contains(&answer.status)), "none of them gets past the lock");
        took
    })
    .await;
    let name = [("FriendlyName", "Free")];
    eventually("it is served again", async || server.put(account, "", &name).await.status == 200).await;
}

/// An account and the numbers that it holds.
async fn holder(world: &World, server: &Server) -> (Account, Vec<String>) {
    let account = world.known_accounts(&[server], 1, "90.00").await.remove(0);
    world.stock(4_158_670_000, 60).await;
    let purchases = iter(0..40).map(|_| server.buy(&account, &[("AreaCode", "415")])).buffered(8);
    let sids = purchases.map(|answer| answer.assert_status(201).element("Sid")).collect().await;
    (account, sids)
}

#[test]
fn a_crowd_that_waits_for_rows_of_its_account_keeps_no_other_waiting() {
    test(async |world| {
        let server = &patient(world);
        let (account, sids) = holder(world, server).await;
        let url = [("Url", "http://example.com/")];
        locked(world, server, &account, async || {
            let updates = sids.iter().map(|sid| {
                Answer::of(server.call(&account, "POST", &format!("/IncomingPhoneNumbers/{sid}")).with_form(&url))
            });
            let renames =
                (0..30).map(|_| Answer::of(server.call(&account, "PUT", "").with_form(&[("FriendlyName", "x")])));
            let releases = sids
                .iter()
                .map(|sid| Answer::of(server.call(&account, "DELETE", &format!("/IncomingPhoneNumbers/{sid}"))));
            let purchases = (0..30)
                .map(|_| Answer::of(server.call(&account, "POST", "/IncomingPhoneNumbers/Local").with_form(&[])));
            let all = join(join(join_all(updates), join_all(renames)), join(join_all(releases), join_all(purchases)));
            let ((updates, renames), (releases, purchases)) = all.await;
            [updates, renames, releases, purchases].into_iter().flatten().collect()
        })
        .await;
        server.stop().await;
    });
}

#[test]
fn a_crowd_that_hangs_up_keeps_no_other_waiting() {
    test(async |world| {
        let server = &patient(world);
        let (account, sids) = holder(world, server).await;
        let path = |sid: &String| format!("/IncomingPhoneNumbers/{sid}");
        locked(world, server, &account, async || {
            // The locks are held for a moment each, so that PostgreSQL goes on with the statements in between.
            for _ in 0..15 {
                let calls = sids.iter().map(|sid| {
                    let call = server.call(&account, "POST", &path(sid)).with_form(&[("Url", "")]);
                    timeout(Duration::from_millis(100), Answer::of(call))
                });
                join_all(calls).await;
            }
            let waiting = world.waiting().await;
            assert!((1..=2).contains(&waiting), "{waiting} statements go on: it has a quarter of eight connections");
            Vec::new()
        })
        .await;
        server.stop().await;
    });
}

#[test]
fn an_account_waits_for_its_own_share_of_the_connections_and_fills_no_queue() {
    test(async |world| {
        let server = world.server_with(&["--max-waiting", "16"], |settings| settings.connections = 4);
        let accounts = world.known_accounts(&[&server], 2, "9.00").await;
        let [busy, other] = &accounts[..] else { panic!("two accounts") };
        let mut holder = world.db.begin().await.expect("a transaction");
        let lock = "select from accounts where sid = $1::text::uuid for update";
        sqlx::query(lock).bind(&busy.sid[2..]).execute(&mut *holder).await.expect("the account is locked");
        let rename = |_| Answer::of(server.call(busy, "PUT", "").with_form(&[("FriendlyName", "x")]));
        let check = async {
            eventually("one waits", async || world.waiting().await == 1).await;
            for _ in 0..5 {
                server.get(other, "/Balance").await.assert_status(200);
            }
            assert_eq!(world.waiting().await, 1, "it has a quarter of four connections");
        };
        let (answers, ()) = join(join_all((0..40).map(rename)), check).await;
        // Four more may wait for a permit. PostgreSQL times out those that wait for the row.
        answers.iter().for_each(|answer| assert_later(answer, [429, 503]));
        holder.rollback().await.expect("the row is free");
        eventually("it is served again", async || rename(0).await.status == 200).await;
        server.stop().await;
    });
}

#[test]
fn requests_that_wait_keep_nobody_from_an_answer() {
    test(async |world| {
        let server = world.limited_server(&["--keep-alive", "3600", "--answer-memory", "64"]);
        world.stock(4_158_670_000, 10).await;
        let mut accounts = world.known_accounts(&[&server], 5, "90.00").await;
        let buyer = accounts.pop().expect("an account");
        let mut holder = world.db.begin().await.expect("a transaction");
        let lock = "select from accounts where sid <> $1::text::uuid for update";
        sqlx::query(lock).bind(&buyer.sid[2..]).execute(&mut *holder).await.expect("the others are locked");
        let rename = |account| Answer::of(server.call(account, "PUT", "").with_form(&[("FriendlyName", "x")]));
        let crowd = join_all((0..400).map(|number| rename(&accounts[number % 4])));
        let buys = async {
            eventually("some wait", async || world.waiting().await > 1).await;
            for _ in 0..10 {
                server.buy(&buyer, &[]).await.assert_status(201);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        join(crowd, buys).await;
        holder.rollback().await.expect("the rows are free");
        server.stop().await;
    });
}

#[track_caller]
fn assert_later(answer: &Answer, statuses: [u16; 2]) {
    assert!(statuses.contains(&answer.status), "{}", answer.body);
    answer.assert_refused(answer.status, if answer.status == 429 { 20429 } else { 20503 });
    assert!(!answer.header("Retry-After").is_empty());
}

#[test]
fn several_busy_accounts_leave_reads_and_what_goes_in_batches_to_others() {
    test_without_audit(async |world| {
        let server = patient(world);
        world.stock(4_158_670_000, 60).await;
        let (account, sid) = others(world, &server).await.remove(0);
        let busy = world.known_accounts(&[&server], 4, "9.00").await;
        let one = format!("/IncomingPhoneNumbers/{sid}");
        within(SOON, "the work of another account", async || {
            let mut holder = world.db.begin().await.expect("a transaction");
            let sids: Vec<_> = busy.iter().map(|account| account.sid[2..].to_owned()).collect();
            let lock = "select from accounts where sid = any($1::text[]::uuid[]) for update";
            sqlx::query(lock).bind(&sids).execute(&mut *holder).await.expect("a lock");
            let crowd =
                busy.iter().flat_map(|account| (0..10).map(|_| server.put(account, "", &[("FriendlyName", "Busy")])));
            let crowd = join_all(crowd);
            let work = async {
                // By then its token must also be confirmed again.
                tokio::time::sleep(Duration::from_millis(700)).await;
                let began = Instant::now();
                server.get(&account, &one).await.assert_status(200);
                server.get(&account, "/IncomingPhoneNumbers").await.assert_status(200);
                server.buy(&account, &[]).await.assert_status(201);
                // These reads go in no batch.
                server.get(&account, "/Balance").await.assert_status(200);
                server.get(&account, "/IncomingPhoneNumbers?FriendlyName=Home").await.assert_status(200);
                began.elapsed()
            };
            let (took, _) = join(work, crowd).await;
            holder.rollback().await.expect("the rows are free");
            took
        })
        .await;
        server.stop().await;
    });
}

#[test]
fn an_account_has_a_limited_number_of_requests_under_way() {
    test(async |world| {
        let server = world.server_with(&["--max-waiting", "16"], |_| {});
        let accounts = world.known_accounts(&[&server], 2, "9.00").await;
        let [busy, other] = &accounts[..] else { panic!("two accounts") };
        // The note of an account's first request takes a part of its share, for as long as it is written.
        eventually("the first requests are noted", async || {
            world.value::<i64>("select count(*) from accounts where last_used_on is null").await == 0
        })
        .await;
        let mut holder = world.db.begin().await.expect("a transaction");
        sqlx::query("lock table tenancies in access exclusive mode").execute(&mut *holder).await.expect("a lock");
        let one = format!("/IncomingPhoneNumbers/PN{}", "0".repeat(32));
        let (others, busys) =
            (join_all((0..10).map(|_| server.get(other, &one))), (0..60).map(|_| server.get(busy, &one)));
        let let_go = async {
            eventually("a lookup waits", async || world.waiting().await > 0).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            holder.rollback().await.expect("the table is free");
        };
        let ((busys, others), ()) = join(join(join_all(busys), others), let_go).await;
        others.iter().for_each(|answer| answer.assert_refused(404, 20404));
        let (refused, found): (Vec<_>, Vec<_>) = busys.iter().partition(|answer| answer.status != 404);
        refused.iter().for_each(|answer| assert_later(answer, [429, 429]));
        // An account may have a quarter of the waiting statements and of a batch under way: (16 + 64) / 4.
        assert_eq!((found.len(), refused.len()), (20, 40));
        server.stop().await;
    });
}
