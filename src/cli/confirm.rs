//! Asks before something that cannot be undone, or not easily.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use clap::Args;

use super::Failure;
use super::terminal::visible;

/// Longer than any name.
const MOST: u64 = 1024;

/// Of commands that ask.
#[derive(Args, Clone, Copy, Debug)]
pub struct Sure {
    /// Do not ask: for scripts
    #[arg(long)]
    yes: bool,
}

impl Sure {
    /// Whether the operator is asked.
    pub const fn asks(self) -> bool {
        !self.yes
    }

    /// Goes on if the operator is sure. On a terminal he sees what will go, and types the name; without one `--yes` must be
    /// given.
    pub async fn of(self, what_goes: &str, name: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Refused(format!("{what_goes}: --yes confirms it")));
        }
        // Nobody types a name that cannot be seen.
        let name = if name.trim().is_empty() { "yes" } else { name };
        let question = format!("{}. To go on, type {}: ", visible(what_goes), visible(name));
        let typed = tokio::task::spawn_blocking(move || ask(&question)).await.map_err(io::Error::other)??;
        match typed.trim() == name.trim() {
            true => Ok(()),
            false => Err(Failure::Refused(format!("'{}' is not '{name}': nothing was changed", typed.trim()))),
        }
    }
}

/// On standard error, for the answer may go into a file.
fn ask(question: &str) -> io::Result<String> {
    // Not locked while the answer is waited for: at a signal, the last line goes there too.
    write!(io::stderr(), "{question}").and_then(|()| io::stderr().flush())?;
    let mut line = String::new();
    io::stdin().lock().take(MOST).read_line(&mut line)?;
    Ok(line)
}
