//! Below how many available numbers an area code is low on stock.

use super::store;
use crate::db::Db;
use crate::db::transact::transact;
use crate::error::Result;
use crate::values::phone::{AreaCode, Kind};

/// How many available numbers of an area code are too few.
#[derive(Debug, serde::Serialize)]
pub struct Threshold {
    pub kind: Kind,
    pub area_code: i16,
    pub threshold: i32,
}

/// All thresholds, by kind and area code.
///
/// # Errors
/// If the database is out of reach.
pub async fn thresholds(db: &Db) -> Result<Vec<Threshold>> {
    Ok(store::thresholds(db).await?)
}

/// Sets the threshold of an area code; 0 removes it.
///
/// # Errors
/// If the database is out of reach.
pub async fn set_threshold(db: &Db, area_code: AreaCode, threshold: i32) -> Result<()> {
    transact(db, async |within| {
        match threshold {
            0 => store::remove_threshold(within, area_code).await?,
            _ => store::set_threshold(within, area_code, threshold).await?,
        }
        Ok(())
    })
    .await
}
