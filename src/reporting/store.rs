//! Statements on the views.

use futures_util::stream::BoxStream;
use sqlx::{Result, query_as, query_scalar};
use tracing::instrument;

use super::{Described, Form, View};
use crate::db::{Db, Transaction};

/// The views with these names, in their order.
#[instrument(name = "reporting.describe", level = "debug", skip_all)]
pub async fn describe(db: &Db, names: &[String]) -> Result<Vec<Described>> {
    query_as!(
        Described,
        r#"select relname::text as "name!", coalesce(obj_description(oid, 'pg_class'), '') as "shows!"
        from pg_class where relnamespace = 'reporting'::regnamespace and relname = any($1)
        order by array_position($1, relname::text)"#,
        names
    )
    .fetch_all(db)
    .await
}

/// The columns of a view with a text type, in their order.
#[instrument(name = "reporting.texts", level = "debug", skip_all)]
pub async fn texts(db: &Db, view: &str) -> Result<Vec<String>> {
    query_scalar!(
        r#"select attname::text as "name!" from pg_attribute
        join pg_class on pg_class.oid = attrelid join pg_type on pg_type.oid = atttypid
        where relnamespace = 'reporting'::regnamespace and relname = $1 and attnum > 0 and typcategory = 'S'
        order by attnum"#,
        view
    )
    .fetch_all(db)
    .await
}

/// The rows of a view, written by PostgreSQL, which sends each one by itself.
#[instrument(name = "reporting.copy", level = "debug", skip_all)]
pub async fn copy(within: &mut Transaction, view: View, form: Form) -> Result<BoxStream<'_, Result<impl AsRef<[u8]>>>> {
    let View { name, order } = view;
    let (row, options) = match form {
        Form::Csv => ("*", "header"),
        // In JSON these two characters are always escaped, so nothing is quoted twice.
        Form::Json => ("row_to_json(report)", r"delimiter e'\x01', quote e'\x02'"),
    };
    let statement = format!(
        "copy (select {row} from reporting.{name} as report order by {order}) to stdout (format csv, {options})"
    );
    within.copy_out_raw(&statement).await
}
