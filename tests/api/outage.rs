//! The database is out of reach: clients get a 503, no purchase is half made, and the service recovers by itself.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all, join3};

use crate::support::proxy::{Proxy, Way};
use crate::support::{Account, Answer, Server, WithForm, World, eventually, test, timed, within};

/// The API promises an answer within this time if the database does not answer (docs/api.md).
const PROMISED: Duration = Duration::from_secs(5);

/// The service recovers this soon after the database.
const BACK: Duration = Duration::from_secs(10);

/// A late answer is measured. An answer later than this fails the test at once.
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    proxy: Proxy,
    /// Reaches the database through the proxy.
    server: Server,
    account: Account,
    other: Account,
    /// The Sid of a number that the account has bought before, with the key `before`.
    number: String,
}

impl Scene {
    async fn new(world: &World) -> Self {
        let proxy = Proxy::start(&world.options);
        let server = Server::start(&proxy.options(), &world.clock);
        world.stock(4_158_670_000, 100).await;
        let (account, other) = (world.account("90.00").await, world.account("90.00").await);
        let mut scene = Self { proxy, server, account, other, number: String::new() };
        scene.server.get(&scene.other, "").await.assert_status(200);
        scene.number = scene.insist("before").await.element("Sid");
        scene
    }

    async fn get(&self, below: &str) -> Answer {
        Answer::of(self.server.call(&self.account, "GET", below).timeout(PATIENCE)).await
    }

    async fn buy_once(&self, key: &str) -> Answer {
        let call = self.server.call(&self.account, "POST", "/IncomingPhoneNumbers/Local").timeout(PATIENCE);
        Answer::of(call.header("Idempotency-Key", key).with_form(&[("AreaCode", "415")])).await
    }

    /// Repeats a purchase, as the answers say, until it is made.
    async fn insist(&self, key: &str) -> Answer {
        let mut bought = None;
        eventually("the purchase goes through", async || {
            let answer = self.buy_once(key).await;
            if answer.status == 201 {
                bought = Some(answer);
            } else {
                assert_unavailable(&answer);
            }
            bought.is_some()
        })
        .await;
        bought.expect("a purchase")
    }

    /// Waits until reads and purchases of this account succeed, and the other account is served.
    async fn recovers(&self) {
        eventually("the server recovers", async || {
            let answer = self.get("/IncomingPhoneNumbers").await;
            if answer.status != 200 {
                assert_unavailable(&answer);
            }
            answer.status == 200
        })
        .await;
        self.insist("before").await;
        self.server.get(&self.other, "/Balance").await.assert_status(200);
    }

    async fn end(self) {
        self.server.stop().await;
    }
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    answer.assert_refused(503, 20503);
    let seconds: u32 = answer.header("Retry-After").parse().expect("Retry-After is seconds");
    assert!(seconds > 0);
    for inside in ["sqlx", "postgres", "pool", "connection", "os error"] {
        assert!(!answer.element("Message").to_lowercase().contains(inside), "{}", answer.body);
    }
}

/// A request that must be answered 503, and how long it took.
async fn unavailable(request: impl Future<Output = Answer>) -> Duration {
    let begun = Instant::now();
    assert_unavailable(&request.await);
    begun.elapsed()
}

/// Sends requests of every kind, more at once than there are connections. Returns the time of the slowest.
async fn all_unavailable(scene: &Scene) -> Duration {
    let keys: Vec<_> = (0..4).map(|n| format!("outage-{n}")).collect();
    let number = format!("/IncomingPhoneNumbers/{}", scene.number);
    let nobodys = format!("/IncomingPhoneNumbers/PN{}", "0".repeat(32));
    let reads = ["", "/Balance", &number, "/IncomingPhoneNumbers", "/IncomingPhoneNumbers?FriendlyName=x"];
    let reads = reads.iter().cycle().take(15).map(|below| unavailable(scene.get(below)));
    let purchases = keys.iter().map(|key| unavailable(scene.buy_once(key)));
    let name = [("FriendlyName", "New")];
    let writes = [("POST", ""), ("POST", &number), ("DELETE", &nobodys)].map(|(method, below)| {
        let call = scene.server.call(&scene.account, method, below).timeout(PATIENCE);
        unavailable(Answer::of(if method == "POST" { call.with_form(&name) } else { call }))
    });
    let (reads, purchases, writes) = join3(join_all(reads), join_all(purchases), join_all(writes)).await;
    reads.into_iter().chain(purchases).chain(writes).max().expect("some")
}

async fn broken_and_mended(world: &World, way: Way) {
    let scene = Scene::new(world).await;
    // All connections are open and idle when the proxy breaks.
    join_all((0..16).map(|_| scene.get("/Balance"))).await;
    scene.proxy.make(way);
    within(PROMISED, "the slowest answer", async || all_unavailable(&scene).await).await;
    within(BACK, "it is back", async || {
        scene.proxy.make(way);
        unavailable(scene.get("/Balance")).await;
        scene.proxy.make(Way::Open);
        timed(scene.recovers()).await.0
    })
    .await;
    for key in ["outage-0", "outage-1", "outage-2", "outage-3"] {
        scene.insist(key).await;
    }
    assert_eq!(scene.insist("before").await.header("Idempotent-Replayed"), "true");
    let list = scene.get("/IncomingPhoneNumbers").await;
    assert_eq!(list.attribute("total"), "5");
    assert_eq!(scene.server.balance(&scene.account).await, "85.00");
    scene.end().await;
}

#[test]
fn a_database_that_refuses_is_a_503_until_it_is_back() {
    test(async |world| broken_and_mended(world, Way::Refused).await);
}

#[test]
fn a_database_that_drops_connections_is_a_503_until_it_is_back() {
    test(async |world| broken_and_mended(world, Way::Dropped).await);
}

#[test]
fn a_database_that_hangs_is_a_503_until_it_is_back() {
    test(async |world| broken_and_mended(world, Way::Hung).await);
}

#[test]
fn what_hung_with_the_database_keeps_nobody_waiting_once_it_is_back() {
    test(async |world| {
        let scene = Scene::new(world).await;
        let lookup = format!("/IncomingPhoneNumbers/{}", scene.number);
        // The gate has just confirmed the account, so that the work itself hangs.
        scene.get("").await.assert_status(200);
        scene.proxy.make(Way::Hung);
        let (bought, found) = join(scene.buy_once("hung"), scene.get(&lookup)).await;
        assert_unavailable(&bought);
        assert_unavailable(&found);
        scene.proxy.make(Way::Open);
        scene.recovers().await;
        scene.insist("hung").await;
        scene.insist("after").await;
        scene.get(&lookup).await.assert_status(200);
        assert_eq!(scene.server.balance(&scene.account).await, "87.00");
        scene.end().await;
    });
}

#[test]
fn an_unknown_caller_gets_a_503_too_while_nobody_can_be_verified() {
    test(async |world| {
        let scene = Scene::new(world).await;
        let stranger = world.account("1.00").await;
        let ask = || Answer::of(scene.server.call(&stranger, "GET", "").timeout(PATIENCE));
        for way in [Way::Refused, Way::Hung] {
            scene.proxy.make(way);
            within(PROMISED, "an answer to an unknown caller", async || unavailable(ask()).await).await;
        }
        within(BACK, "the stranger is let in", async || {
            scene.proxy.make(Way::Open);
            let let_in = eventually("the stranger is let in", async || ask().await.status == 200);
            let took = timed(let_in).await.0;
            scene.proxy.make(Way::Refused);
            took
        })
        .await;
        scene.end().await;
    });
}

/// Buys while the proxy breaks, then again with the same key. Returns whether the first try had bought.
async fn cut_off(scene: &Scene, way: Way, key: &str) -> bool {
    // The gate has just confirmed the account, so that the purchase itself is cut off.
    scene.get("").await.assert_status(200);
    scene.proxy.make(way);
    let first = scene.buy_once(key).await;
    scene.proxy.make(Way::Open);
    assert_unavailable(&first);
    scene.insist(key).await.header("Idempotent-Replayed") == "true"
}

#[test]
fn a_purchase_that_is_cut_off_stands_whole_or_not_at_all() {
    test(async |world| {
        let scene = Scene::new(world).await;
        let (mut keys, mut stood, mut failed) = (1, false, false);
        // Where the connection is cut depends on what else passes through it. So try until both were seen.
        eventually("purchases are cut off before and after they were made", async || {
            stood |= cut_off(&scene, Way::AnswersLost, &format!("answer-{keys}")).await;
            failed |= !cut_off(&scene, Way::RequestsLost, &format!("request-{keys}")).await;
            keys += 2;
            (stood && failed && keys > 12) || keys > 80
        })
        .await;
        assert!(stood && failed, "stood: {stood}, failed: {failed}");
        let list = scene.get("/IncomingPhoneNumbers?PageSize=1").await;
        assert_eq!(list.attribute("total"), keys.to_string());
        assert_eq!(scene.server.balance(&scene.account).await, format!("{}.00", 90 - keys));
        scene.end().await;
    });
}

#[test]
fn many_that_are_cut_off_at_once_buy_once_each() {
    test(async |world| {
        let scene = Scene::new(world).await;
        let keys: Vec<_> = (0..40).map(|n| format!("key-{n}")).collect();
        let cut = async {
            let sold = "select count(*) from ledger_entries where kind = 'purchase'";
            eventually("some are sold", async || world.value::<i64>(sold).await > 4).await;
            scene.proxy.make(Way::Refused);
            // Connections through the proxy have no application name.
            let carried = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name <> 'numberbank'";
            eventually("all are cut off", async || world.value::<i64>(carried).await == 0).await;
            scene.proxy.make(Way::Open);
        };
        let first = async { join_all(keys.iter().map(|key| scene.buy_once(key))).await };
        let (first, ()) = join(first, cut).await;
        first.iter().filter(|answer| answer.status != 201).for_each(assert_unavailable);
        for key in &keys {
            scene.insist(key).await;
        }
        assert_eq!(scene.get("/IncomingPhoneNumbers").await.attribute("total"), "41");
        assert_eq!(scene.server.balance(&scene.account).await, "49.00");
        scene.end().await;
    });
}
