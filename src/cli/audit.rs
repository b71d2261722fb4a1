//! `audit`

use serde_json::json;

use super::options::Output;
use super::show::show;
use super::{Context, Done, Failure, write_out};
use crate::audit;

pub async fn run(Context { db, output, .. }: &Context) -> Done {
    let breaches = audit::audit(db).await?;
    match output {
        Output::Json => show(*output, &json!({ "ok": breaches.is_empty(), "breaches": breaches }))?,
        _ if breaches.is_empty() => write_out("all seven invariants hold\n")?,
        _ => show(*output, &breaches)?,
    }
    match breaches.len() {
        0 => Ok(()),
        1 => Err(Failure::Found("one breach of the invariants".to_owned())),
        count => Err(Failure::Found(format!("{count} breaches of the invariants"))),
    }
}
