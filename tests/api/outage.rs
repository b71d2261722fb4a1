//! The database out of reach: an honest 503, no half of a purchase, and recovery without help.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::proxy::{Proxy, Way};
use crate::support::{Account, Answer, Server, WithForm, World, eventually, test};

/// Longer than the wire's promise of five seconds: a server that hangs fails, a slow machine does not.
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    proxy: Proxy,
    /// Reaches the database through the proxy.
    server: Server,
    account: Account,
    other: Account,
}

impl Scene {
    async fn new(world: &World) -> Self {
        let proxy = Proxy::start(&world.options);
        let server = Server::start(&proxy.options(), &world.clock);
        world.stock(4_158_670_000, 100).await;
        let (account, other) = (world.account("90.00").await, world.account("90.00").await);
        let scene = Self { proxy, server, account, other };
        scene.server.get(&scene.account, "").await.assert_status(200);
        scene.server.get(&scene.other, "").await.assert_status(200);
        scene
    }

    async fn get(&self, below: &str) -> Answer {
        Answer::of(self.server.call(&self.account, "GET", below).timeout(PATIENCE)).await
    }

    async fn buy_once(&self, key: &str) -> Answer {
        let call = self.server.call(&self.account, "POST", "/IncomingPhoneNumbers/Local").timeout(PATIENCE);
        Answer::of(call.header("Idempotency-Key", key).with_form(&[("AreaCode", "415")])).await
    }

    /// Asks again and again, as the answer says, until the purchase is made.
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

    async fn recovers(&self) {
        eventually("the server recovers", async || {
            let answer = self.get("/IncomingPhoneNumbers").await;
            if answer.status != 200 {
                assert_unavailable(&answer);
            }
            answer.status == 200
        })
        .await;
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

/// Reads and purchases, more of them at once than there are connections.
async fn all_unavailable(scene: &Scene) {
    let reads = join_all((0..12).map(|_| scene.get("/IncomingPhoneNumbers"))).await;
    reads.iter().for_each(assert_unavailable);
    let keys: Vec<_> = (0..4).map(|n| format!("outage-{n}")).collect();
    let purchases = join_all(keys.iter().map(|key| scene.buy_once(key))).await;
    purchases.iter().for_each(assert_unavailable);
}

async fn broken_and_mended(world: &World, way: Way) {
    let scene = Scene::new(world).await;
    scene.insist("before").await;
    // All connections are open, and idle, when the way breaks.
    join_all((0..16).map(|_| scene.get("/Balance"))).await;
    scene.proxy.make(way);
    all_unavailable(&scene).await;
    scene.proxy.make(Way::Open);
    scene.recovers().await;
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
        let number = scene.insist("before").await.element("Sid").clone();
        let lookup = format!("/IncomingPhoneNumbers/{number}");
        // The gate has just looked at the account: what hangs is the work itself.
        scene.get("").await.assert_status(200);
        scene.proxy.make(Way::Hung);
        let (bought, found) = futures_util::future::join(scene.buy_once("hung"), scene.get(&lookup)).await;
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
        scene.proxy.make(Way::Refused);
        assert_unavailable(&scene.server.get(&stranger, "").await);
        scene.proxy.make(Way::Open);
        eventually("the stranger is let in", async || scene.server.get(&stranger, "").await.status == 200).await;
        scene.end().await;
    });
}

/// Buys while the way breaks, then again with the same key; tells whether the first try had bought.
async fn cut_off(scene: &Scene, way: Way, key: &str) -> bool {
    // The gate has just looked at the account: what is cut off is the purchase.
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
        scene.insist("warm").await;
        let (mut keys, mut stood, mut failed) = (1, false, false);
        // Where it is cut depends on what else passes: until both have been seen.
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
            eventually("some are sold", async || world.value::<i64>(sold).await > 3).await;
            scene.proxy.make(Way::Refused);
            // Those of the proxy go by no name.
            let carried = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name <> 'numberbank'";
            eventually("all are cut off", async || world.value::<i64>(carried).await == 0).await;
            scene.proxy.make(Way::Open);
        };
        let first = async { join_all(keys.iter().map(|key| scene.buy_once(key))).await };
        let (first, ()) = futures_util::future::join(first, cut).await;
        first.iter().filter(|answer| answer.status != 201).for_each(assert_unavailable);
        for key in &keys {
            scene.insist(key).await;
        }
        assert_eq!(scene.get("/IncomingPhoneNumbers").await.attribute("total"), "40");
        assert_eq!(scene.server.balance(&scene.account).await, "50.00");
        scene.end().await;
    });
}
