//! Requests that come together go in one batch, and each of them gets its own outcome.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::{join, join_all};
use sqlx::{Connection, PgConnection};

use crate::support::proxy::Proxy;
use crate::support::{Account, Answer, Server, World, eventually, test, timed, within};

/// Sends many requests while the first of them waits for the table of tenancies, so that the others become one batch.
async fn together(world: &World, requests: impl Future<Output = Vec<Answer>>) -> Vec<Answer> {
    let gathered = async {
        let mut holder = PgConnection::connect_with(&world.options).await.expect("a connection");
        sqlx::raw_sql("begin; lock table tenancies in share mode").execute(&mut holder).await.expect("a lock");
        tokio::time::sleep(Duration::from_millis(500)).await;
        holder.close().await.expect("the end of the lock");
    };
    join(gathered, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        requests.await
    })
    .await
    .1
}

/// A server with one thread, so that there is one queue.
fn one_thread(world: &World) -> Server {
    world.server_with(&[], |settings| settings.workers = 1)
}

/// Two accounts with twenty numbers each.
async fn holders(world: &World, server: &Server) -> Vec<(Account, String)> {
    world.stock(4_158_670_000, 60).await;
    let accounts = world.known_accounts(&[server], 2, "90.00").await;
    let buyers = accounts.iter().cycle().take(40);
    let answers = join_all(buyers.clone().map(|account| server.buy(account, &[]))).await;
    buyers.cloned().zip(answers.iter().map(|answer| answer.assert_status(201).element("Sid"))).collect()
}

/// The number of transactions that wrote the current rows of tenancies.
async fn writers(world: &World) -> i64 {
    world.value("select count(distinct xmin::text) from tenancies").await
}

#[test]
fn purchases_that_come_together_are_one_transaction_and_one_that_is_refused_harms_no_other() {
    test(async |world| {
        let server = one_thread(world);
        world.stock(4_158_670_000, 60).await;
        let accounts = world.known_accounts(&[&server], 8, "5.00").await;
        let poor = &world.known_accounts(&[&server], 1, "0.99").await[0];
        let suspended = &world.known_accounts(&[&server], 1, "5.00").await[0];
        world.suspend(suspended).await;
        let buyers = accounts.iter().cycle().take(40);
        let answers = together(world, async {
            let good = join_all(buyers.map(|account| server.buy(account, &[("AreaCode", "415")])));
            let bad = join_all([
                server.buy(poor, &[("AreaCode", "415")]),
                server.buy(suspended, &[("AreaCode", "415")]),
                server.buy(&accounts[0], &[("AreaCode", "212")]),
            ]);
            let (good, bad) = join(good, bad).await;
            good.into_iter().chain(bad).collect()
        })
        .await;
        let (good, bad) = answers.split_at(40);
        let numbers: HashSet<_> = good.iter().map(|answer| answer.assert_status(201).element("PhoneNumber")).collect();
        assert_eq!(numbers.len(), 40);
        for (answer, account) in good.iter().zip(accounts.iter().cycle()) {
            assert_eq!(answer.element("AccountSid"), account.sid);
        }
        bad[0].assert_refused(402, 29001);
        bad[1].assert_refused(403, 20005);
        bad[2].assert_refused(400, 21452);
        assert!(writers(world).await <= 8, "{} transactions for 40 purchases", writers(world).await);
        server.stop().await;
    });
}

#[test]
fn updates_that_come_together_are_one_transaction_and_one_that_is_refused_harms_no_other() {
    test(async |world| {
        let server = one_thread(world);
        let held = &holders(world, &server).await;
        let suspended = world.known_accounts(&[&server], 1, "90.00").await.remove(0);
        let of_suspended = server.buy(&suspended, &[]).await.assert_status(201).element("Sid");
        world.suspend(&suspended).await;
        let answers = together(world, async {
            let (first, all) = (&held[0], held.iter().enumerate());
            let path = |sid: &str| format!("/IncomingPhoneNumbers/{sid}");
            let good = all.map(async |(n, (account, sid))| {
                server.post(account, &path(sid), &[("FriendlyName", &format!("Number {n}"))]).await
            });
            let lone = [("VoiceFallbackUrl", "http://example.com/")];
            let (good, bad) = join(
                join_all(good),
                join_all([
                    server.post(&first.0, &path(&first.1), &lone),
                    server.post(&held[1].0, &path(&first.1), &[("FriendlyName", "Not mine")]),
                    server.post(&suspended, &path(&of_suspended), &[("FriendlyName", "Not now")]),
                ]),
            )
            .await;
            good.into_iter().chain(bad).collect()
        })
        .await;
        let (good, bad) = answers.split_at(40);
        for (n, answer) in good.iter().enumerate() {
            assert_eq!(answer.assert_status(200).element("FriendlyName"), format!("Number {n}"));
            assert_eq!(answer.element("Sid"), held[n].1);
        }
        bad[0].assert_refused(400, 21405);
        bad[1].assert_refused(404, 20404);
        bad[2].assert_refused(403, 20005);
        assert!(writers(world).await <= 1 + 8, "{} transactions for 40 updates", writers(world).await);
        server.stop().await;
    });
}

#[test]
fn who_asks_for_a_number_of_another_account_gets_none_of_its_answers() {
    test(async |world| {
        let server = one_thread(world);
        let held = &holders(world, &server).await;
        let (owner, sid, stranger) = (&held[0].0, &held[0].1, &held[1].0);
        // The first goes alone. The next two are a batch, in which the stranger's comes first.
        let asked = [(&held[2].0, &held[2].1), (stranger, sid), (owner, sid)].into_iter().zip(0_u64..);
        let in_turn = |turn: u64| tokio::time::sleep(Duration::from_millis(50 * turn));
        let updates = asked.clone().map(async |((account, sid), turn)| {
            in_turn(turn).await;
            server.post(account, &format!("/IncomingPhoneNumbers/{sid}"), &[("FriendlyName", "Changed")]).await
        });
        let answers = together(world, join_all(updates)).await;
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 404, 200]);
        let releases = asked.map(async |((account, sid), turn)| {
            in_turn(turn).await;
            server.release(account, sid).await
        });
        let answers = together(world, join_all(releases)).await;
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [204, 404, 204]);
        server.stop().await;
    });
}

#[test]
fn of_updates_of_one_number_that_come_together_all_are_done() {
    test(async |world| {
        let server = one_thread(world);
        let (account, sid) = &holders(world, &server).await[0];
        let path = format!("/IncomingPhoneNumbers/{sid}");
        let settings = ["FriendlyName", "Url", "SmsUrl", "VoiceFallbackUrl", "SmsFallbackUrl"];
        // A fallback is refused until the URL that it replaces is set.
        server.post(account, &path, &[("Url", "http://a.example/"), ("SmsUrl", "http://a.example/")]).await;
        let updates = settings.map(|name| (name, format!("http://b.example/{name}")));
        let answers = together(
            world,
            join_all(updates.iter().map(async |(name, value)| server.post(account, &path, &[(name, value)]).await)),
        )
        .await;
        let number = server.get(account, &path).await;
        for ((name, value), answer) in updates.iter().zip(&answers) {
            assert_eq!(answer.assert_status(200).element(name), *value);
            assert_eq!(number.element(name), *value, "none of them undoes another");
        }
        server.stop().await;
    });
}

#[test]
fn an_update_and_a_release_wait_for_their_own_row_only() {
    test(async |world| {
        let server = one_thread(world);
        let held = holders(world, &server).await;
        let mut holder = world.db.begin().await.expect("a transaction");
        let lock = "select from tenancies where sid = any($1::uuid[]) for update";
        // Both numbers are of one account. The release that waits holds that account, so only numbers of the other
        // one are released.
        let busy: Vec<_> = [&held[0], &held[2]].iter().map(|(_, sid)| sid[2..].to_owned()).collect();
        sqlx::query(lock).bind(&busy).execute(&mut *holder).await.expect("a lock");
        let name = [("FriendlyName", "Renamed")];
        let path = |n: usize| format!("/IncomingPhoneNumbers/{}", held[n].1);
        let update = async |n: usize| server.post(&held[n].0, &path(n), &name).await.status;
        let release = async |n: usize| server.delete(&held[n].0, &path(n)).await.status;
        let others = async {
            let updates = join_all((4..40).step_by(2).map(&update));
            let releases = join_all((1..40).step_by(2).map(&release));
            let (updated, released) = join(updates, releases).await;
            assert_eq!((updated, released), (vec![200; 18], vec![204; 20]));
            holder.rollback().await.expect("the rows are free");
        };
        // They wait for two seconds at most. On a slow machine the others may take that long.
        let (first, second) = join(join(update(0), release(2)), others).await.0;
        assert!([200, 503].contains(&first) && [204, 503].contains(&second), "{first} {second}");
        server.stop().await;
    });
}

#[test]
fn releases_of_others_do_not_wait_for_rows_of_an_account_that_somebody_holds() {
    test(async |world| {
        let server = one_thread(world);
        let held = holders(world, &server).await;
        let (busy, others): (Vec<_>, Vec<_>) = held.iter().partition(|(account, _)| account.sid == held[0].0.sid);
        let (mut busy, mut others) = (busy.chunks(2), others.chunks(2));
        let release = async |(account, sid): &(Account, String)| server.release(account, sid).await.status;
        for lock in [
            "select from accounts where sid = $1::text::uuid for update",
            "select from tenancies where account_sid = $1::text::uuid for update",
        ] {
            within(Duration::from_secs(1), "the releases of others", async || {
                let mut holder = world.db.begin().await.expect("a transaction");
                sqlx::query(lock).bind(&held[0].0.sid[2..]).execute(&mut *holder).await.expect("a lock");
                let others = async {
                    eventually("one waits for the row", async || world.waiting().await > 0).await;
                    let others = others.next().expect("some are left").iter().map(|held| release(held));
                    let (took, gone) = timed(join_all(others)).await;
                    assert_eq!(gone, [204; 2]);
                    holder.rollback().await.expect("the row is free");
                    took
                };
                let busy = busy.next().expect("some are left").iter().map(|held| release(held));
                let (took, busy) = join(others, join_all(busy)).await;
                // They wait for two seconds at most.
                assert!(busy.iter().all(|status| [204, 503].contains(status)), "{busy:?}");
                took
            })
            .await;
        }
        server.stop().await;
    });
}

#[test]
fn an_update_that_waits_for_another_keeps_what_that_one_changed() {
    test(async |world| {
        world.stock(4_158_670_000, 2).await;
        let account = world.account("5.00").await;
        let sid = world.server.buy(&account, &[]).await.assert_status(201).element("Sid");
        let path = format!("/IncomingPhoneNumbers/{sid}");
        let mut other = world.db.begin().await.expect("a transaction");
        let change = "update tenancies set url = 'http://example.com/', method = 'GET'";
        sqlx::query(change).execute(&mut *other).await.expect("a change");
        let commit = async {
            eventually("the update waits", async || world.waiting().await > 0).await;
            other.commit().await.expect("a commit");
        };
        let (updated, ()) = join(world.server.post(&account, &path, &[("FriendlyName", "Home")]), commit).await;
        for answer in [updated, world.server.get(&account, &path).await] {
            let found = ["FriendlyName", "Url", "Method"].map(|name| answer.assert_status(200).element(name));
            assert_eq!(found, ["Home", "http://example.com/", "GET"]);
        }
    });
}

#[test]
fn releases_that_come_together_are_one_transaction_and_each_number_is_released_once() {
    test(async |world| {
        let server = one_thread(world);
        let held = &holders(world, &server).await;
        let twice = [&held[..], &held[..5]].concat();
        let answers =
            together(world, join_all(twice.iter().map(async |(account, sid)| server.release(account, sid).await)))
                .await;
        let released = answers.iter().filter(|answer| answer.status == 204).count();
        let gone = answers.iter().filter(|answer| answer.status == 404).count();
        assert_eq!((released, gone), (40, 5));
        assert!(writers(world).await <= 8, "{} transactions for 40 releases", writers(world).await);
        eventually("nobody holds anything", async || {
            world.value::<i64>("select count(*) from tenancies where ended_at is null").await == 0
        })
        .await;
        server.stop().await;
    });
}

#[test]
fn lookups_and_pages_that_come_together_take_one_connection_and_few_statements() {
    test(async |world| {
        let proxy = Proxy::start(&world.options);
        let server = Server::start(&proxy.options(), &world.clock);
        let held = &holders(world, &server).await;
        let mut holder = world.db.begin().await.expect("a transaction");
        sqlx::query("lock table tenancies in access exclusive mode").execute(&mut *holder).await.expect("a lock");
        let before = proxy.requests();
        let reads = join(
            join_all(held.iter().map(async |(account, sid)| {
                let answer = server.get(account, &format!("/IncomingPhoneNumbers/{sid}")).await;
                assert_eq!(answer.assert_status(200).element("Sid"), *sid);
            })),
            join_all(held.iter().map(async |(account, _)| {
                let page = server.get(account, "/IncomingPhoneNumbers?PageSize=10").await;
                assert_eq!(page.assert_status(200).attribute("total"), "20");
                assert!(page.elements("AccountSid").iter().all(|sid| *sid == account.sid));
            })),
        );
        let count = async {
            eventually("some wait for the table", async || world.waiting().await == 2).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(world.waiting().await, 2, "one for all lookups, and one for all pages");
            holder.rollback().await.expect("the table is free");
        };
        join(reads, count).await;
        // Two lookups and two pages; tokens are confirmed besides.
        let statements = proxy.requests() - before;
        assert!(statements < 20, "{statements} statements for 40 lookups and 40 pages");
        server.stop().await;
    });
}
