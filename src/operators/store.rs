//! Statements on the record of operators' actions.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Result, query, query_scalar};
use tracing::instrument;

use super::{Action, Operator, Outcome};
use crate::db::Db;
use crate::values::sid::AccountSid;

#[instrument(name = "operators.begin", level = "debug", skip_all)]
pub async fn begin(db: &Db, operator: &Operator, action: &Action, now: DateTime<Utc>) -> Result<i64> {
    query_scalar!(
        "insert into operator_actions (at, operator, login, action, arguments)
        values ($1, $2, $3, $4, $5::text::jsonb) returning id",
        now,
        operator.name,
        operator.login,
        action.words,
        json!(action.arguments).to_string()
    )
    .fetch_one(db)
    .await
}

#[instrument(name = "operators.end", level = "debug", skip_all)]
pub async fn end(db: &Db, id: i64, outcome: &Outcome, now: DateTime<Utc>) -> Result<()> {
    let (word, reason, account) = match outcome {
        Outcome::Done(account) => ("done", None, *account),
        Outcome::Refused(reason) => ("refused", Some(reason), None),
        Outcome::Failed => ("failed", None, None),
        Outcome::Interrupted => ("interrupted", None, None),
        Outcome::Unknown => ("unknown", None, None),
    };
    query!(
        "insert into operator_outcomes (action_id, at, outcome, reason, account_sid)
        values ($1, $2, $3::text::action_outcome, $4, $5)",
        id,
        now,
        word,
        reason,
        account as Option<AccountSid>
    )
    .execute(db)
    .await?;
    Ok(())
}
