//! The PostgreSQL of one run: created, filled, restocked, and removed in the end.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use numberbank::platform::embedded_pg::{CONNECTIONS, Cluster, ClusterOptions};

use crate::{Result, credentials};

/// The area codes with numbers for sale.
pub const AREA_CODES: [u16; 20] =
    [201, 202, 203, 205, 206, 212, 213, 303, 312, 404, 415, 503, 512, 602, 617, 702, 713, 801, 901, 919];
/// How many ranges are added at once: each has 880,000 numbers at most, and 10,000,000 can be.
const RANGES_AT_ONCE: usize = 10;
/// Numbers left of the million in area code 907.
const LAST: u64 = 1000;
/// Accounts that buy and read. After them come one with a million numbers and one with fifty: see sql/fill.sql.
pub const ACCOUNTS: u64 = 20;
const ALL_ACCOUNTS: u64 = 2022;

/// How large a database is.
#[derive(Clone, Copy)]
pub struct Size {
    /// Numbers for sale, over all area codes.
    pub for_sale: u64,
    /// Numbers that were sold a year ago, with all their fees since.
    pub history: u64,
}

impl Size {
    pub const USUAL: Self = Self { for_sale: 1_000_000, history: 0 };

    /// One million numbers sold a year ago, and `for_sale` million for sale.
    pub const fn millions(for_sale: u64) -> Self {
        Self { for_sale: for_sale * 1_000_000, history: 1_000_000 }
    }
}

pub struct Database {
    cluster: Cluster,
    /// Stops the server and removes its folder when this process ends in any way.
    _guard: Child,
    program: PathBuf,
    /// The folder of psql and pgbench; `None` searches the path.
    programs: Option<PathBuf>,
    for_sale: u64,
    /// How many numbers were added to each area code so far.
    added: u64,
    /// The next number to add to the area code that is nearly sold out, as sql/fill.sql counts them.
    next_last: u64,
    /// The next number to sell, as sql/fill.sql counts them.
    next_sold: u64,
    /// The next account without a request so far.
    next_stranger: u64,
}

impl Database {
    pub fn make(program: &Path, folder: &Path, size: Size) -> Result<Self> {
        let programs = std::env::var_os("PG_BIN").map(PathBuf::from);
        // As root, the server runs as another user, who must be able to enter.
        let mut temporary = tempfile::Builder::new();
        temporary.prefix("nb-bench-").permissions(std::fs::Permissions::from_mode(0o755));
        let data_dir = temporary.tempdir_in(folder)?.keep();
        let guard = guard(&data_dir)?;
        let cluster = Cluster::open(&ClusterOptions {
            data_dir: Some(data_dir),
            bin: programs.clone(),
            fsync: true,
            connections: CONNECTIONS,
        })?;
        let mut database = Self {
            cluster,
            _guard: guard,
            program: program.to_owned(),
            programs,
            for_sale: size.for_sale,
            added: 0,
            next_last: 999_001,
            next_sold: 1_300_000,
            next_stranger: ACCOUNTS + 3,
        };
        database.program(&["migrate"])?;
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/sql/fill.sql");
        let digests = tempfile::Builder::new().suffix(".sql").tempfile()?;
        std::fs::write(&digests, credentials::digests(ALL_ACCOUNTS))?;
        let history = format!("history={}", size.history);
        let mut fill = database.client("psql");
        run(fill.args(["-Xqv", "ON_ERROR_STOP=1", "-v", &history, "-f"]).arg(digests.path()).args(["-f", file]))?;
        database.restock()?;
        database.sql("vacuum analyze")?;
        Ok(database)
    }

    /// Runs a command of the program that is measured.
    pub fn program(&self, arguments: &[&str]) -> Result<String> {
        run(self.command().args(arguments))
    }

    /// The measured program, without this process' settings.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NUMBERBANK_")) {
            command.env_remove(name);
        }
        command.env("DATABASE_URL", self.cluster.url()).env("RUST_LOG", "warn").stdin(Stdio::null());
        command
    }

    /// One of PostgreSQL's own programs, on this database.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(match &self.programs {
            Some(folder) if folder.join(name).exists() => folder.join(name),
            _ => name.into(),
        });
        command.env("PGHOST", self.cluster.data_dir().join("pg")).env("PGPORT", "5432").env("PGSSLMODE", "disable");
        command.env("PGUSER", "numberbank").env("PGDATABASE", "numberbank").stdin(Stdio::null());
        command
    }

    /// The plain result of a statement.
    pub fn sql(&self, statement: &str) -> Result<String> {
        Ok(run(self.client("psql").args(["-XqAtv", "ON_ERROR_STOP=1", "-c", statement]))?.trim().to_owned())
    }

    pub fn version(&self) -> Result<String> {
        self.sql("show server_version")
    }

    /// Adds numbers until enough are for sale: equally over the area codes, and the last few in their own.
    pub fn restock(&mut self) -> Result<()> {
        let missing = (self.for_sale - self.left("<>")?.min(self.for_sale)).div_ceil(AREA_CODES.len() as u64);
        let mut ranges: Vec<_> = AREA_CODES.iter().flat_map(|&area| ranges(area, self.added, missing)).collect();
        let last = LAST - self.left("=")?.min(LAST);
        ranges.extend(self::ranges(907, self.next_last, last));
        self.added += missing;
        self.next_last += last;
        ranges
            .chunks(RANGES_AT_ONCE)
            .try_for_each(|some| run(self.command().args(["inventory", "add"]).args(some)).map(drop))
    }

    /// How many numbers are for sale in the area code that is nearly sold out, or in the others.
    fn left(&self, which: &str) -> Result<u64> {
        let statement = format!("select coalesce(sum(available), 0) from stock_counts where area_code {which} 907");
        Ok(self.sql(&statement)?.parse()?)
    }

    /// Some numbers that are for sale, in no order.
    pub fn some_for_sale(&self, count: u64) -> Result<Vec<String>> {
        let statement = format!(
            "select phone_number from stock where state = 'available' and area_code <> 907 order by pick limit {count}"
        );
        Ok(self.sql(&statement)?.lines().map(str::to_owned).collect())
    }

    /// Sells `count` numbers to the accounts, to be released; returns the first one's index.
    pub fn sell(&mut self, count: u64) -> Result<u64> {
        let first = self.next_sold;
        self.next_sold += count;
        self.sql(&format!("call bench.sell({first}, {}, null)", self.next_sold - 1))?;
        Ok(first)
    }

    /// Accounts that have sent no request yet.
    pub fn strangers(&mut self, count: u64) -> Result<Range<u64>> {
        let first = self.next_stranger;
        self.next_stranger += count;
        Some(first..self.next_stranger)
            .filter(|strangers| strangers.end <= ALL_ACCOUNTS + 1)
            .ok_or_else(|| "no account is left that has not asked before: measure fewer pairs".into())
    }

    pub fn close(self) -> Result<()> {
        Ok(self.cluster.close()?)
    }
}

/// The ranges that hold `count` numbers of an area code. Its numbers are counted as sql/fill.sql does: 0 is 200-0000,
/// and exchanges N11 are left out.
fn ranges(area: u16, first: u64, count: u64) -> Vec<String> {
    let mut ranges = Vec::new();
    let (mut from, end) = (first, first + count);
    while from < end {
        let (million, within) = (from / 990_000, from % 990_000);
        let (skipped, until) = if within < 110_000 { (0, 110_000) } else { (10_000, 990_000) };
        let to = end.min(million * 990_000 + until);
        let number = u64::from(area) * 10_000_000 + 2_000_000 + million * 1_000_000 + within + skipped;
        ranges.push(format!("{number}-{}", number + to - from - 1));
        from = to;
    }
    ranges
}

/// A process that waits until its standard input ends. In a process group of its own, or Ctrl-C would end it first.
fn guard(folder: &Path) -> Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", "cat; kill -QUIT \"$(head -n 1 \"$1\"/pg/cluster/postmaster.pid)\"; rm -rf \"$1\"", "sh"]);
    command.arg(folder).process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn()?)
}

/// Runs a program to its end; returns what it wrote.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!("{name} failed: {}{text}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(text)
}
