//! Twilio's SDKs against a server: `tests/sdk/`, each with the version of its SDK that is named here.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use numberbank::callbacks::{Allowed, Ask, Callbacks, Cookies, Policy};
use numberbank::values::clock::Clock;
use numberbank::values::text::Method::{Get, Post};

use crate::home::{Home, Running};

/// With what runs the suites of docs/staging.
pub const PYTHON: &[&str] = &["twilio==9.13.0", "pytest==9.2.0", "pytest-xdist==3.8.0"];
pub const NODE: &[&str] = &["twilio@6.2.0", "jest@30.5.2"];
/// Of 2016. It sends credentials only after a 401 has asked for them.
const OLD_PYTHON: &[&str] = &["twilio==5.7.0"];
/// Of 2019. It sends forms as multipart/form-data.
const OLD_NODE: &[&str] = &["twilio@3.30.0"];

/// Where the SDKs are installed; they stay from run to run.
fn folder(of: &[&str]) -> PathBuf {
    let name = format!("sdk-{}", of.join("-")).replace("==", "-").replace('@', "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Tests that need the same SDK install it once.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Whether a command ends well. What it says is shown only where it does not.
fn goes_well(command: &mut Command) -> bool {
    match command.output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(_) => false,
    }
}

/// Python with its SDK. `None` where there is no Python, or nothing can be downloaded: the test says so and is skipped.
pub fn python(sdk: &[&str]) -> Option<PathBuf> {
    let _one = INSTALLING.lock();
    let folder = folder(sdk);
    let (python, done) = (folder.join("bin/python"), folder.join("installed"));
    let install = || {
        goes_well(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            && goes_well(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(sdk))
            && fs::write(&done, "").is_ok()
    };
    let is_there = done.exists() || install();
    if !is_there {
        eprintln!("\n*** SKIPPED: there is no python3, or {sdk:?} cannot be installed ***\n");
    }
    is_there.then_some(python)
}

/// The folder of Node's modules; `None` likewise.
pub fn node_modules(sdk: &[&str]) -> Option<PathBuf> {
    let _one = INSTALLING.lock();
    let folder = folder(sdk);
    let done = folder.join("installed");
    let install = || {
        fs::create_dir_all(&folder).is_ok()
            && goes_well(
                Command::new("npm").args(["install", "--silent", "--no-save", "--prefix"]).arg(&folder).args(sdk),
            )
            && fs::write(&done, "").is_ok()
    };
    let is_there = done.exists() || install();
    if !is_there {
        eprintln!("\n*** SKIPPED: there is no npm, or {sdk:?} cannot be installed ***\n");
    }
    is_there.then(|| folder.join("node_modules"))
}

/// A server with 81 numbers on sale, and an account with 120 local numbers and 3 toll-free ones.
struct Scene {
    _home: Home,
    server: Running,
    sid: String,
    token: String,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
        let created = home.json(&["account", "create", "--name", "Acme", "--balance", "500.00"]);
        let text = |name: &str| created[name].as_str().expect("a text").to_owned();
        let (sid, token) = (text("sid"), text("auth_token"));
        home.json(&["inventory", "add", "4158670000-4158670119", "8005550000-8005550002"]);
        let path = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers");
        for index in 0..123 {
            let kind = if index < 120 { "Local" } else { "TollFree" };
            let form = if index == 0 { "FriendlyName=a+b" } else { "Url=http://example.com/" };
            let answer = server.call("POST", &format!("{path}/{kind}"), [&sid, &token], form);
            assert_eq!(answer.0, 201, "{answer:?}");
        }
        // On sale: 212-FLOWERS and others.
        home.json(&["inventory", "add", "4158680000-4158680039", "2123569377", "8005550100-8005550139"]);
        Self { _home: home, server, sid, token }
    }

    #[track_caller]
    fn run(&self, command: &mut Command) {
        let environment = [("SITE", self.server.site()), ("SID", self.sid.clone()), ("TOKEN", self.token.clone())];
        // These would send the requests elsewhere.
        let command = command.env_remove("TWILIO_EDGE").env_remove("TWILIO_REGION");
        let output = command.envs(environment).env("BALANCE", "374.00").output().expect("it runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out == "ok\n", "{out}\n{err}");
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name)
}

fn run_python(sdk: &[&str], name: &str) {
    if let Some(python) = python(sdk) {
        Scene::new().run(Command::new(python).arg(script(name)));
    }
}

fn run_node(sdk: &[&str], name: &str) {
    if let Some(modules) = node_modules(sdk) {
        Scene::new().run(Command::new("node").arg(script(name)).env("NODE_PATH", modules));
    }
}

#[test]
fn the_sdk_for_python_does_all_that_it_must() {
    run_python(PYTHON, "python.py");
}

#[test]
fn the_sdk_for_node_does_all_that_it_must() {
    run_node(NODE, "node.js");
}

#[test]
fn an_old_sdk_for_python_does_too() {
    run_python(OLD_PYTHON, "old_python.py");
}

#[test]
fn an_old_sdk_for_node_does_too() {
    run_node(OLD_NODE, "node.js");
}

/// A program that judges signatures, and its URL.
struct Program {
    process: Child,
    site: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    fn start(command: &mut Command, scheme: &str) -> Self {
        let mut process = command.env("TOKEN", "12345").stdout(Stdio::piped()).spawn().expect("it runs");
        let mut port = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut port).expect("a port");
        Self { process, site: format!("{scheme}://localhost:{}", port.trim()) }
    }
}

/// Sends callbacks of all kinds to a program, which answers 200 to those that its SDK finds well signed.
async fn assert_accepted(command: impl Fn() -> Command) {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
    fs::write(&certificate, pair.cert.pem()).expect("a file");
    fs::write(&key, pair.signing_key.serialize_pem()).expect("a file");
    let plain = Program::start(&mut command(), "http");
    let secure = Program::start(command().env("CERTIFICATE", certificate).env("KEY", key), "https");

    let policy = Policy::new(vec![Allowed::Loopback], Vec::new());
    let callbacks = Callbacks::new(policy, Some(pair.cert.pem().as_bytes())).expect("a certificate");
    let parameters =
        [("To", "+18005551212"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234"), ("Body", "ü +&=%\n'")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for site in [&plain.site, &secure.site] {
        for rest in ["/", "/voice?x=1&y=a%20b", "/a%2Fb/../c;d?q='(~)!*&empty=&", "/ü?ü#rt=9000", "/private/x?y"] {
            let url = format!("{}{rest}", site.replace("://", "://me:se%40cret@"));
            for method in [Get, Post] {
                for (token, expected) in [("12345", 200), ("54321", 403)] {
                    let ask = Ask { method, url: &url, parameters: &parameters, token };
                    let delivery = callbacks.send(&ask, &mut Cookies::new(), Clock::System.now()).await;
                    assert_eq!(delivery.status, Some(expected), "{delivery:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_sdk_for_python_accepts_signatures_of_callbacks() {
    let Some(python) = python(PYTHON) else { return };
    let program = || {
        let mut command = Command::new(&python);
        command.arg(script("callbacks.py"));
        command
    };
    assert_accepted(program).await;
}

#[tokio::test]
async fn the_sdk_for_node_accepts_signatures_of_callbacks() {
    let Some(modules) = node_modules(NODE) else { return };
    let program = || {
        let mut command = Command::new("node");
        command.arg(script("callbacks.js")).env("NODE_PATH", &modules);
        command
    };
    assert_accepted(program).await;
}
