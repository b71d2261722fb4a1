//! The statements on the server's databases, of which each world has one.

use sqlx::{AssertSqlSafe, Result, query, query_scalar, raw_sql};
use tracing::instrument;

use crate::db::{Db, Transaction};

/// Takes a lock that this transaction holds to its end, if nobody holds it. Its name is that of a database.
#[instrument(name = "staging.database.try_lock", level = "debug", skip_all)]
pub async fn try_lock(within: &mut Transaction, name: &str) -> Result<bool> {
    query_scalar!(r#"select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as "taken!""#, name)
        .fetch_one(&mut **within)
        .await
}

/// As [`try_lock`], and waits for it.
#[instrument(name = "staging.database.lock", level = "debug", skip_all)]
pub async fn lock(within: &mut Transaction, name: &str) -> Result<()> {
    query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", name).execute(&mut **within).await.map(drop)
}

/// The id of the role.
#[instrument(name = "staging.database.role", level = "debug", skip_all)]
pub async fn role(db: &Db) -> Result<String> {
    query_scalar!(r#"select oid::text as "oid!" from pg_roles where rolname = current_user"#).fetch_one(db).await
}

/// Fails where the transaction's connection has ended.
#[instrument(name = "staging.database.is_held", level = "debug", skip_all)]
pub async fn is_held(within: &mut Transaction) -> Result<()> {
    query("select").execute(&mut **within).await.map(drop)
}

/// Whether there is a database of this name.
#[instrument(name = "staging.database.exists", level = "debug", skip_all)]
pub async fn exists(db: &Db, name: &str) -> Result<bool> {
    query_scalar!(r#"select exists (select from pg_database where datname = $1) as "exists!""#, name)
        .fetch_one(db)
        .await
}

/// The databases whose names begin so, and which this role may drop.
#[instrument(name = "staging.database.databases", level = "debug", skip_all)]
pub async fn databases(db: &Db, beginning: &str) -> Result<Vec<String>> {
    query_scalar!(
        r#"select datname::text as "name!" from pg_database
        where starts_with(datname, $1) and pg_has_role(datdba, 'usage') order by datname"#,
        beginning
    )
    .fetch_all(db)
    .await
}

/// Makes a database, as a copy of another one.
#[instrument(name = "staging.database.copy", level = "debug", skip_all)]
pub async fn copy(db: &Db, name: &str, template: &str) -> Result<()> {
    raw_sql(AssertSqlSafe(format!("create database \"{name}\" template \"{template}\""))).execute(db).await.map(drop)
}

/// Makes an empty database in UTF-8, in which texts are sorted by their bytes. The server's defaults may be others.
#[instrument(name = "staging.database.make", level = "debug", skip_all)]
pub async fn make(db: &Db, name: &str) -> Result<()> {
    let statement =
        format!("create database \"{name}\" template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'");
    raw_sql(AssertSqlSafe(statement)).execute(db).await.map(drop)
}

/// Gives a database another name. Nobody may be connected to it.
#[instrument(name = "staging.database.rename", level = "debug", skip_all)]
pub async fn rename(db: &Db, name: &str, new: &str) -> Result<()> {
    raw_sql(AssertSqlSafe(format!("alter database \"{name}\" rename to \"{new}\""))).execute(db).await.map(drop)
}

/// Lets nobody connect to a database, so that it can be copied at any time.
#[instrument(name = "staging.database.shut", level = "debug", skip_all)]
pub async fn shut(db: &Db, name: &str) -> Result<()> {
    raw_sql(AssertSqlSafe(format!("alter database \"{name}\" with allow_connections false")))
        .execute(db)
        .await
        .map(drop)
}

/// Drops a database, unless somebody is connected to it.
#[instrument(name = "staging.database.drop_unused", level = "debug", skip_all)]
pub async fn drop_unused(db: &Db, name: &str) -> Result<()> {
    raw_sql(AssertSqlSafe(format!("drop database if exists \"{name}\""))).execute(db).await.map(drop)
}

/// Drops a database, and disconnects everybody from it.
#[instrument(name = "staging.database.drop_by_force", level = "debug", skip_all)]
pub async fn drop_by_force(db: &Db, name: &str) -> Result<()> {
    raw_sql(AssertSqlSafe(format!("drop database if exists \"{name}\" with (force)"))).execute(db).await.map(drop)
}
