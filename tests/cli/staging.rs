//! Worlds to test against: what they begin with, that they are the same on every run, and the way back.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use numberbank::db;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};

use crate::home::{Home, Ran, Running, eventually, program, within};

pub const ACCOUNT: &str = "AC00000000000000000000000000000001";
pub const TOKEN: &str = "t";

/// The control token of the tests' worlds.
pub const CONTROL: [(&str, &str); 1] = [("NUMBERBANK_STAGING_TOKEN", "control")];

fn seed(choice: &str, number: i64) -> Value {
    json!({
        "seed": number, "choice": choice, "clock": { "at": "2026-01-31T12:00:00Z", "stand": true },
        "prices": { "local": "1.00", "tollfree": "2.00" },
        "stock": ["4158670000-4158670019", "2125550100-2125550109", "8668675300-8668675304"],
        "accounts": [{
            "sid": ACCOUNT, "auth_token": TOKEN, "name": "Acme", "balance": "25.00", "prices": { "tollfree": "1.50" },
            "numbers": [{ "phone_number": "(415) 867-5309", "url": "http://app:3000/voice", "friendly_name": "Main" }],
        }],
    })
}

pub fn start(home: &Home, arguments: &[&str]) -> Running {
    home.start_as(&[&["staging", "--bind", "127.0.0.1:0"], arguments].concat(), &CONTROL)
}

/// A world of this seed, of which nothing stays.
fn world(home: &Home, seed: &Value) -> Running {
    start(home, &["--seed", &home.file("seed.json", &seed.to_string())])
}

/// The world's name that it announces.
fn database(world: &Running) -> String {
    let out = world.out();
    out.lines().find_map(|line| line.strip_prefix("world ")).expect("its name").to_owned()
}

/// The URL of a database of worlds.
pub fn url(home: &Home, database: &str) -> String {
    let folder = home.data_dir().join("staging/pg").display().to_string().replace('/', "%2F");
    format!("postgres://numberbank@{folder}:5432/{database}?sslmode=disable")
}

/// The texts of a query's first column.
pub fn texts(url: &str, statement: &str) -> sqlx::Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = db::for_command(&db::options(url).expect("a URL"));
        let rows = sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&db).await;
        db.close().await;
        rows?.iter().map(|row| row.try_get(0)).collect()
    })
}

/// The databases of worlds that there are.
fn databases(url: &str) -> Vec<String> {
    texts(url, "select datname::text from pg_database where datname like 'nbworld%' order by 1").expect("databases")
}

fn buy(world: &Running, form: &str) -> (u16, Value) {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json");
    let (status, body) = world.call("POST", &path, [ACCOUNT, TOKEN], form);
    (status, serde_json::from_str(&body).expect("JSON"))
}

fn numbers_bought(world: &Running, count: usize, form: &str) -> Vec<String> {
    let bought = (0..count).map(|_| buy(world, form));
    bought
        .map(|(status, number)| {
            assert_eq!(status, 201, "{number}");
            number["phone_number"].as_str().expect("a number").to_owned()
        })
        .collect()
}

/// What a client does, and each answer to it, without what is never the same.
fn session(world: &Running) -> Vec<String> {
    let (old, new) = (format!("/2008-08-01/Accounts/{ACCOUNT}"), format!("/2010-04-01/Accounts/{ACCOUNT}"));
    let answers = std::cell::RefCell::new(Vec::new());
    let call = |method: &str, path: &str, form: &str| {
        let (status, body) = world.call(method, path, [ACCOUNT, TOKEN], form);
        let body = body.replace(&world.site(), "http://world");
        answers.borrow_mut().push(format!("{method} {path} {form}: {status} {body}"));
        body
    };
    call("GET", &format!("{new}/AvailablePhoneNumbers/US/Local.json?PageSize=3"), "");
    call("GET", &format!("{new}/AvailablePhoneNumbers/US/Local.json?Contains=867***1"), "");
    call("POST", &format!("{old}/IncomingPhoneNumbers/Local"), "");
    call("POST", &format!("{old}/IncomingPhoneNumbers/Local"), "AreaCode=415&FriendlyName=Sales&Url=http://app/sales");
    call("POST", &format!("{old}/IncomingPhoneNumbers/TollFree"), "");
    call("POST", &format!("{old}/IncomingPhoneNumbers/Local"), "AreaCode=907");
    call("POST", &format!("{new}/IncomingPhoneNumbers.json"), "PhoneNumber=%2B14158670015");
    let bought = call("POST", &format!("{new}/IncomingPhoneNumbers.json"), "AreaCode=212");
    let bought: Value = serde_json::from_str(&bought).expect("JSON");
    let one = format!("IncomingPhoneNumbers/{}", bought["sid"].as_str().expect("a Sid"));
    call("POST", &format!("{old}/{one}"), "FriendlyName=Changed");
    for ending in ["", ".json", ".csv"] {
        call("GET", &format!("{old}/{one}{ending}"), "");
        call("GET", &format!("{old}/IncomingPhoneNumbers{ending}?num=3"), "");
    }
    call("GET", &format!("{new}/IncomingPhoneNumbers.json?PageSize=2"), "");
    call("GET", &format!("{new}.json"), "");
    call("DELETE", &format!("{old}/{one}"), "");
    call("POST", &format!("{new}/IncomingPhoneNumbers.json"), "AreaCode=212");
    call("GET", &format!("{old}/Balance"), "");
    answers.into_inner()
}

#[test]
fn worlds_of_one_seed_give_the_same_bytes_and_so_does_a_reset() {
    let home = Home::new();
    let (one, two) = (world(&home, &seed("lowest", 42)), world(&home, &seed("lowest", 42)));
    let first = session(&one);
    assert_eq!(first, session(&two));
    for sold in ["2125550100", "4158670000", "8668675300", "+14158670015", "+12125550101"] {
        assert!(first.iter().any(|answer| answer.contains(sold)), "the lowest are sold first: {sold} in {first:#?}");
    }
    // Any account of the world may.
    assert_eq!(one.call("POST", "/staging/reset", [ACCOUNT, TOKEN], ""), (200, "{\"to\":\"seed\"}\n".to_owned()));
    assert_eq!(first, session(&one));
    assert_eq!(numbers_bought(&two, 3, "AreaCode=415"), ["+14158670001", "+14158670002", "+14158670003"]);

    let of = |number| numbers_bought(&world(&home, &seed("shuffled", number)), 5, "AreaCode=415");
    let (shuffled, again, other) = (of(42), of(42), of(43));
    assert!(shuffled == again && shuffled != other && !shuffled.is_sorted(), "{shuffled:?} {other:?}");
    let sid = |number| buy(&world(&home, &seed("lowest", number)), "AreaCode=415").1["sid"].clone();
    assert_ne!(sid(1), sid(2), "Sids come from the seed");
}

/// All rows of all tables, and what the sequences give next.
fn state(url: &str) -> BTreeMap<String, Vec<String>> {
    let tables = "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'";
    let of_table = |table: String| {
        let rows = texts(url, &format!("select to_jsonb(held)::text from public.\"{table}\" as held order by 1"));
        (table, rows.expect("rows"))
    };
    let mut state: BTreeMap<_, _> = texts(url, tables).expect("tables").into_iter().map(of_table).collect();
    assert!(state.len() > 20, "{:?}", state.keys());
    let sequences = "select name || ' ' || next from staging.sequences() order by 1";
    state.insert("(sequences)".to_owned(), texts(url, sequences).expect("sequences"));
    state
}

#[test]
fn a_reset_takes_every_table_back_and_nothing_is_left_open() {
    let home = Home::new();
    let file = home.file("seed.json", &seed("lowest", 42).to_string());
    let world = start(&home, &["--name", "lived_in", "--seed", &file]);
    let url = url(&home, "nbworld_lived_in");
    // A table that some later version may bring, and one whose rows are told apart by nothing.
    texts(&url, "create table later (id bigint primary key, of uuid references accounts (sid), note text)")
        .expect("made");
    texts(&url, "create table plain (note text)").expect("made");
    texts(&url, "insert into later select 1, sid, 'kept' from accounts").expect("a row");
    texts(&url, "insert into plain values ('twice'), ('twice')").expect("rows");
    numbers_bought(&world, 3, "AreaCode=415");
    eventually("the use is noted", || {
        texts(&url, "select sid::text from accounts where last_used_on is null").expect("accounts").is_empty()
    });
    assert_eq!(world.control("POST", "/snapshots", "control", r#"{"name":"paid"}"#).0, 201);
    let before = state(&url);

    let operate = |arguments: &[&str]| home.run(&[arguments, &["--world", "lived_in"]].concat()).done();
    session(&world);
    let child = format!("/2010-04-01/Accounts/{ACCOUNT}");
    assert_eq!(world.call("POST", "/2010-04-01/Accounts.json", [ACCOUNT, TOKEN], "FriendlyName=Child").0, 201);
    assert_eq!(
        world.call("POST", &format!("{child}/IncomingPhoneNumbers.json"), [ACCOUNT, TOKEN], "AreaCode=415").0,
        201
    );
    operate(&["account", "create", "--name", "Other", "--balance", "5.00"]);
    operate(&["account", "credit", "Acme", "2.00", "--key", "k1"]);
    operate(&["account", "transfer", "Acme", "Other", "1.00"]);
    operate(&["account", "rotate-token", "Acme", "--yes"]);
    operate(&["number", "move", "4158670015", "--to", "Other"]);
    operate(&["inventory", "add", "3035550100-3035550109"]);
    operate(&["inventory", "withdraw", "4158670019"]);
    operate(&["inventory", "threshold", "set", "415", "5"]);
    operate(&["inventory", "import", &home.file("more.csv", "phone_number\n3035550120\n")]);
    operate(&["price", "set", "local", "1.15"]);
    operate(&["bill"]);
    operate(&["recycle"]);
    assert_eq!(world.control("POST", "/clock", "control", r#"{"advance":"P40D"}"#).0, 200);
    operate(&["audit"]);
    texts(&url, "update later set note = 'lost'").expect("an update");
    texts(&url, "insert into later values (2, null, 'new')").expect("a row");
    texts(&url, "insert into plain values ('twice')").expect("a row");
    let changed = state(&url);
    let same: Vec<_> = before.keys().filter(|table| before[*table] == changed[*table]).collect();
    // The rest of the tables changed, so that their way back is seen.
    assert!(same.len() < 8, "{same:?}");

    assert_eq!(world.call("GET", &format!("{child}.json"), [ACCOUNT, TOKEN], "").0, 401, "the token was replaced");
    let reset = world.control("POST", "/reset", "control", r#"{"to":"paid"}"#);
    assert_eq!(reset.0, 200, "{reset:?} {}", world.err());
    let after = state(&url);
    for (table, rows) in &before {
        assert_eq!(rows, &after[table], "{table}");
    }
    assert_eq!(before.len(), after.len());
    let off = "select tgname::text from pg_trigger where not tgisinternal and tgenabled <> 'O'";
    assert_eq!(texts(&url, off).expect("triggers"), Vec::<String>::new());
    texts(&url, "update ledger_entries set amount = 1").expect_err("its rules hold again");
    texts(&url, "update later set of = gen_random_uuid()").expect_err("so do foreign keys");
    operate(&["audit"]);
    assert_eq!(world.call("GET", &format!("{child}.json"), [ACCOUNT, TOKEN], "").0, 200, "at once, by its old token");
    assert_eq!(numbers_bought(&world, 1, "AreaCode=415"), ["+14158670003"]);
    operate(&["audit"]);

    let refused = world.control("POST", "/reset", "control", "");
    assert!(refused.0 == 400 && refused.1.contains("of another version of the schema"), "{refused:?}");
    texts(&url, "drop table later").expect("as it was made");
    texts(&url, "drop table plain").expect("as it was made");
    assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
    assert_eq!(numbers_bought(&world, 1, "AreaCode=415"), ["+14158670000"]);
    operate(&["audit"]);
    let refused = world.control("POST", "/reset", "control", r#"{"to":"paid"}"#);
    assert!(refused.0 == 400 && refused.1.contains("of another version of the schema"), "{refused:?}");
}

#[test]
fn a_world_is_whole_after_resets_amid_purchases() {
    let home = Home::new();
    let file = home.file("seed.json", &seed("lowest", 42).to_string());
    let world = start(&home, &["--name", "busy", "--seed", &file]);
    let url = url(&home, "nbworld_busy");
    let before = state(&url);
    let sold = std::thread::scope(|scope| {
        let buy = || (0..12).filter(|_| buy(&world, "AreaCode=415").0 == 201).count();
        let buyers: Vec<_> = (0..4).map(|_| scope.spawn(buy)).collect();
        for _ in 0..8 {
            assert_eq!(world.control("POST", "/reset", "control", "").0, 200, "{}", world.err());
        }
        buyers.into_iter().map(|buyer| buyer.join().expect("its purchases")).sum::<usize>()
    });
    assert!(sold > 20, "no more than the stock were sold, so the resets came in between: {sold}");
    home.run(&["audit", "--world", "busy"]).done();
    assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
    let after = state(&url);
    // The day of an account's last use is noted after its request.
    for (table, rows) in before.iter().filter(|(table, _)| *table != "accounts") {
        assert_eq!(rows, &after[table], "{table}");
    }
    home.run(&["audit", "--world", "busy"]).done();
}

#[test]
fn requests_wait_while_a_world_is_reset() {
    let home = Home::new();
    let file = home.file("seed.json", &seed("lowest", 42).to_string());
    let world = start(&home, &["--name", "slow", "--seed", &file]);
    let url = url(&home, "nbworld_slow");
    // The reset waits for this one, which no request needs.
    let hold = "do $$ begin lock table job_runs in row exclusive mode; perform pg_sleep(2); end $$";
    let waits = "select 'waits' from pg_locks where relation = 'job_runs'::regclass and not granted";
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| texts(&url, hold).expect("it holds the table"));
        let held = "select 'held' from pg_locks where relation = 'job_runs'::regclass";
        eventually("the table is held", || !texts(&url, held).expect("locks").is_empty());
        let reset = scope.spawn(|| {
            assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
            Instant::now()
        });
        eventually("the reset waits", || !texts(&url, waits).expect("locks").is_empty());
        assert_eq!(world.call("GET", &format!("/2008-08-01/Accounts/{ACCOUNT}"), [ACCOUNT, TOKEN], "").0, 200);
        let answered = Instant::now();
        assert!(reset.join().expect("its end") <= answered + Duration::from_millis(200), "the request went first");
        holder.join().expect("its end");
    });
}

#[test]
fn every_number_has_a_place_of_its_own_and_the_lowest_are_in_their_order() {
    let home = Home::new();
    let world = world(&home, &seed("lowest", 42));
    let url = url(&home, &database(&world));
    let one = |statement: &str| texts(&url, statement).expect("an answer").remove(0);
    let ends = "select format('%s %s', staging.pick(2012000000), (
        select max(staging.pick(code * 10000000::bigint + 9999999)) from staging.area_codes) > 0)";
    assert_eq!(one(ends), "-2147483647 t", "the first one, and all of them fit");
    let in_order = "select bool_and(pick > before)::text from (
            select staging.pick(number) as pick, lag(staging.pick(number)) over (order by number) as before
            from staging.area_codes, unnest(array[2000000, 2000001, 5550100, 9999999]) as line,
                lateral (select code * 10000000::bigint + line as number) as numbers
            where code not in (500, 800, 833, 844, 855, 866, 877, 888)
        ) as pairs where before is not null";
    assert_eq!(one(in_order), "true");
    let shuffled = "select format('%s %s', count(distinct place), bool_and(place between 1 and 4294967295)) from (
            select staging.shuffled(place, 7) as place
            from (select generate_series(1, 20000) union all select 4294967295) as all_places (place)
        ) as shuffled";
    assert_eq!(one(shuffled), "20001 t");
}

#[test]
fn worlds_come_and_go_and_only_those_with_a_name_stay() {
    let home = Home::new();
    let mut passing = start(&home, &[]);
    let killed = start(&home, &[]);
    let (passing_name, left) = (database(&passing), database(&killed));
    killed.signal(Signal::SIGKILL);
    drop(killed);
    passing.signal(Signal::SIGTERM);
    assert_eq!(passing.ended(), Some(0), "{}", passing.err());
    assert!(passing.err().lines().next().is_some_and(|line| line.contains("no number is ever dialled")));

    let file = home.file("seed.json", &seed("lowest", 42).to_string());
    let mut named = start(&home, &["--name", "kept", "--seed", &file]);
    let all = || databases(&url(&home, "numberbank"));
    eventually("what was left behind is dropped", || all() == ["nbworld_kept"]);
    assert!(passing_name.starts_with("nbworld-") && left.starts_with("nbworld-"));
    let first = buy(&named, "AreaCode=415").1;
    let twice = |arguments: &[&str]| {
        let ran = home.run(&[&["staging", "--bind", "127.0.0.1:0"], arguments].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        ran.err
    };
    assert!(twice(&["--name", "kept"]).contains("another process has the world"));
    named.signal(Signal::SIGTERM);
    assert_eq!(named.ended(), Some(0));
    assert_eq!(home.postgres_of_worlds(), None, "the last one stops PostgreSQL");

    let other = home.file("other.json", &seed("lowest", 43).to_string());
    assert!(twice(&["--name", "kept", "--seed", &other]).contains("made of another seed"));
    let named = start(&home, &["--name", "kept", "--seed", &file]);
    let second = buy(&named, "AreaCode=415").1;
    assert_eq!([&first["phone_number"], &second["phone_number"]], ["+14158670000", "+14158670001"]);
    assert_ne!(first["sid"], second["sid"]);
    assert_eq!(second["date_created"], "Sat, 31 Jan 2026 12:00:00 +0000", "its clock stands where it stood");
    assert_eq!(named.control("POST", "/reset", "control", "").0, 200);
    assert_eq!(buy(&named, "AreaCode=415").1["sid"], first["sid"]);
    drop(named);

    let anew = start(&home, &["--name", "kept", "--anew", "--seed", &other]);
    assert_eq!(numbers_bought(&anew, 1, "AreaCode=415"), ["+14158670000"]);
    assert_eq!(all(), ["nbworld_kept"]);
    texts(&url(&home, "numberbank"), "create database nbworld_mine").expect("a database");
    assert!(twice(&["--name", "mine", "--anew"]).contains("is not that of a world"));
    drop(anew);
    let mut poor = seed("lowest", 44);
    poor["accounts"][0]["balance"] = json!("0.50");
    let poor = home.file("poor.json", &poor.to_string());
    assert!(twice(&["--name", "kept", "--anew", "--seed", &poor]).contains("accounts[0]"));
    let anew = start(&home, &["--name", "kept", "--seed", &other]);
    assert_eq!(numbers_bought(&anew, 1, "AreaCode=415"), ["+14158670001"], "the older world is still there");
    assert_eq!(all(), ["nbworld_kept", "nbworld_mine"]);
}

#[test]
fn a_world_whose_lock_is_lost_ends_and_what_it_had_half_done_is_undone() {
    let home = Home::new();
    let file = home.file("seed.json", &seed("lowest", 42).to_string());
    let mut world = start(&home, &["--name", "held", "--seed", &file]);
    // As while an account is being made.
    let begun = "select staging.take('.before', now(), 1, 0, 32)::text";
    assert_eq!(texts(&url(&home, "nbworld_held"), begun).expect("a snapshot"), ["true"]);
    buy(&world, "AreaCode=415");
    for name in [".before", "\\u0000", "'", ""] {
        let (status, body) = world.control("POST", "/reset", "control", &format!("{{\"to\":\"{name}\"}}"));
        assert!(status == 404 && body.contains("20404"), "{name}: {body}");
    }
    let end = "select pg_terminate_backend(pid)::text from pg_locks where locktype = 'advisory'";
    assert_eq!(texts(&url(&home, "postgres"), end).expect("its end"), ["true"]);
    assert_eq!(world.ended(), Some(1));
    assert!(world.err().contains("start it again"), "{}", world.err());
    let world = start(&home, &["--name", "held"]);
    assert_eq!(numbers_bought(&world, 1, "AreaCode=415"), ["+14158670000"]);
}

#[test]
fn who_sends_a_body_slowly_keeps_nobody_waiting() {
    let home = Home::new();
    let world = world(&home, &seed("lowest", 42));
    let mut slow = TcpStream::connect(world.address()).expect("a connection");
    let basic = STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {basic}\r\nContent-Length: 12\r\n\r\nAreaCode"
    );
    slow.write_all(head.as_bytes()).expect("it listens");
    within(Duration::from_secs(2), "a reset", || {
        let begun = Instant::now();
        assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
        begun.elapsed()
    });
    slow.write_all(b"=415").expect("it listens");
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 201");
    assert_eq!(numbers_bought(&world, 1, "AreaCode=415"), ["+14158670001"]);
}

#[test]
fn a_world_is_no_registry_and_a_registry_no_world() {
    let home = Home::new();
    let file = home.file("seed.json", &seed("lowest", 42).to_string());
    let world = start(&home, &["--name", "marked", "--seed", &file]);
    let there = url(&home, "nbworld_marked");
    // Commands that would never end come last.
    for arguments in [
        &["migrate"][..],
        &["account", "list"],
        &["bill"],
        &["audit"],
        &["serve", "--bind", "127.0.0.1:0"],
        &["demo", "--bind", "127.0.0.1:0"],
    ] {
        let ran = Ran::of(program(arguments).args(["--database-url", &there]).output());
        ran.assert_refused("that of a staging world");
    }
    assert_eq!(home.json(&["account", "list", "--world", "marked"])[0]["sid"], ACCOUNT);
    let same = Ran::of(program(&["account", "list", "--world", "marked", "--database-url", &there]).output());
    assert!(same.done().out.contains("Acme"), "by any database beside it");
    home.run(&["account", "list", "--world", "nobody"]).assert_refused("there is no world 'nobody'");
    home.run(&["account", "list", "--world", "No Body"]).assert_bad_usage();
    for command in ["serve", "demo", "migrate", "staging"] {
        home.run(&[command, "--world", "marked"]).assert_unreadable("--world is for commands that work on a world");
    }
    drop(world);

    // A registry has no trace of it, whatever variables are set.
    let registry = home.start("serve", &CONTROL);
    for (method, path) in [("GET", "/health"), ("GET", "/world"), ("POST", "/reset"), ("POST", "/accounts")] {
        assert_eq!(registry.control(method, path, "control", "").0, 404, "{path}");
    }
    let marks = "select nspname::text from pg_namespace where nspname like 'staging%'";
    assert_eq!(texts(&home.url("x"), marks).expect("schemas"), Vec::<String>::new());
    home.run(&["account", "list"]).done();
}

#[test]
fn a_role_that_may_only_make_databases_has_worlds_too() {
    let home = Home::new();
    let _registry = home.start("serve", &[]);
    home.sql("create role maker login createdb").expect("a role");
    home.sql("create role plain login").expect("a role");
    let url = |role: &str| home.url("x").replace("//numberbank:", &format!("//{role}:"));
    let file = home.file("seed.json", &seed("lowest", 42).to_string());
    let start = |role: &str| {
        let mut command = program(&["staging", "--bind", "127.0.0.1:0", "--seed", &file, "--database-url", &url(role)]);
        command.envs(CONTROL);
        command
    };
    let refused = Ran::of(start("plain").output());
    assert!(refused.code == Some(1) && refused.err.contains("may not make databases"), "{refused:?}");
    let world = home.run_as(start("maker"));
    let before = session(&world);
    assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
    assert_eq!(before, session(&world));
    assert_eq!(databases(&home.url("x")), [database(&world)]);
    // Another role has a template of its own; and all databases of a server have the same worlds.
    home.sql("create role second login createdb").expect("a role");
    drop(home.run_as(start("second")));
    let mut named = start("maker");
    let _named = home.run_as({
        named.args(["--name", "one"]);
        named
    });
    let elsewhere = url("maker").replace("/numberbank?", "/template1?");
    assert_ne!(elsewhere, url("maker"));
    let ran = program(&["staging", "--bind", "127.0.0.1:0", "--name", "one", "--database-url", &elsewhere]).output();
    let busy = Ran::of(ran);
    assert!(busy.code == Some(1) && busy.err.contains("another process has the world"), "{busy:?}");
    let durable = Ran::of(start("maker").arg("--durable").output());
    assert!(durable.code == Some(2) && durable.err.contains("--durable is for the private PostgreSQL"), "{durable:?}");
}

#[test]
fn eight_worlds_at_once_disturb_nobody() {
    let home = Home::new();
    let file = home.file("seed.json", &seed("lowest", 42).to_string());
    let command = ["staging", "--bind", "127.0.0.1:0", "--seed", &file];
    let mut worlds: Vec<_> = (0..8).map(|_| home.begin(&command)).collect();
    for world in &worlds {
        eventually("it listens", || world.out().contains("listening"));
        assert!(world.out().contains("control token "), "one was made");
    }
    let bought: Vec<_> = std::thread::scope(|scope| {
        let buyers: Vec<_> =
            worlds.iter().map(|world| scope.spawn(|| numbers_bought(world, 4, "AreaCode=212"))).collect();
        buyers.into_iter().map(|buyer| buyer.join().expect("its purchases")).collect()
    });
    assert!(bought.iter().all(|numbers| numbers == &bought[0]), "{bought:?}");
    let reset = |world: &Running| world.call("POST", "/staging/reset", [ACCOUNT, TOKEN], "").0;
    assert_eq!(reset(&worlds[0]), 200);
    let next: Vec<_> = worlds.iter().map(|world| numbers_bought(world, 1, "AreaCode=212").remove(0)).collect();
    assert!(next[0] == "+12125550100" && next[1..].iter().all(|number| number == "+12125550104"), "{next:?}");
    worlds.iter().for_each(|world| world.signal(Signal::SIGTERM));
    for world in &mut worlds {
        assert_eq!(world.ended(), Some(0), "{}", world.err());
    }
    assert_eq!(home.postgres_of_worlds(), None);
}

#[test]
fn a_seed_that_cannot_be_is_refused_and_says_where() {
    let home = Home::new();
    let refused = |text: &str| {
        let seed = home.file("seed.json", text);
        let ran = home.run(&["staging", "--bind", "127.0.0.1:0", "--name", "bad", "--seed", &seed]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        ran.err.lines().last().expect("a line").to_owned()
    };
    let account = |rest: &str| format!(r#"{{"accounts":[{{"sid":"{ACCOUNT}","auth_token":"t"{rest}}}]}}"#);
    for (text, says) in [
        ("", "EOF while parsing"),
        ("nonsense", "expected"),
        (r#"{"sede":1}"#, "unknown field `sede`"),
        (r#"{"seed":"x"}"#, "expected a whole number at line 1"),
        (r#"{"faults":[{"do":7}]}"#, "expected an object at line 1"),
        ("{\n\"stock\":[\"415\"]}", "at line 2"),
        (r#"{"stock":["4158670009-4158670000"]}"#, "ends before it begins"),
        (r#"{"stock":["2000000000-9999999999"]}"#, "stock: at most 1000000 numbers"),
        (r#"{"prices":{"local":"a dollar"}}"#, "'a dollar'"),
        (r#"{"choice":"highest"}"#, "unknown variant `highest`"),
        (r#"{"clock":{"at":"1999-01-01T00:00:00Z","stand":true}}"#, "a time from 2008"),
        (r#"{"clock":{"at":"2126-12-31T12:00:00Z"}}"#, "at most a hundred years from now"),
        (r#"{"quarantine_days":3651}"#, "0 to 3650 days"),
        (&account(r#","auth_token":"u""#), "duplicate field `auth_token`"),
        (&account(r#","name":"""#), "'': "),
        (&account(r#","numbers":[{"phone_number":"4158675309","url":"app"}]"#), "a URL must be"),
        (r#"{"accounts":[{"sid":"AC1","auth_token":"t"}]}"#, "'AC1' is not a Sid"),
        (
            r#"{"accounts":[{"sid":"AC00000000000000000000000000000001","auth_token":"ä secret"}]}"#,
            "a token is 1 to 64",
        ),
    ] {
        let said = refused(text);
        assert!(said.contains("the seed: ") && said.contains(says) && !said.contains("secret"), "{text}: {said}");
    }
    assert!(!home.data_dir().join("staging").exists(), "nothing was begun");
    for (text, says) in [
        (r#"{"stock":["4151110000"]}"#.to_owned(), "stock: 4151110000 cannot be: exchange begins with 0 or 1"),
        (
            account(r#","balance":"0.50","numbers":[{"phone_number":"4158675309"}]"#),
            "accounts[0].numbers[0]: the account's",
        ),
        (
            account(r#","balance":"5.00","numbers":[{"phone_number":"4158675309"},{"phone_number":"4158675309"}]"#),
            "accounts[0].numbers[1]: it is held",
        ),
        (
            account(r#","balance":"5.00","numbers":[{"phone_number":"4158675309","sms_fallback_url":"http://app/"}]"#),
            "accounts[0].numbers[0]: a fallback needs",
        ),
        (
            format!(
                r#"{{"accounts":[{{"sid":"{ACCOUNT}","auth_token":"t"}},{{"sid":"{ACCOUNT}","auth_token":"t"}}]}}"#
            ),
            "accounts[1].sid: there is an account",
        ),
    ] {
        let said = refused(&text);
        assert!(said.contains(says), "{text}: {said}");
    }
    home.run(&["account", "list", "--world", "bad"]).assert_refused("there is no world 'bad'");
    let large = home.file("large.json", &format!("{{\"stock\":[{}\"4158670000\"]}}", "\"4158670000\",".repeat(90_000)));
    home.run(&["staging", "--seed", &large]).assert_refused("is larger than");
    home.run(&["staging", "--seed", "/none/there"]).assert_refused("cannot read /none/there");
    home.run(&["staging", "--anew"]).assert_bad_usage();
    home.run(&["staging", "--name", "Not-A-Name"]).assert_bad_usage();
    let unfit = Ran::of(home.command(&["staging"]).env("NUMBERBANK_STAGING_TOKEN", "").output());
    unfit.assert_refused("NUMBERBANK_STAGING_TOKEN: 1 to 256");
}

#[test]
fn a_world_is_controlled_by_its_token_and_makes_accounts_whole_or_not_at_all() {
    let home = Home::new();
    let world = world(&home, &seed("lowest", 42));
    let anybody = |method: &str, path: &str| {
        let method: reqwest::Method = method.parse().expect("a method");
        crate::home::fetch(reqwest::Client::new().request(method, format!("{}/staging{path}", world.site())))
    };
    assert_eq!(anybody("GET", "/health").0, 200);
    for (method, path) in [
        ("GET", "/world"),
        ("GET", "/clock"),
        ("GET", "/snapshots"),
        ("POST", "/snapshots"),
        ("POST", "/reset"),
        ("POST", "/accounts"),
    ] {
        assert_eq!(anybody(method, path).0, 401, "{path}");
        let (status, body) = world.control(method, path, "contro", "");
        let told: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((status, &told["status"], &told["code"]), (401, &json!(401), &json!(20003)), "{path}");
        let (status, _) = world.call(method, &format!("/staging{path}"), [ACCOUNT, "u"], "");
        assert_eq!(status, 401, "{path}: another token than the account's");
        let (status, _) = world.call(method, &format!("/staging{path}"), [ACCOUNT, TOKEN], "");
        let may = ["/world", "/clock", "/reset"].contains(&path);
        assert_eq!(status, if may { 200 } else { 401 }, "{path}: an account");
    }
    let shown: Value = serde_json::from_str(&world.control("GET", "/world", "control", "").1).expect("JSON");
    assert_eq!(shown["clock"], json!({ "now": "2026-01-31T12:00:00.000Z", "state": "stands" }));
    assert_eq!(
        (&shown["seed"], &shown["choice"], &shown["snapshots"][0]["name"]),
        (&json!(42), &json!("lowest"), &json!("seed"))
    );

    for (method, path, body, status, says) in [
        ("POST", "/reset", "{", 400, "EOF while parsing"),
        ("POST", "/reset", r#"{"too":"x"}"#, 400, "unknown field `too`"),
        ("POST", "/reset", r#"{"to":"nowhere"}"#, 404, "no snapshot 'nowhere'"),
        ("POST", "/reset", r#"{"to":".before"}"#, 404, "no snapshot"),
        ("POST", "/snapshots", "", 400, "missing field `name`"),
        ("POST", "/snapshots", r#"{"name":"seed"}"#, 400, "not 'seed'"),
        ("POST", "/snapshots", r#"{"name":"a b"}"#, 400, "letters, digits"),
        ("POST", "/accounts", &"x".repeat(17_000), 413, "larger than"),
        ("DELETE", "/reset", "", 405, "takes POST"),
        ("GET", "/nothing", "", 404, "no such resource"),
    ] {
        let (answered, body) = world.control(method, path, "control", body);
        let told: Value = serde_json::from_str(&body).expect("JSON");
        assert!(
            answered == status && told["message"].as_str().is_some_and(|message| message.contains(says)),
            "{path}: {body}"
        );
        assert!(told["more_info"].as_str().is_some_and(|link| link.contains("/docs/errors/")), "{body}");
    }

    let (sid, path) = ("AC00000000000000000000000000000002", "/2008-08-01/Accounts/AC00000000000000000000000000000002");
    assert_eq!(world.call("GET", path, [sid, "x"], "").0, 401, "there is none yet");
    let account = |balance: &str| {
        let numbers = r#"[{"phone_number":"4158671111"},{"phone_number":"4158671112"}]"#;
        format!(
            r#"{{"sid":"{sid}","auth_token":"x","balance":"{balance}","prices":{{"local":"0.50"}},"numbers":{numbers}}}"#
        )
    };
    let before = session(&world);
    assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
    let (status, body) = world.control("POST", "/accounts", "control", &account("0.99"));
    assert!(status == 400 && body.contains("numbers[1]: the account's balance of 0.49"), "{body}");
    assert_eq!(before, session(&world), "nothing came of it");
    let (status, body) = world.control("POST", "/accounts", "control", &account("1.50"));
    let made: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &made["balance"], made["numbers"].as_array().map(Vec::len)), (201, &json!("0.50"), Some(2)));
    assert_eq!(world.call("GET", path, [sid, "x"], "").0, 200, "at once");
    assert_eq!(world.control("POST", "/accounts", "control", &account("1.50")).0, 400, "there is one already");
    assert_eq!(world.call("GET", path, [sid, "x"], "").0, 200);
    assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
    assert_eq!(world.call("GET", path, [sid, "x"], "").0, 401, "nothing is remembered of it");

    for n in 0..31 {
        assert_eq!(world.control("POST", "/snapshots", "control", &format!(r#"{{"name":"s{n}"}}"#)).0, 201, "{n}");
    }
    let (status, body) = world.control("POST", "/snapshots", "control", r#"{"name":"more"}"#);
    assert!(status == 400 && body.contains("at most 32"), "{body}");
    assert_eq!(world.control("POST", "/snapshots", "control", r#"{"name":"s7"}"#).0, 201, "in place of the older one");

    // The commands are clients of these paths.
    let run = |arguments: &[&str], token: Option<&str>| {
        let mut command = program(arguments);
        command.args(["--url", &world.site()]).envs(token.map(|token| ("NUMBERBANK_STAGING_TOKEN", token)));
        Ran::of(command.output())
    };
    assert!(run(&["staging", "snapshot", "s8"], Some("control")).done().out.contains("s8"));
    assert!(run(&["staging", "reset", "--to", "s8"], Some("control")).done().out.contains("s8"));
    assert!(run(&["staging", "reset"], Some("control")).done().out.contains("seed"));
    run(&["staging", "reset", "--to", "nowhere"], Some("control")).assert_refused("no snapshot 'nowhere'");
    run(&["staging", "reset"], Some("other")).assert_refused("control token");
    assert!(run(&["staging", "clock"], Some("control")).done().out.contains("stands"));
    run(&["staging", "reset"], None).assert_refused("is expected in NUMBERBANK_STAGING_TOKEN");
    Ran::of(program(&["staging", "reset", "--url", "https://127.0.0.1:1"]).output()).assert_bad_usage();
    let nobody = Ran::of(program(&["staging", "reset", "--url", "http://127.0.0.1:1"]).envs(CONTROL).output());
    nobody.assert_refused("does not answer: ");
}
