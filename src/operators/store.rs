//! Statements on the record of operators' actions.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Result, query, query_scalar};
use tracing::instrument;

use super::{About, Action, Operator, Outcome};
use crate::db::Db;
use crate::values::phone::PhoneNumber;
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
pub async fn end(db: &Db, id: i64, outcome: &Outcome, about: &About, now: DateTime<Utc>) -> Result<()> {
    let (word, reason) = match outcome {
        Outcome::Done => ("done", None),
        Outcome::Refused(reason) => ("refused", Some(reason)),
        Outcome::Failed => ("failed", None),
        Outcome::Interrupted => ("interrupted", None),
        Outcome::Unknown => ("unknown", None),
    };
    query!(
        // An account that is named by its whole Sid may not be there.
        "insert into operator_outcomes (action_id, at, outcome, reason, account_sid, phone_number, counts)
        values ($1, $2, $3::text::action_outcome, $4, (select sid from accounts where sid = $5), $6, $7::text::jsonb)",
        id,
        now,
        word,
        reason,
        about.account as Option<AccountSid>,
        about.number.map(PhoneNumber::digits),
        about.counts.as_ref().map(ToString::to_string)
    )
    .execute(db)
    .await?;
    Ok(())
}
