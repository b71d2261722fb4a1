//! The database of a world: a copy of a template that has the whole schema, under a lock that dies with the process.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::{Unopened, store};
use crate::db::{self, Db, Meant, Transaction};
use crate::values::sid::random_bits;

/// The beginning of the names of databases that are dropped at the end. No world can be named so that its database has it.
const PASSING: &str = "nbworld-";

/// A world's name: 1 to 40 lower-case letters, digits and underscores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a world's name is 1 to {} lower-case letters, digits and underscores", Name::LONGEST)]
pub struct NotAName;

impl Name {
    /// So that PostgreSQL cuts off nothing of the database's name.
    const LONGEST: usize = 40;

    /// The name of its database.
    pub fn database(&self) -> String {
        format!("nbworld_{}", self.0)
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let may_be = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let is_one = (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(may_be);
        is_one.then(|| Self(text.to_owned())).ok_or(NotAName)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The database of a world of this process.
pub struct Database {
    pub name: String,
    /// Whether it stays when the process ends.
    pub stays: bool,
    pub options: PgConnectOptions,
    /// Another database of the same server, in which databases are made and dropped.
    beside: Db,
    beside_options: PgConnectOptions,
    /// Holds the lock on the name.
    lock: Transaction,
}

impl Database {
    /// Locks a name. `beside` is any database of the server.
    ///
    /// # Errors
    /// If another process has the lock, or the database is out of reach.
    pub async fn lock(beside: &PgConnectOptions, name: Option<&Name>) -> Result<Self, Unopened> {
        let database = name.map_or_else(|| format!("{PASSING}{:016x}", random_bits() >> 64), Name::database);
        let (options, beside_options) = (beside.clone().database(&database), beside.clone());
        let beside = db::for_command(beside);
        let mut lock = beside.begin().await?;
        if !store::try_lock(&mut lock, &database).await? {
            return Err(Unopened::Busy(database));
        }
        Ok(Self { name: database, stays: name.is_some(), options, beside, beside_options, lock })
    }

    /// # Errors
    /// If the database is out of reach.
    pub async fn exists(&self) -> Result<bool, Unopened> {
        Ok(store::exists(&self.beside, &self.name).await?)
    }

    /// Makes it, with the whole schema and nothing else.
    ///
    /// # Errors
    /// If the role may not make databases, or the server is out of reach.
    pub async fn make(&self) -> Result<(), Unopened> {
        let template = self.template().await?;
        store::copy(&self.beside, &self.name, &template).await.map_err(unmade)
    }

    /// Makes it under another name, does work on it, and gives it its name once it is complete: a process that is killed
    /// leaves nothing half done under a name that stays.
    ///
    /// # Errors
    /// Those of the work, and if it cannot be made.
    pub async fn make_by(
        &self,
        work: impl AsyncFnOnce(&PgConnectOptions) -> Result<(), Unopened>,
    ) -> Result<(), Unopened> {
        let making = Self::lock(&self.beside_options, None).await?;
        let made = async {
            making.make().await?;
            work(&making.options).await?;
            Ok(store::rename(&making.beside, &making.name, &self.name).await?)
        };
        let made = made.await;
        making.close().await?;
        made
    }

    /// # Errors
    /// If the server is out of reach.
    pub async fn drop(&self) -> Result<(), Unopened> {
        Ok(store::drop_by_force(&self.beside, &self.name).await?)
    }

    /// Lets go of it, and drops it unless it stays. All connections to it should be closed before.
    ///
    /// # Errors
    /// If it could not be dropped: a later world will.
    pub async fn close(self) -> Result<(), Unopened> {
        let dropped = if self.stays { Ok(()) } else { self.drop().await };
        let _ = self.lock.rollback().await;
        self.beside.close().await;
        dropped
    }

    /// The database to copy, made if there is none of this schema. Those of other versions are left to them.
    async fn template(&self) -> Result<String, Unopened> {
        let template = format!("nbtemplate_{}", db::schema_name());
        if store::exists(&self.beside, &template).await? {
            return Ok(template);
        }
        let mut alone = self.beside.begin().await?;
        store::lock(&mut alone, &template).await?;
        if !store::exists(&self.beside, &template).await? {
            // Under a name whose leftovers are dropped, because this process may be killed.
            let making = Self::lock(&self.beside_options, None).await?;
            store::make(&making.beside, &making.name).await.map_err(unmade)?;
            db::migrate(&making.options, Meant::Registry).await?;
            store::shut(&making.beside, &making.name).await?;
            store::rename(&making.beside, &making.name, &template).await?;
            making.close().await?;
        }
        Ok(template)
    }
}

/// Drops what worlds of processes that were killed have left behind. What cannot be dropped is tried again by the next
/// world.
pub async fn drop_leftovers(beside: PgConnectOptions) {
    let db = db::for_command(&beside);
    if let Err(error) = drop_all_unlocked(&db).await {
        tracing::debug!("a database of an earlier world could not be dropped: {error}");
    }
    db.close().await;
}

async fn drop_all_unlocked(db: &Db) -> sqlx::Result<()> {
    for name in store::databases(db, PASSING).await? {
        let mut lock = db.begin().await?;
        if store::try_lock(&mut lock, &name).await? {
            tracing::info!("dropping {name}, which an earlier world has left behind");
            store::drop_unused(db, &name).await?;
        }
        lock.rollback().await?;
    }
    Ok(())
}

/// Why a database was not made.
fn unmade(error: sqlx::Error) -> Unopened {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42501") => Unopened::NotAllowed,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_part_of_a_database_s_name_that_stays() {
        for name in ["a", "ci_7", &"x".repeat(40)] {
            let database = name.parse::<Name>().expect("a name").database();
            assert!(database.len() <= 63 && !database.starts_with(PASSING), "{database}");
        }
        for name in ["", "A", "a-b", "a b", "ä", "a\"b", &"x".repeat(41)] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }
}
