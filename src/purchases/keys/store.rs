//! The statements on idempotency keys.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as};
use tracing::instrument;

use crate::db::Db;
use crate::db::walk::Portion;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// The purchase that is stored with a key.
pub struct First {
    pub request: Vec<u8>,
    pub sid: NumberSid,
    pub phone_number: PhoneNumber,
    pub started_at: DateTime<Utc>,
}

#[instrument(name = "purchases.keys.recall", level = "debug", skip_all)]
pub async fn recall(db: &Db, account: AccountSid, key: &str, since: DateTime<Utc>) -> Result<Option<First>> {
    query_as!(
        First,
        r#"select request, tenancies.sid as "sid: NumberSid", phone_number as "phone_number: PhoneNumber", started_at
        from idempotency_keys join tenancies on tenancies.sid = tenancy_sid
        where idempotency_keys.account_sid = $1 and key = $2 and created_at > $3"#,
        account as AccountSid,
        key,
        since
    )
    .fetch_optional(db)
    .await
}

/// Deletes a key that is too old.
#[instrument(name = "purchases.keys.forget", level = "debug", skip_all)]
pub async fn forget(db: &Db, account: AccountSid, key: &str, since: DateTime<Utc>) -> Result<()> {
    query!(
        "delete from idempotency_keys where account_sid = $1 and key = $2 and created_at <= $3",
        account as AccountSid,
        key,
        since
    )
    .execute(db)
    .await
    .map(drop)
}

/// Deletes the keys in some pages that are too old, but for those that others have locked. There is no index by age, because
/// each purchase would have to write it: a BRIN index too, whose newest entry every key would move on.
#[instrument(name = "purchases.keys.forget_some", level = "debug", skip_all)]
pub async fn forget_some(db: &Db, since: DateTime<Utc>, pages: Portion) -> Result<u64> {
    let result = query!(
        "delete from idempotency_keys where ctid = any(array(
            select ctid from idempotency_keys
            where ctid >= format('(%s,0)', $2::bigint)::tid and ctid < format('(%s,0)', $3::bigint)::tid
                and created_at <= $1
            for update skip locked
        ))",
        since,
        pages.first,
        pages.end
    );
    Ok(result.execute(db).await?.rows_affected())
}
