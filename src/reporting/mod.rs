//! Reporting: the views of the schema `reporting`, which are a promise, row by row. What they show is
//! said in the migrations.

use futures_util::TryStreamExt;

use crate::db::Db;
use crate::error::{Error, Result};

mod store;

/// A view.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub name: &'static str,
    /// The columns that put its rows in order.
    order: &'static str,
}

/// All views.
pub const VIEWS: [View; 11] = [
    View { name: "inventory", order: "phone_number" },
    View { name: "inventory_summary", order: "kind, area_code" },
    View { name: "low_stock", order: "kind, area_code" },
    View { name: "accounts", order: "created_at, sid" },
    View { name: "tenancies", order: "phone_number, started_at, ended_at" },
    View { name: "holdings", order: "phone_number, held_from, held_until" },
    View { name: "moves", order: "phone_number, at, id" },
    View { name: "ledger", order: "account_sid, id" },
    View { name: "monthly_revenue", order: "month, kind, charge" },
    View { name: "operator_actions", order: "id" },
    View { name: "imports", order: "id" },
];

/// A view by its name and what it shows.
#[derive(Debug, serde::Serialize)]
pub struct Described {
    pub name: String,
    pub shows: String,
}

/// How the rows of a view are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A header, then a line for each row.
    Csv,
    /// An object for each row.
    Json,
}

/// All views, as the database describes them.
///
/// # Errors
/// When the database is out of reach.
pub async fn list(db: &Db) -> Result<Vec<Described>> {
    Ok(store::describe(db, &VIEWS.map(|view| view.name.to_owned())).await?)
}

/// The columns of a view that hold text, which somebody may have chosen.
///
/// # Errors
/// When the database is out of reach.
pub async fn texts(db: &Db, view: View) -> Result<Vec<String>> {
    Ok(store::texts(db, view.name).await?)
}

/// Gives the rows of a view one by one, each with the end of its line, so that millions need no memory.
///
/// # Errors
/// When the database is out of reach, or a row is not taken.
pub async fn rows<E: From<Error>>(
    db: &Db,
    view: View,
    form: Form,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut transaction = db.begin().await.map_err(Error::from)?;
    let mut rows = store::copy(&mut transaction, view, form).await.map_err(Error::from)?;
    while let Some(row) = rows.try_next().await.map_err(Error::from)? {
        take(row.as_ref())?;
    }
    Ok(())
}
