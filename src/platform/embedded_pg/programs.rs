//! Finds PostgreSQL's server programs, `initdb` and `postgres`.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest supported major version.
pub(super) const OLDEST: u32 = 13;

/// A folder of server programs. In sorted order, the best is the last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Installation {
    /// False for wrapper scripts: PostgreSQL may not find its files through them.
    pub(super) genuine: bool,
    pub(super) version: u32,
    pub(super) dir: PathBuf,
}

/// Those of the folders that hold server programs of a supported version, the best last.
pub(super) fn installations(dirs: Vec<PathBuf>) -> Vec<Installation> {
    // Resolves symbolic links: PostgreSQL finds its files relative to the real path of its programs.
    let real = dirs.iter().filter_map(|dir| Some(dir.join("initdb").canonicalize().ok()?.parent()?.to_owned()));
    let mut real: Vec<_> = real.filter(|dir| dir.join("postgres").is_file()).collect();
    real.sort();
    real.dedup();
    let mut found: Vec<_> = real
        .into_iter()
        .filter_map(|dir| {
            let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
            let version = parse_version(&String::from_utf8_lossy(&output.stdout))?;
            let genuine = !["initdb", "postgres"].iter().any(|name| is_script(&dir.join(name)));
            Some(Installation { genuine, version, dir })
        })
        .filter(|program| program.version >= OLDEST)
        .collect();
    found.sort();
    found
}

pub(super) fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"#!"
}

/// `postgres (PostgreSQL) 15.7 (Debian 15.7-0+deb12u1)` is 15, `postgres (PostgreSQL) 18beta1` is 18.
pub(super) fn parse_version(text: &str) -> Option<u32> {
    leading_number(text.split_once("(PostgreSQL) ")?.1)
}

pub(super) fn leading_number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The folders to search: `PATH`, the one that `pg_config` names, and those of common packages.
pub(super) fn program_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        env::var_os("PATH").iter().flat_map(env::split_paths).filter(|dir| dir.is_absolute()).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(String::from_utf8_lossy(&output.stdout).trim_end().into());
    }
    for (parent, prefix, below) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(|e| e.file_name().as_bytes().starts_with(prefix.as_bytes()));
        dirs.extend(named.map(|entry| entry.path().join(below)));
    }
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.7 (Debian 15.7-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_version("not found\n"), None);
        assert_eq!(leading_number("17\n"), Some(17));
    }

    #[test]
    fn genuine_programs_are_preferred_to_scripts_then_the_newest() {
        let program = |genuine, version| Installation { genuine, version, dir: PathBuf::new() };
        let mut found = vec![program(true, 15), program(false, 18), program(true, 17)];
        found.sort();
        assert_eq!(found, [program(false, 18), program(true, 15), program(true, 17)]);
    }
}
