//! Faults on demand, test numbers, the log and the warnings of worlds.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use numberbank::api::{v2008, v2010};
use serde_json::{Value, json};

use crate::home::{Home, Ran, Running, program};
use crate::staging::{ACCOUNT, CONTROL, TOKEN, start};

const BUY: &str = "/2010-04-01/Accounts/AC00000000000000000000000000000001/IncomingPhoneNumbers.json";

fn seed() -> Value {
    json!({
        "seed": 42, "clock": { "at": "2026-01-31T12:00:00Z", "stand": true },
        "stock": ["4158670000-4158670009", "2125550100-2125550104"],
        "accounts": [{ "sid": ACCOUNT, "auth_token": TOKEN, "balance": "95.00" }],
    })
}

fn world(home: &Home, seed: &Value) -> Running {
    start(home, &["--seed", &home.file("seed.json", &seed.to_string())])
}

/// An answer as it is on the wire: head and body, and how the connection ended.
struct Wire {
    text: String,
    end: Option<ErrorKind>,
}

impl Wire {
    fn status(&self) -> &str {
        self.text.split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(sent, _)| sent.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

fn send(world: &Running, method: &str, path: &str, headers: &str, form: &str) -> Wire {
    let credentials = STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
    let mut stream = TcpStream::connect(world.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let length = form.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: world\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n{headers}\
        Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    )
    .expect("it is sent");
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    Wire { text: String::from_utf8_lossy(&bytes).into_owned(), end }
}

/// Adds a fault, by the credentials of the account.
fn add(world: &Running, fault: &Value) -> Value {
    let added = send(world, "POST", "/staging/faults", "", &fault.to_string());
    assert_eq!(added.status(), "201", "{}", added.text);
    serde_json::from_str(added.body()).expect("JSON")
}

fn get(world: &Running, path: &str) -> Value {
    let (status, body) = world.control("GET", path, "control", "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn balance(world: &Running) -> String {
    let account = send(world, "GET", &format!("/2010-04-01/Accounts/{ACCOUNT}/Balance.json"), "", "");
    let account: Value = serde_json::from_str(account.body()).expect("JSON");
    account["balance"].as_str().expect("a balance").to_owned()
}

fn buy(world: &Running, form: &str) -> (String, Value) {
    let bought = send(world, "POST", BUY, "", form);
    (bought.status().to_owned(), serde_json::from_str(bought.body()).unwrap_or_default())
}

/// Every route of the API with each of its methods, and a path of it.
fn requests() -> Vec<(String, String, &'static str)> {
    let trees = [(v2008::TREE, v2008::ROUTES), (v2010::TREE, v2010::ROUTES)];
    let routes =
        trees.into_iter().flat_map(|(tree, routes)| routes.iter().map(move |(path, methods)| (tree, *path, *methods)));
    let of_route = |(tree, path, methods): (&str, &str, &'static [&'static str])| {
        let concrete = path.replace("{AccountSid}", ACCOUNT).replace("{Sid}", "PN00000000000000000000000000000009");
        let (route, path) = (format!("{tree}{path}"), format!("{tree}{concrete}"));
        methods.iter().map(move |method| (route.clone(), path.clone(), *method)).collect::<Vec<_>>()
    };
    routes.flat_map(of_route).collect()
}

#[test]
fn a_fault_of_every_kind_strikes_on_every_route() {
    let home = Home::new();
    let world = world(&home, &seed());
    let requests = requests();
    assert!(requests.len() > 30, "{requests:?}");
    for (route, path, method) in requests {
        let met = |effect: Value| {
            let fault = add(&world, &json!({ "on": { "method": method, "route": route }, "do": effect }));
            let answer = send(&world, method, &path, "", "");
            let place = format!("{method} {route} {effect}: {}", answer.text);
            if effect.get("cut").is_none() {
                assert_eq!(answer.header("Numberbank-Fault"), fault["id"].as_str(), "{place}");
            }
            (answer, place)
        };
        let whole = send(&world, method, &path, "", "");
        let (refused, place) = met(json!({ "status": 503, "retry_after": 2 }));
        assert_eq!((refused.status(), refused.header("Retry-After")), ("503", Some("2")), "{place}");
        assert!(refused.body().contains("20503"), "{place}");
        let (refused, place) = met(json!({ "status": 429 }));
        assert!(refused.status() == "429" && refused.body().contains("20429"), "{place}");
        let (refused, place) = met(json!({ "status": 418, "code": 4711, "when": "after" }));
        assert!(refused.status() == "418" && refused.body().contains("4711"), "{place}");
        for stage in ["before", "after"] {
            let (cut, place) = met(json!({ "cut": stage }));
            assert_eq!((cut.text.as_str(), cut.end), ("", Some(ErrorKind::ConnectionReset)), "{place}");
        }
        let (half, place) = met(json!({ "body": "truncated" }));
        let length: usize = half.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or_default();
        assert_eq!((half.status(), half.body().len()), ("200", length / 2), "{place}");
        assert!(length > 0 && length.abs_diff(whole.body().len()) < 100 || method == "DELETE", "{place}");
        let (garbage, place) = met(json!({ "body": "garbage" }));
        assert!(garbage.status() == "200" && !garbage.body().is_empty(), "{place}");
        assert!(serde_json::from_str::<Value>(garbage.body()).is_err() && !garbage.body().starts_with('<'), "{place}");
        let (empty, place) = met(json!({ "body": "empty" }));
        assert_eq!((empty.status(), empty.header("Content-Length"), empty.body()), ("200", Some("0"), ""), "{place}");
        let (page, place) = met(json!({ "body": "html" }));
        assert_eq!((page.status(), page.header("Content-Type")), ("200", Some("text/html; charset=utf-8")), "{place}");
        assert!(page.body().contains("502 Bad Gateway"), "{place}");
        let begun = Instant::now();
        let (late, place) = met(json!({ "delay_ms": 30 }));
        assert!(begun.elapsed() >= Duration::from_millis(30) && !late.text.is_empty(), "{place}");
    }
    assert_eq!(world.control("DELETE", "/faults", "control", "").0, 200);
    assert_eq!(get(&world, "/faults")["faults"], json!([]));
}

#[test]
fn an_answer_that_is_lost_after_the_commit_buys_once() {
    let home = Home::new();
    let file = home.file("seed.json", &seed().to_string());
    let world = start(&home, &["--name", "lost", "--seed", &file]);
    let key = "Idempotency-Key: order-1\r\n";
    let fault = add(
        &world,
        &json!({ "on": { "method": "POST", "route": "…/IncomingPhoneNumbers" }, "do": { "cut": "after" } }),
    );
    assert_eq!(fault["left"], 1);
    let lost = send(&world, "POST", BUY, key, "AreaCode=415");
    assert_eq!((lost.text.as_str(), lost.end), ("", Some(ErrorKind::ConnectionReset)));
    let again = send(&world, "POST", BUY, key, "AreaCode=415");
    assert_eq!((again.status(), again.header("Idempotent-Replayed")), ("201", Some("true")), "{}", again.text);
    assert_eq!(balance(&world), "94.00");
    let shown = get(&world, "/faults/F1");
    assert_eq!((&shown["hits"], &shown["left"]), (&json!(1), &json!(0)));
    let entry = get(&world, "/log?kind=request")["entries"][0].clone();
    assert_eq!((&entry["fault"], &entry["request_id"]), (&json!("F1"), &shown["last_request_id"]), "{entry}");
    // Without a key, a client that tries again buys again; before the work, nothing is done.
    add(&world, &json!({ "on": { "method": "POST" }, "do": { "status": 500, "when": "after" }, "skip": 1 }));
    add(&world, &json!({ "on": { "method": "POST" }, "do": { "cut": "before" } }));
    assert_eq!(send(&world, "POST", BUY, "", "AreaCode=415").text, "");
    assert_eq!(balance(&world), "94.00");
    assert_eq!(send(&world, "POST", BUY, "", "AreaCode=415").status(), "500");
    assert_eq!(balance(&world), "93.00");
    home.run(&["audit", "--world", "lost"]).done();
}

#[test]
fn an_area_code_that_is_emptied_is_sold_out_for_all_who_look() {
    let home = Home::new();
    let file = home.file("seed.json", &seed().to_string());
    let world = start(&home, &["--name", "empty", "--seed", &file]);
    let found = || {
        let path = format!("/2010-04-01/Accounts/{ACCOUNT}/AvailablePhoneNumbers/US/Local.json?AreaCode=415");
        let found: Value = serde_json::from_str(send(&world, "GET", &path, "", "").body()).expect("JSON");
        found["available_phone_numbers"].as_array().expect("a list").len()
    };
    let withdrawn = || {
        let list = ["inventory", "list", "--state", "withdrawn", "--world", "empty"];
        home.json(&list).as_array().map_or(0, Vec::len)
    };
    assert_eq!(found(), 10);
    let fault = add(&world, &json!({ "do": { "empty": "415" } }));
    assert_eq!((found(), withdrawn()), (0, 10));
    let (status, refused) = buy(&world, "AreaCode=415");
    assert_eq!((status.as_str(), &refused["code"]), ("400", &json!(21452)));
    assert_eq!(buy(&world, "AreaCode=212").0, "201");
    // Also in a snapshot, and after a reset to it, nothing stays withdrawn: faults do not come back.
    assert_eq!(world.control("POST", "/snapshots", "control", r#"{"name":"emptied"}"#).0, 201);
    let id = fault["id"].as_str().expect("an id");
    assert_eq!(get(&world, &format!("/faults/{id}"))["hits"], 2, "a search and a purchase have met it");
    assert_eq!(
        world.control("DELETE", &format!("/faults/{id}"), "control", ""),
        (200, "{\"cleared\":[\"F1\"]}\n".to_owned())
    );
    assert_eq!((found(), withdrawn()), (10, 0));
    for snapshot in ["emptied", "seed"] {
        let to = json!({ "to": snapshot }).to_string();
        assert_eq!(world.control("POST", "/reset", "control", &to).0, 200, "{}", world.err());
        assert_eq!((found(), withdrawn()), (10, 0), "{snapshot}");
        home.run(&["audit", "--world", "empty"]).done();
    }
    // Nor after its process was killed.
    add(&world, &json!({ "do": { "empty": "415" } }));
    drop(world);
    let world = start(&home, &["--name", "empty"]);
    assert_eq!(withdrawn(), 0);
    assert_eq!(buy(&world, "AreaCode=415").0, "201");
}

#[test]
fn twilio_s_test_numbers_are_there_unless_the_seed_says_not() {
    let home = Home::new();
    let world = world(&home, &seed());
    for (form, status, code) in [
        ("AreaCode=533", "400", 21452),
        ("PhoneNumber=%2B15005550000", "400", 21422),
        ("PhoneNumber=%2B15005550001", "400", 21421),
        ("PhoneNumber=%2B15005561000", "400", 21421),
    ] {
        let (told, refused) = buy(&world, form);
        assert_eq!((told.as_str(), &refused["code"]), (status, &json!(code)), "{form}: {refused}");
    }
    let bought = |form| buy(&world, form).1["phone_number"].clone();
    assert_eq!(bought("PhoneNumber=%2B15005550006"), "+15005550006");
    assert_eq!([bought("AreaCode=500"), bought("AreaCode=500")], ["+15005550002", "+15005550003"]);
    let old = format!("/2008-08-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers/Local");
    let of_old = |form| send(&world, "POST", &old, "", form);
    assert!(of_old("AreaCode=533").body().contains("<Code>21452</Code>"));
    assert!(of_old("AreaCode=500").body().contains("<PhoneNumber>5005550004</PhoneNumber>"));
    // Nobody who does not ask for one gets one.
    for _ in 0..15 {
        assert_eq!(of_old("").status(), "201");
    }
    assert!(of_old("").body().contains("<Code>21452</Code>"));

    // Nor does a request that buys nothing put one on sale.
    let credentials = STANDARD.encode(format!("{ACCOUNT}:wrong"));
    let mut stream = TcpStream::connect(world.address()).expect("a connection");
    write!(stream, "POST {old} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\nContent-Length: 12\r\n\r\nAreaCode=500").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("401"), "{answer}");
    let replayed = "Idempotency-Key: once\r\n";
    for _ in 0..2 {
        assert_eq!(send(&world, "POST", &old, replayed, "AreaCode=500").status(), "201");
    }
    assert!(of_old("").body().contains("<Code>21452</Code>"));

    // Nor does one that was given back, when its quarantine has ended, nor a reset to a snapshot of that.
    let list: Value = serde_json::from_str(send(&world, "GET", BUY, "", "").body()).expect("JSON");
    let all = list["incoming_phone_numbers"].as_array().expect("a list");
    let test = all.iter().find(|number| number["phone_number"] == "+15005550006").expect("it");
    let path = format!("{}/{}.json", BUY.trim_end_matches(".json"), test["sid"].as_str().expect("a Sid"));
    assert_eq!(send(&world, "DELETE", &path, "", "").status(), "204");
    assert_eq!(world.control("POST", "/clock", "control", r#"{"advance":"P60D"}"#).0, 200);
    assert_eq!(world.control("POST", "/snapshots", "control", r#"{"name":"later"}"#).0, 201);
    assert_eq!(world.control("POST", "/reset", "control", r#"{"to":"later"}"#).0, 200);
    assert!(of_old("").body().contains("<Code>21452</Code>"));
    assert_eq!(bought("PhoneNumber=%2B15005550006"), "+15005550006");

    let mut plain = seed();
    plain["magic"] = json!(false);
    let plain = self::world(&home, &plain);
    for (form, code) in [("AreaCode=500", 21451), ("AreaCode=533", 21451), ("PhoneNumber=%2B15005550006", 21421)] {
        assert_eq!(buy(&plain, form).1["code"], json!(code), "{form}");
    }
}

#[test]
fn the_log_tells_what_was_asked_and_what_money_moved() {
    let home = Home::new();
    let world = world(&home, &seed());
    assert_eq!(buy(&world, "AreaCode=415&FriendlyName=Sales&FriendlyNmae=Oops").0, "201");
    let replay = "Idempotency-Key: k\r\n";
    for _ in 0..2 {
        assert_eq!(send(&world, "POST", BUY, replay, "AreaCode=212").status(), "201");
    }
    assert_eq!(send(&world, "GET", &format!("{BUY}?PhoneNumer=415"), "", "").status(), "200");
    assert_eq!(send(&world, "GET", "/2010-04-01/Acounts", "", "").status(), "404");
    let log = get(&world, "/log");
    let entries = log["entries"].as_array().expect("entries");
    let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["money", "request", "money", "request", "request", "request", "request"], "{log:#}");
    let money = &entries[0];
    assert_eq!(
        (&money["entry"], &money["amount"], &money["balance"]),
        (&json!("purchase"), &json!("-1.00"), &json!("94.00"))
    );
    let first = &entries[1];
    assert_eq!(first["parameters"], json!({ "AreaCode": "415", "FriendlyName": "Sales", "FriendlyNmae": "Oops" }));
    assert_eq!((&first["method"], &first["status"], &first["account"]), (&json!("POST"), &json!(201), &json!(ACCOUNT)));
    assert_eq!((&first["unknown"], &first["at"]), (&json!(["FriendlyNmae"]), &json!("2026-01-31T12:00:00.000Z")));
    assert_eq!((&entries[4]["replay"], &entries[6]["status"]), (&json!(true), &json!(404)));
    assert!(!log.to_string().contains(&STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"))), "no credentials");

    let warnings = get(&world, "/world")["warnings"].clone();
    let texts: Vec<_> = warnings
        .as_array()
        .expect("warnings")
        .iter()
        .map(|warning| warning["text"].as_str().expect("a text"))
        .collect();
    let routes = "/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers";
    assert_eq!(
        texts,
        [
            format!("POST {routes}: the parameter FriendlyNmae is ignored").as_str(),
            &format!("POST {routes}: an idempotency key was sent again, and its first answer repeated"),
            &format!("GET {routes}: the parameter PhoneNumer is ignored"),
            "GET /2010-04-01/Acounts: there is no such path",
        ]
    );
    // An advance's entries are dated when they fell due.
    assert_eq!(world.control("POST", "/clock", "control", r#"{"advance":"P1M1D"}"#).0, 200);
    let last = log["last"].as_u64().expect("a number");
    let fees = get(&world, &format!("/log?kind=money&since={last}"));
    assert_eq!(fees["entries"].as_array().expect("entries").len(), 2, "{fees:#}");
    assert_eq!(
        (&fees["entries"][0]["entry"], &fees["entries"][0]["at"]),
        (&json!("monthly_fee"), &json!("2026-02-28T00:00:00.000Z"))
    );
    assert_eq!(get(&world, "/log?kind=clock")["entries"][0]["to"], json!("2026-03-01T12:00:00.000Z"));

    for wrong in ["kind=requests", "wait=61s", "wait=soon", "since=x", "account=AC1", "limit=1"] {
        let (status, refused) = world.control("GET", &format!("/log?{wrong}"), "control", "");
        assert_eq!(status, 400, "{wrong}: {refused}");
    }
    assert_eq!(world.control("DELETE", "/log", "control", "").0, 200);
    assert_eq!(get(&world, "/log")["entries"], json!([]));
    assert_eq!(get(&world, "/world")["warnings"], json!([]));
}

#[test]
fn who_waits_for_the_log_is_woken_and_nobody_waits_for_ever() {
    let home = Home::new();
    let world = world(&home, &seed());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| (get(&world, "/log?kind=request&count=2&wait=20s"), Instant::now()));
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(100));
            balance(&world);
        }
        let asked = Instant::now();
        let (log, woken) = waiting.join().expect("an answer");
        assert_eq!(log["entries"].as_array().expect("entries").len(), 2);
        assert!(woken < asked + Duration::from_secs(5));
    });
    let begun = Instant::now();
    assert_eq!(get(&world, "/log?kind=money&wait=1s")["entries"], json!([]));
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn faults_of_the_seed_are_armed_again_by_a_reset_and_by_the_next_start() {
    let home = Home::new();
    let mut with_fault = seed();
    with_fault["faults"] = json!([{ "on": { "route": "…/Balance" }, "do": { "status": 503 } }]);
    let file = home.file("seed.json", &with_fault.to_string());
    let world = start(&home, &["--name", "faulty", "--seed", &file]);
    let read = |world: &Running| {
        send(world, "GET", &format!("/2008-08-01/Accounts/{ACCOUNT}/Balance"), "", "").status().to_owned()
    };
    assert_eq!([read(&world), read(&world)], ["503", "200"]);
    add(&world, &json!({ "do": { "status": 500 } }));
    assert_eq!(get(&world, "/world")["unspent"], json!(["F2"]));
    // An account of the world may.
    assert_eq!(world.call("POST", "/staging/reset", [ACCOUNT, TOKEN], r#"{"keep_log":true}"#).0, 200);
    assert_eq!(get(&world, "/log?kind=request")["entries"].as_array().expect("entries").len(), 2);
    assert_eq!([read(&world), read(&world)], ["503", "200"]);
    assert_eq!(world.call("POST", "/staging/reset", [ACCOUNT, TOKEN], "").0, 200);
    assert_eq!(get(&world, "/log")["entries"], json!([]));
    drop(world);
    let world = start(&home, &["--name", "faulty"]);
    assert_eq!([read(&world), read(&world)], ["503", "200"]);

    for (fault, place) in [
        (json!({ "do": { "status": 200 } }), "faults[0].do"),
        (json!({ "on": { "route": "…/Locale" }, "do": { "status": 503 } }), "faults[0].on.route"),
    ] {
        let mut wrong = seed();
        wrong["faults"] = json!([fault]);
        let ran = home.run(&["staging", "--seed", &home.file("wrong.json", &wrong.to_string())]);
        assert!(ran.code == Some(1) && ran.err.contains(place), "{ran:?}");
    }
    let (status, refused) =
        world.control("POST", "/faults", "control", r#"{"on":{"route":"/Local"},"do":{"cut":"after"}}"#);
    assert!(status == 400 && refused.contains("…/IncomingPhoneNumbers/{Sid}"), "{refused}");
    for _ in 0..100 {
        add(&world, &json!({ "do": { "delay_ms": 1 } }));
    }
    assert_eq!(world.control("POST", "/faults", "control", r#"{"do":{"delay_ms":1}}"#).0, 400);
}

#[test]
fn commands_show_and_change_faults_and_the_log() {
    let home = Home::new();
    let world = world(&home, &seed());
    let site = world.site();
    let command = |arguments: &[&str]| {
        let mut command = program(&[&["staging"], arguments, &["--url", &site, "--output", "json"]].concat());
        Ran::of(command.envs(CONTROL).output())
    };
    let run = |arguments: &[&str]| command(arguments).done_json();
    assert_eq!(run(&["fault", "--add", r#"{"do":{"status":503}}"#])["id"], "F1");
    assert_eq!(run(&["fault"])["faults"][0]["left"], 1);
    assert_eq!(send(&world, "GET", BUY, "", "").status(), "503");
    assert_eq!(run(&["log", "--kind", "request", "--count", "1", "--wait", "5s"])["entries"][0]["fault"], "F1");
    assert_eq!(run(&["fault", "--clear", "F1"])["cleared"], json!(["F1"]));
    assert_eq!(run(&["fault", "--clear-all"])["cleared"], json!([]));
    assert_eq!(run(&["log", "--clear"])["cleared"], true);
    command(&["fault", "--clear", "../accounts"]).assert_refused("there is no fault");
    command(&["fault", "--clear", "F1", "--clear-all"]).assert_bad_usage();
    command(&["fault", "--add", "{"]).assert_bad_usage();
}
