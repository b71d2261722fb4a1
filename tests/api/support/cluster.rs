//! One temporary PostgreSQL for the process, and databases cloned from a migrated template.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use numberbank::db::{self, Meant};
use numberbank::platform::embedded_pg::{CONNECTIONS, Cluster, ClusterOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::sync::Mutex;

const TEMPLATE: &str = "migrated_template";

/// The server, and a guard that stops it and removes its folder when this process ends in any way.
struct Temporary {
    cluster: Cluster,
    _guard: Child,
}

static CLUSTER: OnceLock<Temporary> = OnceLock::new();
static TEMPLATE_IS_READY: Mutex<bool> = Mutex::const_new(false);

fn start() -> Temporary {
    let mut folder = tempfile::Builder::new();
    // For root, PostgreSQL runs as another user, who must be able to enter the folder.
    folder.prefix("nb-test-").permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755));
    let folder = folder.tempdir_in("/tmp").expect("a folder").keep();
    let settings = ClusterOptions { data_dir: Some(folder), bin: None, fsync: false, connections: CONNECTIONS };
    let cluster = Cluster::open(&settings).expect("PostgreSQL starts");
    let guard = Command::new("sh")
        .args(["-c", "cat; kill -QUIT \"$(head -n 1 \"$1\"/pg/cluster/postmaster.pid)\"; rm -rf \"$1\"", "sh"])
        .arg(cluster.data_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a guard");
    Temporary { cluster, _guard: guard }
}

fn options(database: &str) -> PgConnectOptions {
    let url = CLUSTER.get_or_init(start).cluster.url();
    db::options(&url).expect("a URL").database(database)
}

/// Creates a database with the whole schema.
pub async fn create_database(name: &str) -> PgConnectOptions {
    let mut ready = TEMPLATE_IS_READY.lock().await;
    if !*ready {
        tokio::task::spawn_blocking(|| CLUSTER.get_or_init(start)).await.expect("a cluster");
        administer(format!("create database {TEMPLATE}")).await;
        db::migrate(&options(TEMPLATE), Meant::Registry).await.expect("the migrations run");
        *ready = true;
    }
    // One at a time: PostgreSQL cannot clone a template that is in use.
    administer(format!("create database {name} template {TEMPLATE}")).await;
    options(name)
}

pub async fn drop_database(name: &str) {
    administer(format!("drop database {name} with (force)")).await;
}

async fn administer(statement: String) {
    let mut connection = options("postgres").connect().await.expect("PostgreSQL answers");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect("the statement runs");
}
