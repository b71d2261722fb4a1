//! `audit`

use clap::Args;
use serde_json::json;

use super::options::Output;
use super::show::show;
use super::{Context, Done, Failure, write_out};
use crate::audit::{self, Breach, Extent};

#[derive(Args, Debug)]
pub struct Audit {
    /// Prove the ledger from its first entry on. Without this, months that were closed at an earlier audit count as proven
    #[arg(long)]
    full: bool,
}

impl Audit {
    pub async fn run(self, Context { db, output, clock, .. }: &Context) -> Done {
        let extent = if self.full { Extent::Full } else { Extent::Open };
        tell(*output, &audit::audit(db, extent, clock.now()).await?)
    }
}

fn tell(output: Output, breaches: &[Breach]) -> Done {
    match output {
        Output::Json => show(output, &json!({ "ok": breaches.is_empty(), "breaches": breaches }))?,
        _ if breaches.is_empty() => write_out("all seven invariants hold\n")?,
        _ => show(output, &breaches)?,
    }
    match breaches.len() {
        0 => Ok(()),
        1 => Err(Failure::Found("one breach of the invariants".to_owned())),
        count => Err(Failure::Found(format!("{count} breaches of the invariants"))),
    }
}
