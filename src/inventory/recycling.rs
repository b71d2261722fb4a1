//! Which numbers go back on sale with the next run.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;

use super::Quarantine;
use crate::db::Db;
use crate::error::{Error, Result};
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

/// What [`recycle`](super::recycle) would put on sale now: passes each account to `take`, with the number of all of them.
/// It takes no lock and writes nothing.
///
/// # Errors
/// If the database is out of reach, and those of `take`.
pub async fn recyclable<E: From<Error>>(
    db: &Db,
    as_of: DateTime<Utc>,
    quarantine: Quarantine,
    mut take: impl FnMut(i64, &Recyclable) -> Result<(), E>,
) -> Result<(), E> {
    let mut snapshot = db.snapshot().await.map_err(Error::from)?;
    let mut rows = store::recyclable(&mut snapshot, as_of - quarantine.local, as_of - quarantine.tollfree);
    while let Some((all, row)) = rows.try_next().await.map_err(Error::from)? {
        take(all, &row)?;
    }
    Ok(())
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
