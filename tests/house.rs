//! Rules for the whole repository: imports, where SQL and time may be, names, and what the documents say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use numberbank::api::{v2008, v2010};
use numberbank::staging;
use numberbank::web::codes::Code;

const SLICES: [&str; 10] = [
    "accounts",
    "audit",
    "billing",
    "inventory",
    "ledger",
    "numbers",
    "operators",
    "purchases",
    "releases",
    "reporting",
];

/// Every room, and exactly the rooms that it imports. A room imports only from rooms below it in this list.
const ROOMS: [(&str, &[&str]); 25] = [
    (
        "cli",
        &[
            "accounts",
            "api",
            "app",
            "audit",
            "billing",
            "callbacks",
            "config",
            "db",
            "error",
            "inventory",
            "jobs",
            "ledger",
            "monitoring",
            "numbers",
            "operators",
            "platform",
            "purchases",
            "releases",
            "reporting",
            "staging",
            "values",
        ],
    ),
    (
        "app",
        &[
            "accounts",
            "api",
            "config",
            "db",
            "error",
            "monitoring",
            "numbers",
            "platform",
            "purchases",
            "releases",
            "staging",
            "values",
            "web",
        ],
    ),
    ("jobs", &["billing", "db", "error", "inventory", "monitoring", "purchases", "values"]),
    ("monitoring", &["accounts", "db", "inventory", "values", "web"]),
    ("platform", &["config"]),
    ("api", &["accounts", "inventory", "numbers", "purchases", "releases", "values", "web"]),
    (
        "staging",
        &[
            "accounts",
            "billing",
            "callbacks",
            "db",
            "error",
            "inventory",
            "numbers",
            "purchases",
            "twiml",
            "values",
            "web",
        ],
    ),
    ("callbacks", &["values"]),
    ("web", &["accounts", "db", "error", "numbers", "purchases", "releases", "values"]),
    ("audit", &["db", "error"]),
    ("billing", &["accounts", "db", "error", "ledger", "releases", "values"]),
    ("purchases", &["accounts", "db", "error", "numbers", "values"]),
    ("releases", &["accounts", "db", "error", "inventory", "numbers", "values"]),
    ("numbers", &["db", "error", "inventory", "values"]),
    ("accounts", &["db", "error", "values"]),
    ("inventory", &["db", "error", "values"]),
    ("ledger", &["db", "error", "values"]),
    ("operators", &["db", "error", "values"]),
    ("reporting", &["db", "error", "values"]),
    ("twiml", &["values"]),
    ("db", &["error", "values"]),
    ("error", &["values"]),
    ("config", &[]),
    ("values", &[]),
    // The library's list of rooms, and the process.
    ("lib", &[]),
];

/// A line of code, or of SQL.
#[derive(Clone)]
struct Line {
    /// Relative to the repository's root.
    file: String,
    number: usize,
    text: String,
}

impl Line {
    /// The folder below `src`, or the file's name if it is in none.
    fn room(&self) -> &str {
        let path = self.file.strip_prefix("src/").unwrap_or(&self.file);
        path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
    }

    /// The name of the file without its folder.
    fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }

    /// Whether the line holds this word as a whole.
    fn says(&self, word: &str) -> bool {
        let within = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        self.text.match_indices(word).any(|(at, _)| {
            !within(self.text[..at].chars().next_back()) && !within(self.text[at + word.len()..].chars().next())
        })
    }
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == ending) {
                found.push(entry);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} holds no .{ending} files");
    found
}

/// All lines of these files, each cut off at `comment`.
fn lines(folder: &str, ending: &str, comment: &str) -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for path in files(folder, ending) {
        let file = path.strip_prefix(root).expect("a file below the root").display().to_string();
        let text = fs::read_to_string(&path).expect("a text");
        all.extend(text.lines().enumerate().map(|(at, line)| Line {
            file: file.clone(),
            number: at + 1,
            text: line.split(comment).next().unwrap_or_default().to_owned(),
        }));
    }
    all
}

fn code() -> Vec<Line> {
    lines("src", "rs", "// ")
}

#[track_caller]
fn assert_kept<'a>(rule: &str, broken: impl IntoIterator<Item = &'a Line>) {
    let mut message = String::new();
    for line in broken {
        let _ = writeln!(message, "{}:{}: {}\n    {}", line.file, line.number, rule, line.text.trim());
    }
    assert!(message.is_empty(), "\n{message}");
}

#[test]
fn actix_web_is_known_at_the_edge_only() {
    let may =
        |line: &Line| ["app", "api", "staging", "web"].contains(&line.room()) || line.file == "src/monitoring/http.rs";
    let code = code();
    assert!(code.iter().any(|line| line.says("actix_web") && may(line)));
    let rule = "actix_web belongs in app/, api/, staging/, web/ and monitoring/http.rs";
    assert_kept(rule, code.iter().filter(|line| line.says("actix_web") && !may(line)));
}

#[test]
fn clap_is_known_to_the_command_line_only() {
    let may = |line: &Line| line.room() == "cli";
    let code = code();
    assert!(code.iter().any(|line| line.says("clap") && may(line)));
    assert_kept("clap belongs in cli/", code.iter().filter(|line| line.says("clap") && !may(line)));
}

/// The macros and functions of sqlx that take SQL, and the beginnings of statements.
fn is_sql(line: &Line) -> bool {
    let calls = ["query!", "query_as!", "query_scalar!", "query_unchecked!", "query_file!", "query_file_as!"];
    let functions = ["sqlx::query", "sqlx::query_as", "sqlx::query_scalar", "sqlx::raw_sql", "AssertSqlSafe"];
    let text = line.text.trim_start().trim_start_matches("r#").to_lowercase();
    let statement = ["\"select ", "\"insert into ", "\"update ", "\"delete from ", "\"with "];
    calls.iter().chain(&functions).any(|word| line.text.contains(word))
        || statement.iter().any(|start| text.starts_with(start))
}

#[test]
fn sql_is_in_stores_only() {
    // db/ configures connections and runs the migrations, before there is any table.
    let may = |line: &Line| line.name() == "store.rs" || line.room() == "db";
    let code = code();
    assert!(code.iter().any(|line| is_sql(line) && may(line)));
    assert_kept("SQL belongs in store.rs", code.iter().filter(|line| is_sql(line) && !may(line)));
}

#[test]
fn every_statement_is_traced_by_its_name() {
    let code = code();
    let statements = code.windows(2).filter(|pair| pair[1].name() == "store.rs" && pair[1].text.contains("async fn "));
    let (mut count, mut broken) = (0, Vec::new());
    for pair in statements {
        let folder = pair[1].file.trim_start_matches("src/").trim_end_matches("/store.rs").replace('/', ".");
        let name = pair[1].text.split("async fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next());
        let span =
            format!("#[instrument(name = \"{folder}.{}\", level = \"debug\", skip_all)]", name.unwrap_or_default());
        count += 1;
        if pair[0].text.trim() != span {
            broken.push(&pair[1]);
        }
    }
    assert!(count > 50, "{count} statements are too few");
    assert_kept("a statement has a span of its name right above it", broken);
}

#[test]
fn a_store_belongs_to_its_slice() {
    let code = code();
    let others = |line: &&Line| {
        let (room, others) = (line.room(), [&SLICES[..], &["staging"]].concat());
        others.iter().filter(|slice| **slice != room).any(|slice| line.text.contains(&format!("{slice}::store")))
    };
    assert_kept("only a slice itself uses its store.rs", code.iter().filter(others));
    let public = |line: &&Line| line.says("pub mod store") || line.says("pub(crate) mod store");
    assert_kept("a store is private to its slice", code.iter().filter(public));
}

#[test]
fn slices_and_what_is_behind_them_know_no_http() {
    let http = ["StatusCode", "HttpResponse", "HttpRequest", "HeaderName", "HeaderValue"];
    let use_case =
        |line: &&Line| SLICES.contains(&line.room()) || ["db", "error", "values", "config"].contains(&line.room());
    let knows = |line: &&Line| http.iter().any(|word| line.says(word));
    assert_kept("a slice knows no HTTP, nor does what is behind it", code().iter().filter(use_case).filter(knows));
}

/// The rooms that a line imports, also by `use crate::{accounts, inventory}`.
fn imported(line: &Line) -> BTreeSet<&str> {
    let first = |text: &'static str| line.text.split(text).skip(1);
    let until = |text: &'static str| move |rest: &'_ str| rest.find(text).unwrap_or(rest.len());
    let mut rooms = BTreeSet::new();
    for rest in first("crate::") {
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..until("}")(group)];
            rooms.extend(group.split(',').map(|part| part.trim().split("::").next().unwrap_or_default()));
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            rooms.insert(&rest[..end]);
        }
    }
    rooms
}

#[test]
fn every_room_imports_what_it_may_and_may_what_it_imports() {
    let code = code();
    let rooms: BTreeSet<_> = code.iter().map(Line::room).filter(|room| *room != "main").collect();
    assert_eq!(rooms, ROOMS.iter().map(|(room, _)| *room).collect(), "every room has a rule, and every rule a room");
    for (at, (room, may)) in ROOMS.iter().enumerate() {
        let lines = || code.iter().filter(|line| line.room() == *room);
        let rule = format!("{room} imports only {}", may.join(", "));
        let allowed = |from: &&str| from == room || may.contains(from);
        assert_kept(&rule, lines().filter(|line| !imported(line).iter().all(allowed)));
        let used: BTreeSet<_> = lines().flat_map(imported).filter(|from| from != room).collect();
        assert_eq!(used, may.iter().copied().collect(), "{room} imports all that it may");
        let unseen = |line: &&Line| line.text.ends_with("crate::{");
        assert_kept("name what is imported in one line, so that this test sees it", lines().filter(unseen));
        let above: Vec<_> = ROOMS[..at].iter().map(|(room, _)| *room).collect();
        assert!(!may.iter().any(|from| above.contains(from)), "{room} imports only from rooms below it");
    }
}

#[test]
fn a_room_is_entered_by_its_own_name() {
    let way_up = |line: &&Line| SLICES.contains(&line.room()) && line.text.contains("super::super");
    assert_kept("name another slice from crate:: on", code().iter().filter(way_up));
}

#[test]
fn time_is_asked_of_the_clock() {
    let asks = ["Utc::now", "Local::now", "SystemTime::now"];
    let broken = |line: &&Line| line.name() != "clock.rs" && asks.iter().any(|ask| line.text.contains(ask));
    assert_kept("time comes from the Clock", code().iter().filter(broken));
    // Nor from the database, whose clock a test cannot set. Only the comparison of clocks asks it.
    let asks = ["now()", "current_timestamp", "clock_timestamp", "current_date", "localtimestamp"];
    let broken = |line: &&Line| {
        let compares = line.file == "src/db/clock/store.rs";
        line.name() == "store.rs"
            && !compares
            && asks.iter().any(|ask| line.text.contains(ask))
            && !line.text.contains(".now()")
    };
    assert_kept("a store is given the time", code().iter().filter(broken));
}

#[test]
fn a_command_s_answer_writes_times_as_reports_do() {
    let (mut count, mut broken, mut is_answer) = (0, Vec::new(), false);
    let code = code();
    for pair in code.windows(2) {
        let text = pair[1].text.trim();
        if text.starts_with("#[derive(") {
            is_answer = text.contains("Serialize");
        } else if is_answer && text.contains("DateTime<Utc>") && text.ends_with(',') {
            count += 1;
            broken.extend((!pair[0].text.contains("serialize_with = \"time\"")).then_some(&pair[1]));
        } else if pair[1].text.starts_with('}') {
            is_answer = false;
        }
    }
    assert!(count > 5, "{count} times are too few");
    assert_kept("#[serde(serialize_with = \"time\")] of values/dialect.rs stands above a time", broken);
}

fn migrations() -> Vec<Line> {
    lines("migrations", "sql", "--")
}

#[test]
fn every_constraint_has_a_name() {
    let constraints = ["primary key", "references", "unique", "check", "foreign key", "exclude"];
    let mut broken = Vec::new();
    let all = migrations();
    for line in &all {
        let text = line.text.to_lowercase();
        let constrains = constraints.iter().any(|word| Line { text: text.clone(), ..line.clone() }.says(word));
        let index = text.contains("create unique index");
        if constrains && !index && !text.contains("constraint ") {
            broken.push(line);
        }
    }
    assert_kept("a constraint has a name: the code tells refusals apart by it", broken);
}

#[test]
fn every_index_has_a_name_and_a_word_of_why() {
    for path in files("migrations", "sql") {
        let text = fs::read_to_string(&path).expect("a text");
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" index ")) {
            let Some(rest) = line.split_once("index ").map(|(_, rest)| rest).filter(|_| line.starts_with("create"))
            else {
                continue;
            };
            let place = format!("{}:{}: {line}", path.display(), at + 1);
            assert!(!rest.trim_start().starts_with("on "), "an index has a name\n{place}");
            let above = at.checked_sub(1).and_then(|above| lines.get(above)).copied().unwrap_or_default();
            assert!(above.starts_with("--"), "an index has a comment right above that says why\n{place}");
        }
    }
}

/// Reads a file of the repository.
fn text_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The documents: their names, and their texts.
fn papers() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = files("docs", "md").into_iter().map(|path| {
        let file = path.strip_prefix(root).expect("a file below the root");
        file.display().to_string()
    });
    let names = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    names.map(str::to_owned).into_iter().chain(docs).map(|name| (name.clone(), text_of(&name))).collect()
}

/// The lines of a document outside of code blocks, with their numbers.
fn outside_code(paper: &str) -> Vec<(usize, &str)> {
    let mut is_code = false;
    let mut found = Vec::new();
    for (at, line) in paper.lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        if !is_code && !is_fence {
            found.push((at + 1, line));
        }
    }
    found
}

/// The cells of each row of the table that has this header.
fn table<'a>(paper: &'a str, header: &str) -> Vec<Vec<&'a str>> {
    let (_, rest) = paper.split_once(&format!("\n{header}\n")).unwrap_or_else(|| panic!("no table {header}"));
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_tests_that_the_papers_name_exist() {
    let readme_and_docs = papers().into_iter().filter(|(name, _)| name == "README.md" || name.starts_with("docs/"));
    let mut named = BTreeSet::new();
    for (paper, text) in readme_and_docs {
        let tables = text.split(" | Test |\n|---|---|\n").skip(1);
        let rows = tables.flat_map(|table| table.lines().take_while(|line| line.starts_with('|')));
        let cells = rows.map(|row| row.rsplit_once(" | ").expect("two cells").1);
        let names = cells.flat_map(|cell| cell.split('`')).filter(|name| name.contains('_'));
        named.extend(names.map(|name| (name.to_owned(), paper.clone())));
    }
    let count = named.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len();
    assert!(count > 40, "{named:?}");
    let (tests, code) = (lines("tests", "rs", "// "), code());
    for (name, paper) in named {
        let exists = tests.iter().chain(&code).any(|line| line.text.trim_start().starts_with(&format!("fn {name}(")));
        assert!(exists, "{paper} names a test that does not exist: {name}");
    }
}

#[test]
fn no_line_of_a_paper_is_too_long_to_read() {
    const LONGEST: usize = 160;
    for (paper, text) in papers() {
        for (number, line) in outside_code(&text).into_iter().filter(|(_, line)| !line.starts_with('|')) {
            let length = line.chars().count();
            assert!(length <= LONGEST, "{paper}:{number}: {length} letters, of {LONGEST} that a line may have: {line}");
        }
    }
}

/// The anchor of a heading, as links name it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_of_a_paper_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for (paper, text) in papers() {
        let lines = outside_code(&text);
        let links =
            lines.iter().flat_map(|(_, line)| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("https://")) {
            count += 1;
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let path = root.join(&paper);
            let path = if file.is_empty() { path } else { path.parent().expect("its folder").join(file) };
            assert!(path.exists(), "{paper} leads to a file that does not exist: {link}");
            let Some(heading) = heading else { continue };
            let there = fs::read_to_string(&path).expect("a text");
            let is_there = |line: &str| line.starts_with('#') && anchor(line) == heading;
            let exists = outside_code(&there).into_iter().any(|(_, line)| is_there(line));
            assert!(exists, "{paper} leads to a heading that does not exist: {link}");
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn versions_of_the_api_import_none_of_each_other() {
    for line in lines("src/api", "rs", "//") {
        let other = if line.file.contains("v2008") { "v2010" } else { "v2008" };
        let is_of_a_version = line.file != "src/api/mod.rs";
        assert!(!is_of_a_version || !line.says(other), "{}:{}: {}", line.file, line.number, line.text);
    }
}

#[test]
fn the_paper_on_the_api_has_every_route() {
    let paper = text_of("docs/api.md");
    for (routes, heading) in [
        (v2008::ROUTES, "| Path | Methods | What it does |"),
        (v2010::ROUTES, "| Path of 2010-04-01 | Methods | What it does |"),
    ] {
        let rows = table(&paper, heading);
        let mut written: Vec<_> = rows.iter().map(|row| (row[0].replace('`', ""), row[1].replace('`', ""))).collect();
        let routes = routes.iter().map(|(path, methods)| ((*path).to_owned(), methods.join(", ")));
        let mut routes: Vec<_> = routes.collect();
        written.sort();
        routes.sort();
        assert_eq!(written, routes);
    }
}

#[test]
fn the_paper_on_staging_has_every_route() {
    let paper = text_of("docs/staging.md");
    let rows = table(&paper, "| Path of a world | Methods | Who | What it does |");
    let written: Vec<_> = rows.iter().map(|row| (row[0].replace('`', ""), row[1].replace('`', ""))).collect();
    let routes = staging::ROUTES.iter().map(|(path, methods)| (format!("{}{path}", staging::TREE), methods.join(", ")));
    assert_eq!(written, routes.collect::<Vec<_>>());
}

fn names_in(folder: &str) -> Vec<String> {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder");
    let names: Vec<_> = files.map(|file| file.expect("a file").file_name().display().to_string()).collect();
    assert!(names.len() > 5, "{names:?}");
    names
}

#[test]
fn the_paper_on_staging_shows_its_suites_byte_for_byte() {
    let paper = text_of("docs/staging.md");
    for name in names_in("docs/staging") {
        let shown = paper.split_once(&format!("](staging/{name})")).and_then(|(_, rest)| {
            let (_, block) = rest.split_once("\n```")?;
            let (_, code) = block.split_once('\n')?;
            code.split_once("```\n").map(|(code, _)| code)
        });
        assert_eq!(shown, Some(&*text_of(&format!("docs/staging/{name}"))), "docs/staging.md does not show {name}");
    }
}

#[test]
fn the_paper_on_scaling_names_every_file_of_the_failover() {
    let paper = text_of("docs/scaling.md");
    for name in names_in("docs/failover") {
        assert!(
            paper.contains(&format!("| [failover/{name}](failover/{name}) | ")),
            "docs/scaling.md does not name {name}"
        );
    }
}

#[test]
fn the_paper_on_the_api_has_every_error() {
    let paper = text_of("docs/api.md");
    let rows = table(&paper, "| Code | Status | Title | When |");
    let written: Vec<_> = rows.iter().map(|row| row[..3].join(" ")).collect();
    let codes = Code::ALL.iter().map(|code| format!("{} {} {}", code.number(), code.status(), code.title()));
    assert_eq!(written, codes.collect::<Vec<_>>());
}
