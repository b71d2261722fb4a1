//! Three nodes with PostgreSQL, Patroni and etcd, and a HAProxy, from the files of docs/failover: what docs/scaling.md
//! shows is what runs here. Only the names in the environments get other values, for all is on one machine.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use reqwest::Client;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::free_address;

/// Longer than any failover, and than a node takes to come back.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// How long Patroni may take for an answer; that of a frozen node never comes.
const ANSWER: Duration = Duration::from_millis(500);

/// One machine: its PostgreSQL, Patroni and etcd live and die together.
struct Node {
    name: String,
    folder: PathBuf,
    postgres: SocketAddr,
    patroni: SocketAddr,
    etcd: SocketAddr,
    etcd_peers: SocketAddr,
}

/// All nodes, and the HAProxy before them and before the instances.
pub struct Nodes {
    folder: PathBuf,
    all: [Node; 3],
    /// Where HAProxy leads to the instances …
    pub api: SocketAddr,
    /// … and to the primary.
    primary: SocketAddr,
    client: Client,
}

type Environment = Vec<(String, String)>;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failover").join(name)
}

/// A file of docs/failover.
pub fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn lines(file: &str) -> Environment {
    let text = text(file);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).expect(line))
        .collect()
}

/// The environment of a file, with the drill's own values: for each address and folder, and for nothing that is not there.
fn environment(file: &str, ours: &[(&str, String)]) -> Environment {
    let mut environment = lines(file);
    for (name, value) in ours {
        let place = environment.iter_mut().find(|(known, _)| known == name);
        place.unwrap_or_else(|| panic!("{file} has no {name}")).1.clone_from(value);
    }
    let left = environment.iter().find(|(_, value)| value.contains("10.0.0.") || value.starts_with("/var/"));
    assert_eq!(left, None, "the drill has no value of its own for this line of {file}");
    environment
}

/// A password of docs/failover.
fn password(name: &str) -> String {
    lines("patroni_env.conf").into_iter().find(|(known, _)| known == name).expect(name).1
}

impl Node {
    fn new(folder: &Path, at: usize) -> Self {
        let name = format!("db{}", at + 1);
        let folder = folder.join(&name);
        let [postgres, patroni, etcd, etcd_peers] = [(); 4].map(|()| free_address());
        Self { name, folder, postgres, patroni, etcd, etcd_peers }
    }

    fn inside(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

impl Nodes {
    pub fn new(folder: &Path) -> Self {
        let all = [0, 1, 2].map(|at| Node::new(folder, at));
        Self { folder: folder.to_owned(), all, api: free_address(), primary: free_address(), client: Client::new() }
    }

    /// The environments of etcd and Patroni on a node.
    fn of_node(&self, node: &Node) -> [Environment; 2] {
        let [peers, clients] = [node.etcd_peers, node.etcd].map(|address| format!("http://{address}"));
        let listed = |each: &dyn Fn(&Node) -> String| self.all.iter().map(each).collect::<Vec<_>>().join(",");
        let etcd = [
            ("ETCD_NAME", node.name.clone()),
            ("ETCD_DATA_DIR", node.inside("etcd")),
            ("ETCD_LISTEN_PEER_URLS", peers.clone()),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", peers),
            ("ETCD_LISTEN_CLIENT_URLS", clients.clone()),
            ("ETCD_ADVERTISE_CLIENT_URLS", clients),
            ("ETCD_INITIAL_CLUSTER", listed(&|node| format!("{}=http://{}", node.name, node.etcd_peers))),
        ];
        let mut patroni = vec![
            ("PATRONI_NAME", node.name.clone()),
            ("PATRONI_ETCD_HOSTS", listed(&|node| node.etcd.to_string())),
            ("PATRONI_RESTAPI_LISTEN", node.patroni.to_string()),
            ("PATRONI_RESTAPI_CONNECT_ADDRESS", node.patroni.to_string()),
            ("PATRONI_POSTGRESQL_LISTEN", node.postgres.to_string()),
            ("PATRONI_POSTGRESQL_CONNECT_ADDRESS", node.postgres.to_string()),
            ("PATRONI_POSTGRESQL_DATA_DIR", node.inside("data")),
            ("PATRONI_POSTGRESQL_PGPASS", node.inside("pgpass")),
        ];
        patroni.extend(std::env::var("PG_BIN").ok().map(|folder| ("PATRONI_POSTGRESQL_BIN_DIR", folder)));
        [environment("etcd", &etcd), environment("patroni_env.conf", &patroni)]
    }

    fn of_haproxy(&self, instances: [SocketAddr; 2]) -> Environment {
        let [one, two, three] = &self.all;
        let of = |node: &Node| [node.postgres.to_string(), node.patroni.port().to_string()];
        let [[db1, patroni1], [db2, patroni2], [db3, patroni3]] = [of(one), of(two), of(three)];
        let ours = [
            ("API", self.api.to_string()),
            ("INSTANCE_A", instances[0].to_string()),
            ("INSTANCE_B", instances[1].to_string()),
            ("PRIMARY", self.primary.to_string()),
            ("DB1", db1),
            ("DB1_PATRONI", patroni1),
            ("DB2", db2),
            ("DB2_PATRONI", patroni2),
            ("DB3", db3),
            ("DB3_PATRONI", patroni3),
        ];
        environment("haproxy", &ours)
    }

    pub fn start_all(&self) {
        for at in 0..self.all.len() {
            self.start(at);
        }
    }

    /// Starts all of a node.
    pub fn start(&self, at: usize) {
        self.start_with(at, None);
    }

    /// Starts a new node in the place of one that was lost, as docs/scaling.md says.
    pub async fn replace(&self, at: usize) {
        let (node, other) = (&self.all[at], &self.all[(at + 1) % self.all.len()]);
        let members = etcdctl(other, &["list"]).await;
        let lost = members.lines().find(|member| member.contains(&format!(" {}, ", node.name)));
        let (id, _) = lost.and_then(|member| member.split_once(',')).unwrap_or_else(|| panic!("{members}"));
        etcdctl(other, &["remove", id]).await;
        etcdctl(other, &["add", &node.name, &format!("--peer-urls=http://{}", node.etcd_peers)]).await;
        self.start_with(at, Some(("ETCD_INITIAL_CLUSTER_STATE".to_owned(), "existing".to_owned())));
    }

    fn start_with(&self, at: usize, more: Option<(String, String)>) {
        let node = &self.all[at];
        let [mut etcd, patroni] = self.of_node(node);
        etcd.extend(more);
        start("etcd", &[], &node.folder, etcd);
        start("patroni", &[copied(&node.folder, "patroni.yml")], &node.folder, patroni);
    }

    pub fn start_haproxy(&self, instances: [SocketAddr; 2]) -> Child {
        let folder = self.folder.join("haproxy");
        let arguments = ["-db".to_owned(), "-f".to_owned(), copied(&folder, "haproxy.cfg")];
        start("haproxy", &arguments, &folder, self.of_haproxy(instances))
    }

    /// The database of the instances, by way of HAProxy.
    pub fn url(&self) -> String {
        format!("postgres://numberbank:change-me-4@{}/numberbank", self.primary)
    }

    /// A database as its administrator, by way of HAProxy.
    pub fn administration(&self) -> String {
        administration(self.primary)
    }

    /// The same, of this very node.
    pub fn administration_of(&self, at: usize) -> String {
        administration(self.all[at].postgres)
    }

    /// `kill -9` of all of a node, in no order.
    pub fn kill(&self, at: usize) {
        self.signal(at, Signal::SIGKILL);
    }

    /// Kills all of a node, and takes its disk away.
    pub fn lose(&self, at: usize) {
        self.kill(at);
        fs::remove_dir_all(&self.all[at].folder).expect("the node's folder is gone");
    }

    /// Freezes all of a node, as a machine that is paused.
    pub fn pause(&self, at: usize) {
        self.signal(at, Signal::SIGSTOP);
    }

    pub fn resume(&self, at: usize) {
        for pid in processes(&self.all[at].folder) {
            let _ = kill(pid, Signal::SIGCONT);
        }
    }

    /// Until none is left that runs: those that were born meanwhile are met in the next round.
    fn signal(&self, at: usize, signal: Signal) {
        loop {
            let running: Vec<_> = processes(&self.all[at].folder).into_iter().filter(|pid| runs(*pid)).collect();
            if running.is_empty() {
                return;
            }
            for pid in running {
                let _ = kill(pid, signal);
            }
        }
    }

    /// Has Patroni make another node the primary.
    pub async fn switch_over(&self, at: usize) {
        let Node { name, patroni, .. } = &self.all[at];
        let call = self.client.post(format!("http://{patroni}/switchover"));
        let call = call.basic_auth("patroni", Some(password("PATRONI_RESTAPI_PASSWORD")));
        let answer = call.body(format!(r#"{{"leader": "{name}"}}"#)).send().await.expect("Patroni answers");
        let (status, said) = (answer.status(), answer.text().await.expect("a text"));
        assert!(status.is_success(), "{status}: {said}");
    }

    /// Whether Patroni says that this node is the primary.
    async fn leads(&self, at: usize) -> bool {
        let call = self.client.get(format!("http://{}/primary", self.all[at].patroni)).timeout(ANSWER);
        call.send().await.is_ok_and(|answer| answer.status() == 200)
    }

    /// The node that is the primary, except for this one.
    pub async fn leader(&self, except: Option<usize>) -> usize {
        let begun = Instant::now();
        loop {
            for at in (0..self.all.len()).filter(|at| Some(*at) != except) {
                if self.leads(at).await {
                    return at;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "no node became the primary: {}", self.logs());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns when there is a primary and two nodes that follow it, one of which has every commit.
    pub async fn in_order(&self) -> usize {
        let begun = Instant::now();
        loop {
            let leader = self.leader(None).await;
            let call = self.client.get(format!("http://{}/cluster", self.all[leader].patroni)).timeout(ANSWER);
            let cluster = match call.send().await {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if is_whole(&serde_json::from_str(&cluster).unwrap_or_default()) {
                return leader;
            }
            assert!(begun.elapsed() < PATIENCE, "it is not whole: {cluster}\n{}", self.logs());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns when HAProxy leads to an instance.
    pub async fn serve(&self) {
        let begun = Instant::now();
        let path = format!("http://{}/2008-08-01/Accounts", self.api);
        while !self.client.get(&path).send().await.is_ok_and(|answer| answer.status() == 401) {
            assert!(begun.elapsed() < PATIENCE, "HAProxy leads to no instance");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The last lines of all logs.
    pub fn logs(&self) -> String {
        let logs = self.all.iter().flat_map(|node| ["patroni.log"].map(|log| node.folder.join(log)));
        let tail = |path: PathBuf| {
            let log = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            format!("{}:\n{}\n", path.display(), lines[lines.len().saturating_sub(300)..].join("\n"))
        };
        logs.map(tail).collect()
    }
}

/// Whether Patroni's view of its cluster is: one leader, one synchronous standby, one more, all of one history.
fn is_whole(cluster: &Value) -> bool {
    let members: Vec<_> = cluster["members"].as_array().into_iter().flatten().collect();
    let has = |role: &str| members.iter().filter(|member| member["role"] == role).count();
    let runs = |member: &&Value| member["state"] == "running" || member["state"] == "streaming";
    let one_history = members.iter().all(|member| member["timeline"] == members[0]["timeline"]);
    [has("leader"), has("sync_standby"), has("replica")] == [1, 1, 1] && members.iter().all(runs) && one_history
}

fn administration(address: SocketAddr) -> String {
    format!("postgres://postgres:{}@{address}/postgres", password("PATRONI_SUPERUSER_PASSWORD"))
}

/// A copy of a file, which may be out of the reach of the server's user.
fn copied(folder: &Path, name: &str) -> String {
    make_folder(folder);
    let copy = folder.join(name);
    fs::copy(file(name), &copy).expect("a copy");
    copy.display().to_string()
}

fn make_folder(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    if let Some(user) = server_user() {
        chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("the server's folder");
    }
}

/// As whom all runs if we are root: PostgreSQL refuses to.
fn server_user() -> Option<User> {
    let known = |name| User::from_name(name).ok().flatten();
    let user = || ["postgres", "nobody"].into_iter().find_map(known).expect("a user who is not root");
    Uid::effective().is_root().then(user)
}

/// Starts a program of a node. Its working folder is the mark by which it is found again.
fn start(program: &str, arguments: &[String], folder: &Path, environment: Environment) -> Child {
    make_folder(folder);
    let log = File::options().create(true).append(true).open(folder.join(format!("{program}.log"))).expect("a log");
    let mut command = Command::new(program);
    command.args(arguments).envs(environment).env("HOME", folder).current_dir(folder);
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path).stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
    if let Some(user) = server_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; ./dev drill --failover installs it"))
}

/// What `etcdctl member …` says on a node.
async fn etcdctl(node: &Node, arguments: &[&str]) -> String {
    let mut command = Command::new("etcdctl");
    command.arg(format!("--endpoints=http://{}", node.etcd)).arg("member").args(arguments);
    let output = command.output().await.expect("etcdctl; ./dev drill --failover installs it");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("a text")
}

/// The processes whose working folder is this one, or below.
fn processes(folder: &Path) -> Vec<Pid> {
    let all = fs::read_dir("/proc").expect("a /proc").flatten();
    let pids = all.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let here = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    pids.filter(here).map(Pid::from_raw).collect()
}

/// Whether a process is neither stopped nor dead.
fn runs(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"TtZX".contains(state))
}

#[test]
fn the_drill_runs_the_files_of_the_paper_with_addresses_and_folders_of_its_own() {
    let nodes = Nodes::new(Path::new("/nowhere"));
    nodes.all.iter().for_each(|node| nodes.of_node(node).iter().for_each(|environment| assert!(environment.len() > 5)));
    let haproxy = nodes.of_haproxy([free_address(), free_address()]);
    let settings = text("haproxy.cfg");
    for (name, _) in haproxy {
        assert!(settings.contains(&format!("\"${{{name}}}\"")), "haproxy.cfg does not use {name}");
    }
    assert!(text("database.sql").contains("numberbank login password 'change-me-4'"));
}
