//! Secrets for a command come from standard input, because others can see arguments and the environment.

use std::io::{self, IsTerminal, Read};

use super::Failure;
use crate::accounts::{AuthToken, NotAToken};

/// The most bytes that are read: more than any token with its line end.
const MOST: u64 = 128;

/// The token that a person chose for an account: the only line of standard input.
pub async fn token() -> Result<AuthToken, Failure> {
    tokio::task::spawn_blocking(|| read(io::stdin().lock())).await.map_err(io::Error::other)?
}

fn read(input: impl Read + IsTerminal) -> Result<AuthToken, Failure> {
    let bad = |what: &str| Failure::Bad(format!("--token-stdin: {what}"));
    if input.is_terminal() {
        return Err(bad("give the token by a pipe or a file, as in '--token-stdin < token.txt'; a terminal shows it"));
    }
    let mut text = Vec::new();
    input.take(MOST).read_to_end(&mut text)?;
    let line = text.strip_suffix(b"\n").unwrap_or(&text);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let token = str::from_utf8(line).unwrap_or_default().parse();
    token.map_err(|expected: NotAToken| bad(&format!("one line of {expected}")))
}
