//! What operators see of a running server: health, metrics and logs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::home::{Home, MONITORED, Running, eventually, fetch, within};

/// An account with this balance: its Sid and token.
fn account(home: &Home, balance: &str) -> [String; 2] {
    let account = home.json(&["account", "create", "--name", "Acme", "--balance", balance]);
    ["sid", "auth_token"].map(|name| account[name].as_str().expect(name).to_owned())
}

fn call(server: &Running, [sid, token]: &[String; 2], method: &str, below: &str, form: &str) -> u16 {
    server.call(method, &format!("/2008-08-01/Accounts/{sid}{below}"), [sid, token], form).0
}

/// The samples of a page of metrics. Fails unless each metric is described before its samples, as Prometheus requires.
pub fn samples(server: &Running) -> BTreeMap<String, f64> {
    let (status, page) = server.monitoring("/metrics");
    assert_eq!(status, 200, "{page}");
    let (mut described, mut samples) = (String::new(), BTreeMap::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            described = rest.split(' ').next().expect("a name").to_owned();
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            assert!(sample.starts_with(&described), "{line}");
            let before = samples.insert(sample.to_owned(), value.parse().expect("a number"));
            assert_eq!(before, None, "twice: {line}");
        }
    }
    samples
}

#[test]
fn metrics_count_what_was_answered() {
    let home = Home::new();
    let server = home.start_as(&MONITORED, &[]);
    let (rich, poor) = (account(&home, "5.00"), account(&home, "0.10"));
    home.json(&["inventory", "add", "4158670000-4158670009", "8005550100-8005550102"]);
    let local = "/IncomingPhoneNumbers/Local";
    assert_eq!(call(&server, &rich, "POST", local, ""), 201);
    assert_eq!(call(&server, &rich, "POST", local, ""), 201);
    assert_eq!(call(&server, &poor, "POST", local, ""), 402);
    assert_eq!(call(&server, &rich, "POST", local, "AreaCode=907"), 400);
    assert_eq!(call(&server, &rich, "GET", ".json", ""), 200);
    assert_eq!(call(&server, &rich, "GET", "/made-up-by-a-client", ""), 404);
    let samples = samples(&server);
    let value = |sample: &str| samples.get(sample).copied().unwrap_or_else(|| panic!("no {sample} in {samples:#?}"));
    let route = "route=\"/2008-08-01/Accounts/{AccountSid}/IncomingPhoneNumbers/Local\",method=\"POST\"";
    for (status, count) in [("201", 2.0), ("402", 1.0), ("400", 1.0)] {
        assert_eq!(value(&format!("numberbank_requests_total{{{route},status=\"{status}\"}}")), count);
    }
    let own = "route=\"/2008-08-01/Accounts/{AccountSid}\",method=\"GET\",status=\"200\"";
    assert_eq!(value(&format!("numberbank_requests_total{{{own}}}")), 1.0);
    assert_eq!(value("numberbank_requests_total{route=\"other\",method=\"GET\",status=\"404\"}"), 1.0);
    for class in ["2xx", "4xx"] {
        let took = |part: &str, more: &str| {
            value(&format!("numberbank_request_duration_seconds_{part}{{{route},status=\"{class}\"{more}}}"))
        };
        assert_eq!((took("count", ""), took("bucket", ",le=\"+Inf\"")), (2.0, 2.0));
        assert!(took("sum", "") > 0.0);
    }
    assert!(!samples.keys().any(|sample| sample.contains("5xx")), "{samples:#?}");
    assert_eq!(value("numberbank_purchases_total{kind=\"local\",outcome=\"made\"}"), 2.0);
    assert_eq!(value("numberbank_purchases_total{kind=\"tollfree\",outcome=\"made\"}"), 0.0);
    assert_eq!(value("numberbank_purchases_refused_total{kind=\"local\",code=\"29001\"}"), 1.0);
    assert_eq!(value("numberbank_purchases_refused_total{kind=\"local\",code=\"21452\"}"), 1.0);
    assert_eq!(value("numberbank_stock{kind=\"local\",state=\"available\"}"), 8.0);
    assert_eq!(value("numberbank_stock{kind=\"local\",state=\"in_use\"}"), 2.0);
    assert_eq!(value("numberbank_stock{kind=\"tollfree\",state=\"available\"}"), 3.0);
    assert!(value("numberbank_connections{database=\"primary\",state=\"at_hand\"}") >= 1.0);
    assert_eq!(value("numberbank_connections_waiting{database=\"primary\"}"), 0.0);
    assert!(!samples.keys().any(|sample| sample.contains("replica")), "there is none: {samples:#?}");
    assert_eq!(value("numberbank_verifications{state=\"waiting\"}"), 0.0);
    assert_eq!(value("numberbank_verifications_refused_total"), 0.0);
    assert_eq!(value("numberbank_database_up"), 1.0);
    assert!(!samples.keys().any(|sample| sample.contains("made-up") || sample.contains(&rich[0])), "{samples:#?}");
}

/// Locks the table of tenancies while `done` runs.
fn without_tenancies(home: &Home, done: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut locked = runtime.block_on(PgConnection::connect(&home.url("x"))).expect("a connection");
    let lock = sqlx::raw_sql("begin; lock table tenancies in access exclusive mode");
    runtime.block_on(lock.execute(&mut locked)).expect("a lock");
    done();
    runtime.block_on(locked.close()).expect("the end of the lock");
}

#[test]
fn metrics_tell_what_waits_for_the_batch_under_way() {
    let home = Home::new();
    // One worker, so that all requests for the same work are in one queue.
    let server = home.start_as(&MONITORED, &[("NUMBERBANK_WORKERS", "1")]);
    let rich = account(&home, "500.00");
    home.json(&["inventory", "add", "4158670000-4158670099"]);
    assert_eq!(call(&server, &rich, "GET", "", ""), 200);
    let waiting = |work: &str| samples(&server)[&format!("numberbank_batches_waiting{{work=\"{work}\"}}")];
    let one = format!("/IncomingPhoneNumbers/PN{}", "0".repeat(32));
    for (work, method, below, status) in [
        ("purchase", "POST", "/IncomingPhoneNumbers/Local", 201),
        ("lookup", "GET", one.as_str(), 404),
        ("list", "GET", "/IncomingPhoneNumbers", 200),
        ("update", "POST", one.as_str(), 404),
        ("release", "DELETE", one.as_str(), 404),
    ] {
        assert_eq!(waiting(work), 0.0, "{work}");
        thread::scope(|scope| {
            let mut asked = Vec::new();
            without_tenancies(&home, || {
                eventually("who comes while others are under way waits", || {
                    asked.push(scope.spawn(|| call(&server, &rich, method, below, "")));
                    waiting(work) > 0.0
                });
            });
            assert!(asked.into_iter().all(|asked| asked.join().expect("an answer") == status), "{work}");
        });
        assert_eq!(waiting(work), 0.0, "{work}");
    }
}

#[test]
fn a_replay_is_no_second_purchase() {
    let home = Home::new();
    let server = home.start_as(&MONITORED, &[]);
    let [sid, token] = account(&home, "5.00");
    home.json(&["inventory", "add", "8005550100-8005550102"]);
    for _ in 0..3 {
        let url = format!("{}/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers/TollFree", server.site());
        let call = reqwest::Client::new().post(url).basic_auth(&sid, Some(&token)).header("Idempotency-Key", "one");
        assert_eq!(fetch(call).0, 201);
    }
    let samples = samples(&server);
    assert_eq!(samples["numberbank_purchases_total{kind=\"tollfree\",outcome=\"made\"}"], 1.0);
    assert_eq!(samples["numberbank_purchases_total{kind=\"tollfree\",outcome=\"replayed\"}"], 2.0);
}

/// How long the operators' listener waits for the database.
const A_SECOND: Duration = Duration::from_secs(1);

/// What a machine takes besides.
const BESIDES: Duration = Duration::from_millis(900);

#[test]
fn a_server_is_ready_while_its_database_answers() {
    let home = Home::new();
    let server = home.start_as(&MONITORED, &[]);
    assert_eq!(server.monitoring("/health/ready"), (200, "ready\n".to_owned()));
    assert_eq!(server.monitoring("/elsewhere").0, 404);
    let postgres = home.postgres().expect("PostgreSQL runs").to_string();
    // While all its connections for requests are used.
    let signal = |signal: &str| {
        let children = Command::new("pkill").args([signal, "-P", &postgres]).status().expect("pkill");
        let parent = Command::new("kill").args([signal, &postgres]).status().expect("kill");
        assert!(children.success() && parent.success());
    };
    within(A_SECOND + BESIDES, "to tell that the database does not answer", || {
        signal("-STOP");
        let [ready, live, metrics] = ["/health/ready", "/health/live", "/metrics"].map(|path| {
            let begun = Instant::now();
            (server.monitoring(path), begun.elapsed())
        });
        signal("-CONT");
        let ((status, reason), (alive, up)) = (ready.0, (live.0.0, metrics.0.1));
        assert_eq!((status, alive), (503, 200), "{reason}");
        assert!(reason.contains("does not answer"), "{reason}");
        assert!(up.contains("numberbank_requests_total"), "{up}");
        eventually("it is ready again", || server.monitoring("/health/ready").0 == 200);
        ready.1.max(live.1).max(metrics.1)
    });
}

#[test]
fn a_server_is_ready_where_its_database_makes_no_more_connections() {
    let home = Home::new();
    let server = home.start_as(&MONITORED, &[("NUMBERBANK_WORKERS", "1")]);
    let rich = account(&home, "5.00");
    assert_eq!((call(&server, &rich, "GET", "", ""), server.monitoring("/health/ready").0), (200, 200));
    // As if others had taken the last connection of the server. Open connections still work.
    home.sql("alter role numberbank nologin").expect("it is done");
    assert_eq!((call(&server, &rich, "GET", "", ""), server.monitoring("/health/ready").0), (200, 200));
}

#[test]
fn health_checks_write_once_a_second_at_most() {
    let home = Home::new();
    let server = home.start_as(&MONITORED, &[]);
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(server.monitoring("/health/ready").0, 200);
    }
    let most = (begun.elapsed().as_secs() + 1).min(40);
    home.sql(&format!("do $$ begin assert (select writes between 1 and {most} from health); end $$"))
        .expect("few writes");
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let home = Home::new();
    let mut server = home.start_as(&MONITORED, &[]);
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    // A request that is under way while its body is awaited.
    let [sid, token] = account(&home, "5.00");
    assert_eq!(call(&server, &[sid.clone(), token.clone()], "GET", "", ""), 200);
    let head = format!(
        "POST /2008-08-01/Accounts/{sid} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {}\r\n\
         Content-Length: 18\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        server.address(),
        STANDARD.encode(format!("{sid}:{token}"))
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.read_exact(&mut [0; 25]).expect("the server has read the head");
    server.signal(Signal::SIGTERM);
    eventually("it is not ready", || {
        server.monitoring("/health/ready") == (503, "the service is stopping\n".to_owned())
    });
    assert_eq!(server.monitoring("/health/live").0, 200);
    stream.write_all(b"FriendlyName=Ended").expect("the rest is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.ended(), Some(0), "{}", server.err());
}

#[test]
fn operators_are_served_on_this_machine_only() {
    let home = Home::new();
    for address in ["0.0.0.0:9008", "192.0.2.1:9008", "9008"] {
        home.run(&["serve", "--admin-bind", address]).assert_bad_usage();
    }
    let server = home.start("serve", &[]);
    assert!(!server.out().contains("operations"), "{}", server.out());
    home.run(&["serve", "--bind", "127.0.0.1:0", "--admin-bind", &server.address()]).assert_refused(&server.address());
}

#[test]
fn logs_are_json_and_tell_the_request_and_none_of_its_secrets() {
    let home = Home::new();
    let environment = [("NUMBERBANK_LOG_FORMAT", "json"), ("RUST_LOG", "trace")];
    let server = home.start("serve", &environment);
    let [sid, token] = account(&home, "5.00");
    home.json(&["inventory", "add", "4158670000-4158670009"]);
    let form = "Url=http%3A%2F%2Fexample.com%2Fcall%3Fkey%3Dquery-secret&FriendlyName=Support";
    let path = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers/Local");
    let send = |method: &str, query: &str| {
        let call = reqwest::Client::new().request(method.parse().expect("a method"), server.site() + &path + query);
        let call = call.basic_auth(&sid, Some(&token)).header("X-Request-Id", "from-the-test");
        fetch(call.body(form.to_owned()))
    };
    assert_eq!(send("POST", "").0, 201);
    assert_eq!(send("GET", "?FriendlyName=query-secret").0, 200);
    // An internal error, with PostgreSQL's message.
    home.sql("alter table tenancies rename to elsewhere").expect("it is done");
    assert_eq!(send("POST", "").0, 500);
    let log = server.err();
    // The last line may be incomplete.
    let log = &log[..=log.rfind('\n').expect("a line")];
    for secret in ["query-secret", &token, &STANDARD.encode(format!("{sid}:{token}"))] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of_request: Vec<_> = lines.iter().filter(|line| line["request_id"] == "from-the-test").collect();
    assert_eq!(of_request.iter().map(|line| line["status"].as_u64()).collect::<Vec<_>>(), [201, 200, 500].map(Some));
    let failed = of_request.last().expect("a line");
    assert_eq!((failed["level"].as_str(), failed["method"].as_str()), (Some("ERROR"), Some("POST")));
    let route = "/2008-08-01/Accounts/{AccountSid}/IncomingPhoneNumbers/Local";
    assert_eq!(failed["route"], route);
    assert!(failed["duration_us"].is_u64() && failed["cause"].is_string(), "{failed}");
    // At debug, each statement logs its time, and so does each request, with its id. So the log shows which statement
    // was slow.
    let closed = |name: &'static str| {
        lines.iter().filter(move |line| line["message"] == "close" && line["span"]["name"] == name)
    };
    assert_eq!(closed("request").filter(|line| line["span"]["id"] == "from-the-test").count(), 3);
    for statement in ["purchases.buy", "accounts.stored_token", "numbers.lists.named.list"] {
        assert!(closed(statement).any(|line| line["time.busy"].is_string()), "{statement}");
    }
}
