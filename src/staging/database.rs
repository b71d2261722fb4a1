//! The database of a world: a copy of a template that has the whole schema, under a lock that dies with the process.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::Unopened;
use crate::db::{self, Db, Meant, Transaction};
use crate::values::sid::random_bits;

mod store;

/// The database in which the processes of all worlds of a server meet, for an advisory lock is one of its database.
pub const MEETING: &str = "postgres";

/// How often it is looked whether the lock is still held.
const LOOK: Duration = Duration::from_secs(1);

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
    lock: Mutex<Transaction>,
}

/// Whether a server has a database of this name.
///
/// # Errors
/// If it is out of reach.
pub(super) async fn exists(db: &Db, name: &str) -> sqlx::Result<bool> {
    store::exists(db, name).await
}

impl Database {
    /// Locks a name. `beside` is the database [`MEETING`] of the server.
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
        Ok(Self { name: database, stays: name.is_some(), options, beside, beside_options, lock: Mutex::new(lock) })
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

    /// Returns once the lock is lost: PostgreSQL was restarted, say, and another process may have the world by now.
    pub async fn lost(&self) -> Unopened {
        loop {
            sleep(LOOK).await;
            if store::is_held(&mut *self.lock.lock().await).await.is_err() {
                return Unopened::Lost;
            }
        }
    }

    /// Makes it under another name, does work on it, and gives it its name once it is complete, in place of an older one: a
    /// process that is killed leaves nothing half done under a name that stays.
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
            self.drop().await?;
            Ok(store::rename(&making.beside, &making.name, &self.name).await?)
        };
        let made = made.await;
        making.close().await?;
        made
    }

    async fn drop(&self) -> Result<(), Unopened> {
        Ok(store::drop_by_force(&self.beside, &self.name).await?)
    }

    /// Lets go of it, and drops it unless it stays. All connections to it should be closed before.
    ///
    /// # Errors
    /// If it could not be dropped: a later world will.
    pub async fn close(self) -> Result<(), Unopened> {
        let dropped = if self.stays { Ok(()) } else { self.drop().await };
        let _ = self.lock.into_inner().rollback().await;
        self.beside.close().await;
        dropped
    }

    /// The database to copy, made if there is none of this schema and role. Those of other versions are left to them.
    async fn template(&self) -> Result<String, Unopened> {
        let template = format!("nbtemplate_{}_{}", db::schema_name(), store::role(&self.beside).await?);
        if store::exists(&self.beside, &template).await? {
            return Ok(template);
        }
        let mut alone = self.beside.begin().await?;
        store::lock(&mut alone, &template).await?;
        if !store::exists(&self.beside, &template).await? {
            // Under a name whose leftovers are dropped, because this process may be killed.
            let making = Self::lock(&self.beside_options, None).await?;
            let made = async {
                store::make(&making.beside, &making.name).await.map_err(unmade)?;
                db::migrate(&making.options, Meant::Registry).await?;
                store::shut(&making.beside, &making.name).await?;
                Ok::<_, Unopened>(store::rename(&making.beside, &making.name, &template).await?)
            };
            let made = made.await;
            making.close().await?;
            made?;
        }
        Ok(template)
    }
}

/// Drops what worlds of processes that were killed have left behind. What cannot be dropped is tried again by the next
/// world.
pub async fn drop_leftovers(beside: PgConnectOptions) {
    let db = db::for_command(&beside);
    if let Err(error) = drop_all_unlocked(&db).await {
        tracing::debug!("the databases of earlier worlds could not be looked for: {error}");
    }
    db.close().await;
}

async fn drop_all_unlocked(db: &Db) -> sqlx::Result<()> {
    for name in store::databases(db, PASSING).await? {
        let mut lock = db.begin().await?;
        if store::try_lock(&mut lock, &name).await? {
            tracing::info!("dropping {name}, which an earlier world has left behind");
            if let Err(error) = store::drop_unused(db, &name).await {
                tracing::debug!("{name} could not be dropped: {error}");
            }
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
