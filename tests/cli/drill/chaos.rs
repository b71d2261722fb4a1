//! Failures at random moments: instances by kill -9, PostgreSQL by an immediate stop.

use std::pin::pin;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use numberbank::platform::embedded_pg::{Cluster, ClusterOptions};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::random::Random;
use super::{BUYERS, Scene, settings};

pub const KILL: &str = "kill -9 of an instance";
pub const STOP: &str = "immediate stop of PostgreSQL";

/// Runs an instance, kills it at random moments and starts it again, until the buyers are done.
pub async fn keep_instance(scene: &Scene, at: usize) {
    let mut random = scene.random(BUYERS + at as u64);
    let mut instance = start(scene, at);
    for moment in moments(scene, &mut random, 1 + scene.purchases / 2_000) {
        let pause = random_pause(&mut random);
        let until = async {
            scene.reached(moment).await;
            sleep(pause).await;
        };
        supervise(scene, at, &mut instance, until).await;
        instance.kill().await.expect("kill -9");
        scene.count(KILL);
        sleep(random_pause(&mut random)).await;
        instance = start(scene, at);
    }
    supervise(scene, at, &mut instance, scene.reached(u64::MAX)).await;
    instance.kill().await.expect("the instance ends");
}

/// Stops PostgreSQL at random moments and starts it again.
pub async fn keep_database(scene: &Scene, mut cluster: Cluster) -> Cluster {
    let mut random = scene.random(BUYERS + scene.sites.len() as u64);
    for moment in moments(scene, &mut random, 1 + scene.purchases / 5_000) {
        scene.reached(moment).await;
        sleep(random_pause(&mut random)).await;
        let (settings, outage) = (settings(&scene.desk.home), random_pause(&mut random));
        let restarted = tokio::task::spawn_blocking(move || restart(cluster, &settings, outage));
        cluster = restarted.await.expect("PostgreSQL is back");
        scene.count(STOP);
    }
    cluster
}

/// In an immediate stop, every process of the server ends at once; the next start recovers from the log.
fn restart(cluster: Cluster, settings: &ClusterOptions, outage: Duration) -> Cluster {
    let server = Pid::from_raw(cluster.pid().expect("PostgreSQL runs"));
    kill(server, Signal::SIGQUIT).expect("the signal of pg_ctl stop -m immediate");
    cluster.close().expect("PostgreSQL is gone");
    thread::sleep(outage);
    Cluster::open(settings).expect("PostgreSQL starts")
}

/// Moments, as counts of purchases: after the first, and before the buyers are done.
pub fn moments(scene: &Scene, random: &mut Random, count: u64) -> Vec<u64> {
    let mut moments: Vec<_> = (0..count).map(|_| 1 + random.below(scene.purchases * 9 / 10)).collect();
    moments.sort_unstable();
    moments
}

fn random_pause(random: &mut Random) -> Duration {
    Duration::from_millis(random.below(500))
}

pub fn start(scene: &Scene, at: usize) -> Child {
    let address = scene.sites[at].to_string();
    let mut command = scene.desk.command(&["serve", "--bind", &address]);
    command.env("RUST_LOG", "error").stdout(Stdio::piped()).stderr(scene.log_file());
    Command::from(command).kill_on_drop(true).spawn().expect("an instance")
}

/// Restarts an instance that ended by itself. It may end only if it finds no database at its start.
async fn supervise(scene: &Scene, at: usize, instance: &mut Child, until: impl Future<Output = ()>) {
    let mut until = pin!(until);
    loop {
        let ended = tokio::select! {
            () = &mut until => return,
            ended = instance.wait() => ended.expect("a status"),
        };
        let mut said = String::new();
        let out = instance.stdout.as_mut().expect("its standard output");
        out.read_to_string(&mut said).await.expect("UTF-8");
        assert_eq!((ended.code(), said.as_str()), (Some(1), ""), "{ended}, seed {}: {}", scene.seed, scene.log());
        scene.count("start of an instance without a database");
        sleep(Duration::from_millis(100)).await;
        *instance = start(scene, at);
    }
}
