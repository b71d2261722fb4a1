//! An operator at work during the drill, by commands: sells, moves and releases numbers, and enters, moves and undoes
//! money. Each deed leaves a mark in the database. In the end it is there once, if the command said that it was done, and
//! not at all if the command said that it was not.

use std::process::Stdio;
use std::time::Duration;

use numberbank::db::Db;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::random::Random;
use super::{BUYERS, Desk, Scene};
use crate::home::program;

pub const DONE: &str = "deed of the operator";
pub const UNKNOWN: &str = "deed of the operator whose outcome its command did not know";

/// Numbers that no buyer gets: buyers ask for local ones.
const NUMBERS: i64 = 20;
const FIRST: i64 = 8_002_000_000;

/// What the operator works with: two accounts, and some numbers that no buyer gets.
pub struct Office {
    pub accounts: [String; 2],
}

impl Office {
    pub fn open(desk: &Desk) -> Self {
        desk.json(&["inventory", "add", &format!("{FIRST}-{}", FIRST + NUMBERS - 1)]);
        let open = |name| desk.json(&["account", "create", "--name", name, "--balance", "1000.00"])["sid"].clone();
        Self { accounts: ["Giver", "Taker"].map(|name| open(name).as_str().expect("a Sid").to_owned()) }
    }
}

/// What was tried, the statement that counts its marks, and how its command ended.
pub struct Deed {
    line: String,
    mark: String,
    marks: &'static str,
    /// Of each deed that is done.
    expected: i64,
    ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Done,
    NotDone,
    Unknown,
}

/// Works until the buyers are done.
pub async fn work(scene: &Scene) -> Vec<Deed> {
    let mut random = scene.random(BUYERS + scene.sites.len() as u64 + 1);
    let (mut deeds, mut credit) = (Vec::new(), None);
    while !scene.over.get() {
        if deeds.len() % 20 == 19 {
            // So that there is something to sell again.
            run(scene, &["recycle", "--quarantine-tollfree", "0"].map(str::to_owned)).await;
        }
        let mark = format!("deed-{}", deeds.len());
        let (words, marks, expected) = next(scene, &mut random, &mark, credit.as_deref());
        let (ended, answer) = run(scene, &words).await;
        match ended {
            Ended::Done => scene.count(DONE),
            Ended::Unknown => scene.count(UNKNOWN),
            // While PostgreSQL is away, it is the same again and again.
            Ended::NotDone => sleep(Duration::from_millis(50)).await,
        }
        if words[..2] == ["account", "credit"] && ended == Ended::Done {
            credit = answer["entry"].as_i64().map(|id| id.to_string());
        } else if words[0] == "ledger" {
            credit = None;
        }
        deeds.push(Deed { line: words.join(" "), mark, marks, expected, ended });
    }
    deeds
}

/// The words of a command, and how its marks are counted.
fn next(scene: &Scene, random: &mut Random, mark: &str, credit: Option<&str>) -> (Vec<String>, &'static str, i64) {
    let [giver, taker] = &scene.office.accounts;
    let number = (FIRST + random.below(NUMBERS.unsigned_abs()).cast_signed()).to_string();
    let account = if random.below(2) == 0 { giver } else { taker };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match (random.below(6), credit) {
        (0, _) => (
            words(&["account", "credit", giver, "1.00", "--key", mark]),
            "select count(*) from ledger_keys join ledger_entries using (account_sid)
            where key = $1 and entry_id = id and amount = 100",
            1,
        ),
        (1, Some(entry)) => (
            words(&["ledger", "reverse", entry, "--note", mark]),
            "select count(*) from ledger_entries where note = $1 and amount = -100",
            1,
        ),
        (1 | 2, _) => (
            words(&["account", "transfer", giver, taker, "0.10", "--note", mark]),
            "select count(*) from ledger_entries where note = $1 and abs(amount) = 10",
            2,
        ),
        (3, _) => (
            words(&["number", "assign", &number, "--account", account, "--friendly-name", mark]),
            "select count(*) from tenancies where friendly_name = $1",
            1,
        ),
        (4, _) => (
            words(&["number", "move", &number, "--to", account, "--note", mark]),
            "select count(*) from tenancy_transfers where note = $1",
            1,
        ),
        _ => (
            words(&["number", "release", &number, "--note", mark]),
            "select count(*) from stock_moves where note = $1 and cause = 'operator_release'",
            1,
        ),
    }
}

async fn run(scene: &Scene, words: &[String]) -> (Ended, Value) {
    let mut command = Command::from(program(&[]));
    command.args(["--output", "json", "--database-url", &scene.desk.database]).args(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ran = timeout(Duration::from_mins(1), command.output()).await.expect("a command ends").expect("it starts");
    let said = String::from_utf8_lossy(&ran.stderr);
    let ended = match ran.status.code() {
        Some(0) => Ended::Done,
        _ if said.contains("is not known") => Ended::Unknown,
        Some(1) => Ended::NotDone,
        code => panic!("{words:?} ended with {code:?}: {said}"),
    };
    (ended, serde_json::from_slice(&ran.stdout).unwrap_or_default())
}

/// All differences between what the commands said and what is there.
pub async fn compare(db: &Db, deeds: &[Deed]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Deed { line, mark, marks, expected, ended } in deeds {
        let found: i64 = sqlx::query_scalar(*marks).bind(mark).fetch_one(db).await.expect("the marks");
        let fits = match ended {
            Ended::Done => found == *expected,
            Ended::NotDone => found == 0,
            Ended::Unknown => found == 0 || found == *expected,
        };
        if !fits {
            wrong.push(format!("'{line}' ended {ended:?}, and left {found} marks"));
        }
    }
    wrong
}
