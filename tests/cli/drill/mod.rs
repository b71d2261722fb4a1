//! The fire drill: buyers who send each order until it is answered, on two instances that are killed and one PostgreSQL
//! that is stopped, at random moments from a seed. In the end, each purchase that was answered exists exactly once, and
//! nothing else was sold. `cargo test` runs a short form, `./dev drill` the long one. `failover.rs` has the drill whose
//! primary fails over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all, join3};
use numberbank::platform::embedded_pg::{CONNECTIONS, Cluster, ClusterOptions};
use numberbank::values::sid::random_bits;
use serde_json::Value;

mod buyers;
mod chaos;
mod comparison;
mod failover;
mod guard;
mod market;
mod nodes;
mod operator;
mod random;
mod standstill;

use crate::home::{Home, Ran};
use buyers::Order;
use market::Market;
use operator::Office;
use random::Random;

/// Concurrent buyers.
const BUYERS: u64 = 16;

/// Where commands are given.
struct Desk {
    home: Home,
    database: String,
}

impl Desk {
    fn command(&self, words: &[&str]) -> Command {
        self.home.command(&[words, &["--database-url", &self.database]].concat())
    }

    fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output())
    }

    fn json(&self, words: &[&str]) -> Value {
        self.run(&[words, &["--output", "json"]].concat()).done_json()
    }
}

/// The state of the drill. All but the servers lives on one thread.
struct Scene {
    seed: u64,
    /// How many purchases to make.
    purchases: u64,
    desk: Desk,
    /// The instances.
    sites: [SocketAddr; 2],
    /// Where buyers ask: at the instances, or at a balancer before them.
    doors: Vec<SocketAddr>,
    /// How long a buyer rests after an order, on average.
    rest: Duration,
    market: Market,
    office: Office,
    /// The moments of all purchases.
    sales: RefCell<Vec<Instant>>,
    sold: Cell<u64>,
    asked: Cell<u64>,
    /// Failures that are still to come, for which the buyers go on.
    to_come: Cell<u64>,
    over: Cell<bool>,
    tally: RefCell<BTreeMap<&'static str, u64>>,
}

#[test]
fn what_was_answered_stands_once_and_nothing_else_was_sold() {
    let (purchases, seed) = (setting("DRILL_PURCHASES", 1_500), seed());
    println!("drill: {purchases} purchases, seed {seed}");
    let home = Home::new();
    let _guard = guard::over(&home.data_dir());
    let cluster = Cluster::open(&settings(&home)).expect("PostgreSQL starts");
    let scene = Scene::new(Desk { home, database: cluster.url() }, purchases, seed);
    run(async {
        let instances = join_all((0..scene.sites.len()).map(|at| chaos::keep_instance(&scene, at)));
        let chaos = join(instances, chaos::keep_database(&scene, cluster));
        drill(&scene, chaos, &[chaos::KILL, chaos::STOP]).await;
    });
}

/// Runs buyers and an operator while something goes wrong, and compares in the end. The drill must have met all these.
async fn drill<T>(scene: &Scene, chaos: impl Future<Output = T>, meets: &[&'static str]) -> T {
    let begun = Instant::now();
    let buyers = async {
        let orders = join_all((0..BUYERS).map(|buyer| buyers::buy(scene, buyer))).await;
        scene.over.set(true);
        (orders.concat(), begun.elapsed())
    };
    let ((orders, took), deeds, left) = join3(buyers, operator::work(scene), chaos).await;
    scene.report(&orders, took);
    let mut wrong = comparison::compare(scene, &orders, &deeds).await;
    wrong.extend(scene.missed(&orders, meets));
    wrong.iter().take(20).for_each(|line| println!("drill: {line}"));
    assert!(
        wrong.is_empty(),
        "{} things are wrong, seed {}; the instances said:\n{}",
        wrong.len(),
        scene.seed,
        scene.log()
    );
    println!("drill: each purchase stands once, nothing else was sold, the audit holds");
    left
}

fn run(drill: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(drill);
}

fn setting(name: &str, default: u64) -> u64 {
    let number = |text: String| text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number"));
    env::var(name).map_or(default, number)
}

fn seed() -> u64 {
    setting("DRILL_SEED", random_bits() as u64 >> 32)
}

/// With fsync, which is under test here: without it, PostgreSQL may lose its last commits at a stop.
fn settings(home: &Home) -> ClusterOptions {
    ClusterOptions {
        data_dir: Some(home.data_dir()),
        bin: env::var_os("PG_BIN").map(PathBuf::from),
        fsync: true,
        connections: CONNECTIONS,
    }
}

/// Below the ports that systems give to clients, or a client might get it while the instance is down.
fn free_address() -> SocketAddr {
    let mut ports = std::iter::repeat_with(|| 10_000 + (random_bits() % 20_000) as u16);
    ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()?.local_addr().ok()).expect("a free port")
}

impl Scene {
    fn new(desk: Desk, purchases: u64, seed: u64) -> Self {
        desk.run(&["migrate"]).done();
        let (market, office) = (Market::open(&desk, purchases), Office::open(&desk));
        let sites = [free_address(), free_address()];
        Self {
            seed,
            purchases,
            desk,
            sites,
            doors: sites.to_vec(),
            rest: Duration::ZERO,
            market,
            office,
            sales: RefCell::default(),
            sold: Cell::default(),
            asked: Cell::default(),
            to_come: Cell::default(),
            over: Cell::default(),
            tally: RefCell::default(),
        }
    }

    /// Random numbers that depend only on the seed.
    fn random(&self, stream: u64) -> Random {
        Random::new(self.seed, stream)
    }

    fn count(&self, what: &'static str) {
        *self.tally.borrow_mut().entry(what).or_default() += 1;
    }

    fn counted(&self, what: &str) -> u64 {
        self.tally.borrow().get(what).copied().unwrap_or_default()
    }

    fn wants_more(&self) -> bool {
        self.sold.get() < self.purchases || self.to_come.get() > 0
    }

    async fn rest(&self, random: &mut Random) {
        if !self.rest.is_zero() {
            tokio::time::sleep(Duration::from_millis(random.below(2 * self.rest.as_millis() as u64))).await;
        }
    }

    /// Returns when this many are sold.
    async fn reached(&self, sold: u64) {
        while self.sold.get() < sold && !self.over.get() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log_file(&self) -> File {
        let path = self.desk.home.data_dir().join("instances.log");
        OpenOptions::new().create(true).append(true).open(path).expect("a log")
    }

    /// The last lines of the instances' logs.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.desk.home.data_dir().join("instances.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn report(&self, orders: &[Order], took: Duration) {
        let (sold, seconds) = (self.sold.get(), took.as_secs_f64());
        println!("drill: {sold} sold to {BUYERS} buyers, {} refused, in {seconds:.0} s", orders.len() as u64 - sold);
        println!("drill: {:.0} purchases a second, outages included", sold as f64 / seconds);
        for (what, count) in self.tally.borrow().iter() {
            println!("drill: {count:>9} × {what}");
        }
    }

    /// What a drill must have met to be valid, besides what goes wrong in it.
    fn missed(&self, orders: &[Order], meets: &[&'static str]) -> Vec<String> {
        let mut missed = Vec::new();
        if self.wants_more() {
            missed.push(format!("only {} of {} were sold to {} orders", self.sold.get(), self.purchases, orders.len()));
        }
        let always =
            [buyers::NO_MONEY, buyers::NONE_LEFT, buyers::REPLAYED, buyers::OWNED, buyers::LET_GO, operator::DONE];
        for what in always.iter().chain(meets) {
            if self.counted(what) == 0 {
                missed.push(format!("never met: {what}"));
            }
        }
        missed
    }
}
