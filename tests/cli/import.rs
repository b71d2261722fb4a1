//! `inventory import`

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::home::{Home, Ran, eventually, program};

fn count(home: &Home) -> usize {
    home.json(&["inventory", "list"]).as_array().expect("a list").len()
}

/// Added, known, changed and rejected.
fn counts(answer: &Value) -> Value {
    json!([answer["added"], answer["already_known"], answer["changed"], answer["rejected"]])
}

#[test]
fn a_file_is_stored_whole_or_with_its_bad_rows_named_not_at_all() {
    let home = Home::new();
    let file = "phone_number,provider,monthly_cost,note\n4158675309,Acme,0.85,\"a, b\"\n8005550100,,,\n";
    let good = home.file("good.csv", file);
    let bad = home.file("bad.csv", "phone_number,monthly_cost\n4158675310,0.85\n415,1\n2128675311,x\n9998675309,1\n");

    let first = home.json(&["inventory", "import", &good]);
    assert_eq!(counts(&first), json!([2, 0, 0, 0]));
    let again = home.json(&["inventory", "import", &good]);
    assert_eq!(counts(&again), json!([0, 2, 0, 0]));
    let stock = home.json(&["inventory", "list"]);
    assert_eq!(stock.as_array().map(Vec::len), Some(2));
    assert_eq!((&stock[0]["phone_number"], &stock[0]["provider"]), (&json!("4158675309"), &json!("Acme")));
    assert_eq!((&stock[0]["provider_cost"], &stock[0]["note"]), (&json!("0.85"), &json!("a, b")));
    assert_eq!((&stock[1]["kind"], &stock[1]["provider"]), (&json!("tollfree"), &json!(null)));

    let refused = home.run(&["inventory", "import", &bad]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    let lines: Vec<_> = refused.err.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, named) in lines.iter().zip(["line 3: phone_number '415'", "line 4: monthly_cost 'x'", "line 5: "]) {
        assert!(line.starts_with(named) && line.len() > named.len(), "{line}");
    }
    let reasons = "3 bad rows (1 no US area code, 1 not an amount, 1 not ten digits)";
    assert!(lines[3].starts_with("numberbank: nothing was imported: ") && lines[3].contains(reasons), "{lines:?}");
    assert_eq!(count(&home), 2);

    let skipped = home.json(&["inventory", "import", &bad, "--skip-bad"]);
    assert_eq!(counts(&skipped), json!([1, 0, 0, 3]));
    assert_eq!(skipped["bad_rows"].as_array().map(Vec::len), Some(3));
    assert_eq!(skipped["bad_rows"][0]["line"], 3);
    assert_eq!(skipped["rejected_by_reason"][2], json!({ "reason": "not ten digits", "count": 1 }));
    assert_eq!(count(&home), 3);

    let command = home.command(&["inventory", "import", "-", "--output", "json"]);
    let piped = Ran::with_input(command, "note,phone_number\r\nfrom a pipe,2128675309\r\n,4158675309\r\n").done_json();
    assert_eq!(counts(&piped), json!([1, 1, 0, 0]));
    let table = home.table(&["inventory", "import", &good]);
    assert!(table.contains("already_known  2") && table.contains("phone_number  phone_number"), "{table}");

    home.run(&["inventory", "import", "/no/such/file.csv"]).assert_refused("/no/such/file.csv");
    let header = home.file("header.csv", "Line\n4158675309\n");
    home.run(&["inventory", "import", &header]).assert_refused("--map 'Line=phone_number'");
    assert_eq!(count(&home), 4);
}

#[test]
fn a_carrier_s_file_is_understood_and_a_dry_run_tells_how() {
    let home = Home::new();
    home.json(&["migrate"]);
    let text = "Telephone Number;LATA;MRC;Carrier;Comment\r\n+1 (415) 867-5309;722;$0.0085;Telefónica;\"first\r\nsecond\"\r\n\
        1-800-555-0100;722;.5;;\r\n;;;;\r\n";
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = home.file("carrier.csv", "");
    fs::write(&file, utf_16).expect("a file");
    let import = |more: &[&str]| home.run(&[&["inventory", "import", &file, "--output", "json"], more].concat());

    let dry = import(&["--dry-run"]);
    assert_eq!(dry.err, "columns left out: 'LATA'; --map tells what one is\n");
    let dry = dry.done_json();
    assert_eq!((&dry["import"], &dry["dry_run"], counts(&dry)), (&json!(null), &json!(true), json!([2, 0, 0, 0])));
    let columns = json!([
        { "column": "phone_number", "header": "Telephone Number" },
        { "column": "monthly_cost", "header": "MRC" },
        { "column": "provider", "header": "Carrier" },
        { "column": "note", "header": "Comment" },
    ]);
    assert_eq!((&dry["columns"], &dry["left_out"]), (&columns, &json!(["LATA"])));
    let table = home.table(&["inventory", "import", &file, "--dry-run"]);
    assert!(table.contains("monthly_cost  MRC") && table.contains("dry run"), "{table}");
    assert_eq!(count(&home), 0);
    assert_eq!(home.json(&["report", "imports"]), json!([]));

    let strict = import(&["--strict"]);
    assert!(strict.code == Some(1) && strict.err.contains("'LATA'") && strict.out.is_empty(), "{strict:?}");
    home.run(&["inventory", "import", &file, "--map", "LATA=price"]).assert_bad_usage();

    let imported = import(&["--map", "lata=provider", "--operator", "Anna"]).done_json();
    assert_eq!((counts(&imported), &imported["left_out"]), (json!([2, 0, 0, 0]), &json!(["Carrier"])));
    let stock = home.json(&["inventory", "list"]);
    let said = |at: usize| json!([stock[at]["provider"], stock[at]["provider_cost"], stock[at]["note"]]);
    assert_eq!(said(0), json!(["722", "0.0085", "first\r\nsecond"]));
    assert_eq!(said(1), json!(["722", "0.50", null]));
    let table = home.table(&["inventory", "list"]);
    assert!(table.lines().count() == 3 && table.contains("first\\r\\nsecond"), "{table}");

    home.json(&["inventory", "add", "4158675310"]);
    let id = imported["import"].to_string();
    let inventory = home.json(&["report", "inventory"]);
    assert_eq!((&inventory[0]["import"], &inventory[1]["import"]), (&imported["import"], &json!(null)));
    assert_eq!((&inventory[0]["provider_cost"], &inventory[0]["note"]), (&json!("0.0085"), &json!("first\r\nsecond")));
    assert_eq!(home.json(&["inventory", "list", "--import", &id]), stock);
    let report = home.json(&["report", "imports"]);
    assert_eq!(report.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&report[0]["file"], &report[0]["operator"], counts(&report[0])),
        (&json!(file), &json!("Anna"), json!([2, 0, 0, 0]))
    );
}

#[test]
fn an_update_sets_what_the_file_says_and_nothing_else() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    home.json(&["inventory", "add", "4158670000-4158670003"]);
    home.json(&["inventory", "withdraw", "4158670001"]);
    let file = home.file("a.csv", "tn,carrier,cost,note\n4158670000,Acme,0.85,x\n4158670001,Acme,,\n4158670009,,,\n");
    assert_eq!(counts(&home.json(&["inventory", "import", &file])), json!([1, 2, 0, 0]));
    assert_eq!(home.json(&["inventory", "list"])[0]["provider"], json!(null));

    let dry = home.json(&["inventory", "import", &file, "--update", "--dry-run"]);
    assert_eq!(counts(&dry), json!([0, 3, 2, 0]));
    assert_eq!(home.json(&["inventory", "list"])[0]["provider"], json!(null));
    assert_eq!(counts(&home.json(&["inventory", "import", &file, "--update"])), json!([0, 3, 2, 0]));
    assert_eq!(counts(&home.json(&["inventory", "import", &file, "--update"])), json!([0, 3, 0, 0]));
    let other = home.file("b.csv", "tn,carrier,cost,note\n4158670000,Other,,\n");
    assert_eq!(counts(&home.json(&["inventory", "import", &other, "--update"])), json!([0, 1, 1, 0]));
    let stock = home.json(&["inventory", "list"]);
    let said =
        |at: usize| json!([stock[at]["state"], stock[at]["provider"], stock[at]["provider_cost"], stock[at]["note"]]);
    assert_eq!(said(0), json!(["available", "Other", "0.85", "x"]));
    assert_eq!(said(1), json!(["withdrawn", "Acme", null, null]));
    assert_eq!(home.json(&["audit"])["ok"], true);
}

#[test]
fn an_update_from_a_pipe_that_stalls_keeps_nobody_waiting() {
    let home = Home::new();
    let server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    home.json(&["inventory", "add", "4158670000-4158671999"]);
    let made = home.json(&["account", "create", "--name", "Acme", "--balance", "9.00"]);
    let [account, token] = ["sid", "auth_token"].map(|field| made[field].as_str().expect(field));
    let path = format!("/2008-08-01/Accounts/{account}/IncomingPhoneNumbers");
    let buy = || server.call("POST", &format!("{path}/Local.json"), [account, token], "AreaCode=415");
    let (status, bought) = buy();
    assert_eq!(status, 201, "{bought}");
    let bought: Value = serde_json::from_str(&bought).expect("JSON");
    let sid = bought["TwilioResponse"]["IncomingPhoneNumber"]["Sid"].as_str().expect("a Sid");

    let mut import = home.command(&["inventory", "import", "-", "--update", "--output", "json"]);
    let import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut import = import.expect("the program starts");
    let mut rows = import.stdin.take().expect("its standard input");
    // A full batch, all in stock already.
    let all: String = (0..2_000).map(|at| format!("415867{at:04},new\n")).collect();
    rows.write_all(format!("tn,note\n{all}").as_bytes()).expect("it reads");
    let stalls = "do $$ begin assert exists (select from pg_stat_activity
        where state = 'idle in transaction' and clock_timestamp() - state_change > interval '500ms'); end $$";
    eventually("it waits for more rows", || home.sql(stalls).is_ok());
    assert_eq!(buy().0, 201);
    assert_eq!(server.call("DELETE", &format!("{path}/{sid}"), [account, token], "").0, 204);

    rows.write_all(b"4158670000,last\n").expect("it reads");
    drop(rows);
    let imported = Ran::of(import.wait_with_output()).done_json();
    assert_eq!(counts(&imported), json!([0, 2_001, 2_000, 0]));
    let stock = home.json(&["inventory", "list"]);
    let stock = stock.as_array().expect("a list");
    assert_eq!(stock[0]["note"], "last");
    assert!(stock[1..].iter().all(|number| number["note"] == "new"));
    let in_state = |state: &str| stock.iter().filter(|number| number["state"] == state).count();
    assert_eq!((in_state("in_use"), in_state("quarantined")), (1, 1));
    home.sql("do $$ begin assert not exists (select from import_changes); end $$").expect("nothing is left");
    assert_eq!(home.json(&["audit"])["ok"], true);
}

#[test]
fn all_bad_rows_are_written_to_a_new_file_and_the_first_are_told() {
    let home = Home::new();
    home.json(&["migrate"]);
    let rows: String = (0..30).map(|at| format!("415{at};\"note; {at}\";x;\n")).collect();
    let file = home.file("bad.csv", &format!("number;Some Note;MRC\n4158675309;;\n{rows}4152110000;;\n"));
    let to = home.data_dir().with_file_name("rejected.csv").display().to_string();
    let import = || home.run(&["inventory", "import", &file, "--skip-bad", "--bad-rows", &to]);
    let ran = import().done();
    let told: Vec<_> = ran.err.lines().collect();
    assert_eq!(told.len(), 22, "{told:?}");
    assert!(told[1].starts_with("line 3: ") && told[20].starts_with("line 22: ") && told[21].contains("11 more"));
    assert!(ran.out.contains("N11 exchange") && ran.out.contains("more cells than the header"), "{}", ran.out);

    let written = fs::read_to_string(&to).expect("the bad rows");
    let lines: Vec<_> = written.lines().collect();
    assert_eq!((lines.len(), lines[0]), (32, "line;reason;number;Some Note;MRC"));
    assert!(lines[1].starts_with("3;") && lines[1].ends_with(";4150;\"note; 0\";x;"), "{}", lines[1]);
    assert!(lines[31].starts_with("33;") && lines[31].ends_with(";4152110000;;"), "{}", lines[31]);
    let again = import();
    again.assert_refused("exists already");
    assert_eq!(fs::read_to_string(&to).expect("the bad rows"), written);

    fs::remove_file(&to).expect("removed");
    let mended = home.file("mended.csv", &written.replace("4152110000", "4152120000"));
    let refused = home.run(&["inventory", "import", &mended, "--bad-rows", &to]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(fs::read_to_string(&to).expect("the bad rows").lines().count(), 31);
    let nowhere = home.run(&["inventory", "import", &file, "--skip-bad", "--bad-rows", "/no/such/folder/bad.csv"]);
    assert!(nowhere.code == Some(1) && nowhere.err.contains("cannot write /no/such/folder/bad.csv"), "{nowhere:?}");
    assert_eq!(count(&home), 1);
}

#[test]
fn a_number_in_a_quoted_note_is_never_stock() {
    let home = Home::new();
    home.json(&["migrate"]);
    for note in [
        "\"call\n2125551234\nback\"",
        "\"open\n2125551234\n4158675310,\"call\n2125551234\nb\"",
        "said \"x\n2125551234\nnow\"",
    ] {
        let file = home.file("note.csv", &format!("phone_number,note\n4158675309,{note}\n4158675311,\n"));
        let ran = home.run(&["inventory", "import", &file, "--skip-bad"]);
        assert!(ran.code == Some(0) || ran.err.contains("line "), "{ran:?}");
        assert_eq!(home.json(&["inventory", "list", "--area-code", "212"]), json!([]), "{note}");
    }
    let swallowed: String = (0..50_000).map(|at| format!("415867{:04},\n", at % 10_000)).collect();
    let file = home.file("open.csv", &format!("phone_number,note\n4158675309,\n4158675310,\"open\n{swallowed}"));
    home.run(&["inventory", "import", &file, "--skip-bad"]).assert_refused("line 3: the quote");
}

#[test]
fn what_is_rejected_by_add_is_told_and_exits_1() {
    let home = Home::new();
    home.json(&["migrate"]);
    let added =
        home.run(&["inventory", "add", "4152109998-4152120001", "9998670000", "4151000000", "--output", "json"]);
    let answer: Value = serde_json::from_str(&added.out).expect("JSON");
    let rejected = |numbers: &str, reason: &str| json!({ "numbers": numbers, "reason": reason });
    let expected = json!({
        "added": 4, "already_known": 0, "rejected": 10_002,
        "rejected_numbers": [
            rejected("4152110000-4152119999", "N11 exchange"),
            rejected("9998670000", "no US area code"),
            rejected("4151000000", "exchange begins with 0 or 1"),
        ],
        "rejected_by_reason": [
            { "reason": "N11 exchange", "count": 10_000 },
            { "reason": "exchange begins with 0 or 1", "count": 1 },
            { "reason": "no US area code", "count": 1 },
        ],
    });
    assert_eq!((added.code, answer), (Some(1), expected));
    assert!(added.err.lines().count() == 1 && added.err.contains("10002 rejected: 10000 N11"), "{added:?}");
    let table = home.run(&["inventory", "add", "4152110000", "4158675309"]);
    assert!(table.code == Some(1) && table.out.contains("4152110000  N11 exchange"), "{table:?}");
    let none = home.run(&["inventory", "add", "415-911-0000"]);
    assert!(none.code == Some(1) && none.err.starts_with("numberbank: 1 rejected"), "{none:?}");
    let many: Vec<_> = (0..25).map(|at| format!("99986700{at:02}")).collect();
    let many = home.run(
        &[&["inventory", "add", "--output", "json"], &many.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat(),
    );
    let answer: Value = serde_json::from_str(&many.out).expect("JSON");
    assert_eq!((answer["rejected_numbers"].as_array().map(Vec::len), &answer["rejected"]), (Some(20), &json!(25)));
    assert_eq!(count(&home), 5);
    let outcomes = home.json(&["report", "operator_actions"]);
    let outcomes: Vec<_> = outcomes.as_array().expect("a list").iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(json!(outcomes), json!(["done", "done", "refused", "refused"]));
}

/// A reader of both streams that takes a line and ends, like `| head -1`.
fn until_head(mut command: Command) -> Option<i32> {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut child =
        command.stdout(writer.try_clone().expect("a pipe")).stderr(writer).spawn().expect("the program starts");
    drop(command);
    let mut first = [0; 64];
    let _ = reader.read(&mut first);
    drop(reader);
    child.wait().expect("it ends").code()
}

#[test]
fn no_command_panics_where_its_reader_goes_away() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let rows: String = (0..20_000).map(|at| format!("415{at}\n")).collect();
    let bad = home.file("bad.csv", &format!("phone_number,a,b,c\n{rows}"));
    let log = ("RUST_LOG", "trace");
    for (arguments, code) in [
        (&["inventory", "import", &bad][..], 1),
        (&["inventory", "import", &bad, "--skip-bad"], 0),
        (&["inventory", "add", "4158670000-4158679999", "9998670000"], 1),
        (&["inventory", "list"], 0),
        (&["inventory", "list", "--output", "csv"], 0),
        (&["report", "inventory"], 0),
        (&["--help"], 0),
        (&["nonsense"], 2),
        (&["account", "show", &format!("AC{}", "0".repeat(32))], 1),
    ] {
        let mut command = home.command(arguments);
        // The program's log goes to the same reader.
        command.env(log.0, log.1);
        assert_eq!(until_head(command), Some(code), "{arguments:?}");
    }
    let outcomes = home.json(&["report", "operator_actions"]);
    let outcomes: Vec<_> = outcomes.as_array().expect("a list").iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(json!(outcomes), json!(["refused", "done", "done"]));
}

#[test]
fn an_import_that_is_interrupted_imports_nothing() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    for verb in [Signal::SIGINT, Signal::SIGTERM] {
        let mut import = home.command(&["inventory", "import", "-"]);
        let import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut import = import.expect("the program starts");
        let mut rows = import.stdin.take().expect("its standard input");
        let all: String = (0..10_000).map(|at| format!("415867{at:04}\n")).collect();
        rows.write_all(format!("phone_number\n{all}").as_bytes()).expect("it reads");
        let begun = || {
            home.sql(
                "do $$ begin assert exists (select from pg_stat_activity where state = 'idle in transaction'); end $$",
            )
        };
        eventually("some rows are stored", || begun().is_ok());
        kill(Pid::from_raw(import.id().cast_signed()), verb).expect("it lives");
        let ran = Ran::of(import.wait_with_output());
        assert_eq!((ran.code, ran.err.as_str()), (Some(130), "numberbank: interrupted: nothing was imported\n"));
        drop(rows);
        assert_eq!(count(&home), 0);
    }
}

/// A trigger that delays commits of additions to a table while there is a row in `hold`.
pub fn held(table: &str) -> String {
    format!(
        "create table if not exists hold ();
        create or replace function wait_for_it() returns trigger language plpgsql as $$ begin
            while exists (select from hold) loop perform pg_sleep(0.02); end loop;
            return null;
        end $$;
        create constraint trigger held after insert on {table} deferrable initially deferred
            for each row execute function wait_for_it()"
    )
}

pub const COMMITS: &str = "from pg_stat_activity where query ilike 'commit%' and state = 'active'";

#[test]
fn an_import_that_commits_is_done_or_says_that_nobody_knows() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    home.sql(&held("imports")).expect("it runs");
    for lost in [false, true] {
        home.sql("insert into hold default values").expect("it runs");
        let file = home.file("a.csv", &format!("tn\n415867530{}\n", u8::from(lost)));
        let mut import = home.command(&["inventory", "import", &file]);
        let import = import.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let commits = format!("do $$ begin assert exists (select {COMMITS}); end $$");
        eventually("it commits", || home.sql(&commits).is_ok());
        if lost {
            home.sql(&format!("select pg_terminate_backend(pid) {COMMITS}")).expect("it runs");
        } else {
            kill(Pid::from_raw(import.id().cast_signed()), Signal::SIGINT).expect("it lives");
            std::thread::sleep(std::time::Duration::from_millis(200));
            home.sql("delete from hold").expect("it runs");
        }
        let ran = Ran::of(import.wait_with_output());
        assert_eq!(ran.code, Some(i32::from(lost)), "{ran:?}");
        assert_eq!(ran.err.contains("whether this was done is not known"), lost, "{ran:?}");
        assert_eq!(count(&home), 1);
    }
    let outcomes = home.json(&["report", "operator_actions"]);
    assert_eq!((&outcomes[0]["outcome"], &outcomes[1]["outcome"]), (&json!("done"), &json!("unknown")));
}

const ODD: &str = "a\u{202e}b\u{200b}\u{feff}\u{e0041}";
const SHOWN: &str = "a\\u{202e}b\\u{200b}\\u{feff}\\u{e0041}";

#[test]
fn what_cannot_be_seen_reaches_the_terminal_escaped() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let account = home.json(&["account", "create", "--name", ODD]);
    assert_eq!(account["name"].as_str().unwrap_or(ODD), ODD);
    let sid = account["sid"].as_str().expect("a Sid");
    let file = home.file("odd.csv", &format!("phone_number,provider,note,{ODD}\n4158675309,{ODD},{ODD},x\n"));
    let bad = home.file("bad.csv", &format!("phone_number,{ODD}\n{ODD}x,\n"));
    let imported = home.run(&["inventory", "import", &file]).done();
    let refused = home.run(&["inventory", "import", &bad]);
    for shown in [
        imported.err,
        refused.err,
        home.table(&["account", "list"]),
        home.table(&["account", "show", sid]),
        home.table(&["inventory", "list"]),
        home.table(&["number", "show", "4158675309"]),
        home.table(&["report", "accounts"]),
        home.table(&["report", "inventory"]),
        home.run(&["number", "show", ODD]).err,
        home.run(&["inventory", "import", &format!("/no/{ODD}")]).err,
    ] {
        assert!(!shown.contains(['\u{202e}', '\u{200b}', '\u{feff}', '\u{e0041}']), "{shown}");
        assert!(shown.contains(SHOWN) || shown.contains("\\u{202e}"), "{shown}");
    }
    assert_eq!(home.json(&["report", "accounts"])[0]["name"], ODD);
    assert!(home.table(&["report", "accounts", "--output", "csv"]).contains(ODD));
}

#[test]
fn no_formula_reaches_a_spreadsheet() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let names = ["=cmd|' /C calc'!A0", "+1, \"x\"", "-1", "@SUM(A1)", "Acme = b", "plain"];
    for name in names {
        home.json(&["account", "create", &format!("--name={name}"), "--balance", "1.00"]);
    }
    let sid = home.json(&["account", "list"])[0]["sid"].as_str().expect("a Sid").to_owned();
    home.json(&["account", "debit", &sid, "0.25", "--note", "=1+1"]);
    let file = home.file("odd.csv", "phone_number,provider,note\n4158675309,=1,\"\t=2\"\n4158675310,-3,\"x\n=4\"\n");
    let refused = home.run(&["inventory", "import", &file]);
    assert_eq!(refused.code, Some(0), "{refused:?}");

    let csv = |arguments: &[&str], column: &str| -> Vec<String> {
        let text = home.table(&[arguments, &["--output", "csv"]].concat());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let place = reader.headers().expect("a header").iter().position(|name| name == column).expect(column);
        reader.records().map(|record| record.expect("CSV")[place].to_owned()).collect()
    };
    let tamed = ["'=cmd|' /C calc'!A0", "'+1, \"x\"", "'-1", "'@SUM(A1)", "Acme = b", "plain"];
    assert_eq!(csv(&["report", "accounts"], "name"), tamed);
    let json: Value = home.json(&["report", "accounts"]);
    assert!(names.iter().enumerate().all(|(at, name)| json[at]["name"] == *name), "{json}");
    assert_eq!(csv(&["report", "ledger"], "amount").iter().filter(|amount| *amount == "-0.25").count(), 1);
    assert_eq!(csv(&["report", "ledger"], "note").iter().filter(|note| *note == "'=1+1").count(), 1);
    assert_eq!(csv(&["inventory", "list"], "provider"), ["'=1", "'-3"]);
    assert_eq!(
        csv(&["inventory", "list"], "note"),
        ["=2", "x\n=4"].map(|text| if text.starts_with('=') { format!("'{text}") } else { text.to_owned() })
    );
    assert_eq!(csv(&["report", "inventory"], "phone_number"), ["4158675309", "4158675310"]);
    assert_eq!(csv(&["report", "inventory"], "provider"), ["'=1", "'-3"]);
}

#[test]
fn the_help_of_an_import_says_what_a_file_may_hold() {
    let help = Ran::of(program(&["inventory", "import", "--help"]).output()).done().out;
    for word in
        ["--encoding", "--map", "--strict", "--update", "--skip-bad", "--dry-run", "--bad-rows", "telephone number"]
    {
        assert!(help.contains(word), "{word}: {help}");
    }
}
