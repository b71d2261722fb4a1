//! Reporting: the views of the schema `reporting`, row by row. The migrations define them; their columns are a promise.

use futures_util::TryStreamExt;

use crate::db::Db;
use crate::error::{Error, Result};

mod store;

/// A view.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub name: &'static str,
    /// The columns that its rows are sorted by.
    order: &'static str,
}

/// All views.
pub const VIEWS: [View; 17] = [
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
    View { name: "transfers", order: "id" },
    View { name: "account_events", order: "account_sid, id" },
    View { name: "daily_revenue", order: "day, kind, charge, account_sid" },
    View { name: "margins", order: "phone_number" },
    View { name: "prices", order: "account_sid nulls first, kind" },
    View { name: "price_history", order: "id" },
];

/// A view and its description.
#[derive(Debug, serde::Serialize)]
pub struct Described {
    pub name: String,
    pub shows: String,
}

/// The output format.
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
/// If the database is out of reach.
pub async fn list(db: &Db) -> Result<Vec<Described>> {
    Ok(store::describe(db, &VIEWS.map(|view| view.name.to_owned())).await?)
}

/// The text columns of a view: a tenant may have chosen their values.
///
/// # Errors
/// If the database is out of reach.
pub async fn texts(db: &Db, view: View) -> Result<Vec<String>> {
    Ok(store::texts(db, view.name).await?)
}

/// Passes the rows of a view to `take` one by one, each with its line end. Millions of rows need no memory.
///
/// # Errors
/// If the database is out of reach, and those of `take`.
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
