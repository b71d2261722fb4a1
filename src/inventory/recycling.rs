//! Which numbers go back on sale with the next run.

use chrono::{DateTime, Utc};

use super::Quarantine;
use crate::db::Db;
use crate::error::Result;
use crate::values::phone::Kind;
use crate::values::sid::AccountSid;

mod store;

/// Numbers whose quarantine has ended, by the account that held them last.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Recyclable {
    pub account_sid: Option<AccountSid>,
    pub account_name: Option<String>,
    pub kind: Kind,
    pub recycled: i64,
}

/// What [`recycle`](super::recycle) would put on sale now. It takes no lock and writes nothing.
///
/// # Errors
/// If the database is out of reach.
pub async fn recyclable(db: &Db, as_of: DateTime<Utc>, quarantine: Quarantine) -> Result<Vec<Recyclable>> {
    Ok(store::recyclable(db, as_of - quarantine.local, as_of - quarantine.tollfree).await?)
}

/// When the next quarantine ends. It may be in the past.
///
/// # Errors
/// If the database is out of reach.
pub async fn next_recycling(db: &Db, quarantine: Quarantine) -> Result<Option<DateTime<Utc>>> {
    let [local, tollfree] =
        [quarantine.local, quarantine.tollfree].map(|length| i32::try_from(length.num_days()).unwrap_or(i32::MAX));
    Ok(store::next_recycling(db, local, tollfree).await?)
}
