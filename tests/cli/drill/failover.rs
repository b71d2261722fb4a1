//! The drill of failovers: three PostgreSQL under Patroni, of which the primary is killed, frozen, lost with its disk, or told
//! to hand over, at random moments from a seed. The instances and their HAProxy go on untouched.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::join;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::nodes::{self, Nodes};
use super::random::Random;
use super::standstill::{self, Event};
use super::{BUYERS, Desk, Scene, chaos, drill, free_address, guard, run, seed, setting};
use crate::home::Home;

const KILLED: &str = "kill -9 of the primary's node";
const PAUSED: &str = "pause of the primary's node";
const LOST: &str = "loss of the primary's node with its disk";
const SWITCHED: &str = "switchover";
const KINDS: [&str; 4] = [KILLED, PAUSED, LOST, SWITCHED];

/// So that purchases go on for about as long as the failures take to be over.
const PURCHASES_AN_EVENT: u64 = 1_500;
/// How long a buyer rests: some 50 purchases a second, by which a standstill is measured well enough.
const REST: Duration = Duration::from_millis(250);
/// How long all goes well before something goes wrong, at most: longer than a round of Patroni's.
const CALM: Duration = Duration::from_secs(8);
/// How soon HAProxy has cut the connections to a node that is frozen.
const CUT: Duration = Duration::from_secs(10);

/// Something to write, into a table without columns.
const WRITE: &str = "insert into marks default values";

#[test]
#[ignore = "takes minutes, and needs Patroni, etcd and HAProxy: ./dev drill --failover"]
fn what_was_answered_stands_after_every_failover() {
    let (purchases, seed) = (setting("DRILL_PURCHASES", 0), seed());
    let events = (purchases / PURCHASES_AN_EVENT).max(KINDS.len() as u64);
    let purchases = purchases.max(events * PURCHASES_AN_EVENT);
    println!("drill: {events} failovers, at least {purchases} purchases, seed {seed}");
    let home = Home::new();
    let _guard = guard::over(&home.data_dir());
    std::fs::create_dir(home.data_dir()).expect("a folder");
    let nodes = Nodes::new(home.data_dir().parent().expect("the drill's folder"));
    run(async {
        let sites = [free_address(), free_address()];
        let mut haproxy = prepare(&nodes, sites).await;
        let desk = Desk { database: nodes.url(), home };
        // Its commands, some of which have a runtime of their own, may block.
        let opened = tokio::task::spawn_blocking(move || Scene::new(desk, purchases, seed)).await;
        let scene = Scene { sites, doors: vec![nodes.api], rest: REST, ..opened.expect("a market") };
        scene.to_come.set(events);
        let mut instances = [0, 1].map(|at| chaos::start(&scene, at));
        nodes.serve().await;
        let done = drill(&scene, fail_over(&scene, &nodes, events), &KINDS).await;
        assert!(instances.iter_mut().all(|instance| instance.try_wait().expect("a child").is_none()), "they go on");
        assert!(haproxy.try_wait().expect("a child").is_none(), "HAProxy goes on");
        standstill::report(&done, &scene.sales.borrow(), &KINDS);
    });
}

/// Starts the nodes and HAProxy, and makes the database.
async fn prepare(nodes: &Nodes, sites: [SocketAddr; 2]) -> Child {
    nodes.start_all();
    nodes.in_order().await;
    let haproxy = nodes.start_haproxy(sites);
    let mut primary = connect_to_primary(nodes).await;
    let statements = nodes::text("database.sql");
    for statement in statements.split_inclusive(";\n").chain(["create table marks ()"]) {
        raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut primary).await.expect(statement);
    }
    haproxy
}

/// A connection of the administrator. Until its first checks, HAProxy leads to one node after the other: so only the
/// third connection to the primary in a row counts.
async fn connect_to_primary(nodes: &Nodes) -> PgConnection {
    let (begun, mut in_a_row) = (Instant::now(), 0);
    loop {
        let connected = connect(nodes).await;
        in_a_row = if connected.is_ok() { in_a_row + 1 } else { 0 };
        match connected {
            Ok(connection) if in_a_row == 3 => return connection,
            _ => assert!(begun.elapsed() < CUT, "HAProxy does not lead to the primary"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Fails if it leads to a node that follows.
async fn connect(nodes: &Nodes) -> sqlx::Result<PgConnection> {
    let mut connection = PgConnection::connect(&nodes.administration()).await?;
    let follows = sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut connection).await?;
    if follows { Err(sqlx::Error::RowNotFound) } else { Ok(connection) }
}

/// Makes the primary fail `events` times. Each failure begins when the cluster has recovered from the one before.
async fn fail_over(scene: &Scene, nodes: &Nodes, events: u64) -> Vec<Event> {
    let mut random = scene.random(BUYERS + scene.sites.len() as u64);
    let mut done = Vec::new();
    let kinds = kinds(&mut random, events);
    for (moment, kind) in chaos::moments(scene, &mut random, events).into_iter().zip(kinds) {
        scene.reached(moment).await;
        if scene.over.get() {
            break;
        }
        let primary = nodes.in_order().await;
        sleep(CALM.mul_f64(random.below(1_000) as f64 / 1_000.0)).await;
        let (begun, [led, open]) = (Instant::now(), go_wrong(scene, nodes, primary, kind, &mut random).await);
        nodes.in_order().await;
        let event = Event { kind, begun, led, open, ended: Instant::now() };
        println!("drill: {kind}, db{}: {}", primary + 1, event.tell(&scene.sales.borrow()));
        scene.count(kind);
        done.push(event);
        scene.to_come.update(|left| left - 1);
    }
    done
}

/// Each kind equally often, in random order.
fn kinds(random: &mut Random, count: u64) -> Vec<&'static str> {
    let mut kinds: Vec<_> = KINDS.into_iter().cycle().take(count as usize).collect();
    for at in (1..kinds.len()).rev() {
        kinds.swap(at, random.below(at as u64 + 1) as usize);
    }
    kinds
}

/// Something goes wrong with the primary, and in the end its node follows another one. Returns when that one led, and when it
/// took a write.
async fn go_wrong(scene: &Scene, nodes: &Nodes, primary: usize, kind: &str, random: &mut Random) -> [Instant; 2] {
    let mut client = connect_to_primary(nodes).await;
    let past_haproxy = PgConnection::connect(&nodes.administration_of(primary)).await.expect("the primary answers");
    let led = async {
        nodes.leader(Some(primary)).await;
        Instant::now()
    };
    let led = match kind {
        KILLED => {
            nodes.kill(primary);
            led.await
        }
        PAUSED => {
            nodes.pause(primary);
            led.await
        }
        LOST => {
            nodes.lose(primary);
            led.await
        }
        _ => join(nodes.switch_over(primary), led).await.1,
    };
    takes_a_write(nodes).await;
    let open = Instant::now();
    // Had it been left to the node, a frozen one would keep its client for ever.
    let answer = timeout(CUT, client.ping()).await.expect("the client of the old primary is cut off");
    assert!(answer.is_err(), "the client of the old primary is cut off");
    scene.reached(scene.sold.get() + 1 + random.below(200)).await;
    match kind {
        KILLED => nodes.start(primary),
        LOST => nodes.replace(primary).await,
        PAUSED => {
            nodes.resume(primary);
            takes_no_writes(nodes, primary, past_haproxy).await;
        }
        _ => {}
    }
    [led, open]
}

/// One write, after which its connection ends.
async fn write(address: &str) -> sqlx::Result<()> {
    let written = async {
        let mut connection = PgConnection::connect(address).await?;
        raw_sql(WRITE).execute(&mut connection).await.map(drop)
    };
    timeout(Duration::from_secs(1), written).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Returns when a write by way of HAProxy was answered.
async fn takes_a_write(nodes: &Nodes) {
    let (address, begun) = (nodes.administration(), Instant::now());
    while let Err(error) = write(&address).await {
        assert!(begun.elapsed() < nodes::PATIENCE, "no write is answered: {error}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A node that was frozen as the primary knows of no other one when it wakes. It may take no write all the same: neither of a
/// client from before, nor of new ones.
async fn takes_no_writes(nodes: &Nodes, node: usize, mut client: PgConnection) {
    let first = timeout(CUT, raw_sql(WRITE).execute(&mut client)).await;
    assert!(!matches!(first, Ok(Ok(_))), "a node that is not the primary any more took a write of an old client");
    let address = nodes.administration_of(node);
    let mut in_order = pin!(nodes.in_order());
    loop {
        tokio::select! {
            _ = &mut in_order => return,
            answer = write(&address) => {
                assert!(answer.is_err(), "a node that is not the primary any more took a write");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
