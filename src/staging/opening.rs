//! How a world is opened: made of a new database, or gone on with.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Mutex, Semaphore, watch};

use super::database;
use super::faults::Faults;
use super::log::Log;
use super::seed::{self, Seed};
use super::simulations::Simulations;
use super::store::{self, Kept};
use super::{
    Database, Life, MOST_LARGE, MOST_QUEUED, MOST_SNAPSHOTS, MOST_WAITING, Name, Routes, SEEDED, Token, Unopened, World,
};
use crate::callbacks::Callbacks;
use crate::db::transact::transact;
use crate::db::{self, Meant};
use crate::error::Error;
use crate::inventory;
use crate::values::chance::{Chance, Draws};
use crate::values::clock::Clock;
use crate::values::phone::Plan;
use crate::values::sid::random_bits;

/// What the process gives a world: what is not in its database.
pub struct Parts {
    pub token: Token,
    /// Of the versions of the API.
    pub routes: Routes,
    /// How the programs of its accounts are reached.
    pub callbacks: Callbacks,
}

impl World {
    /// Opens the world of a database, which is made if there is none, or `anew`. `seed` is the text and what it says.
    ///
    /// # Errors
    /// If the world was made of another seed, a part of the seed fails, or the database is out of reach.
    pub async fn open(
        database: &Database,
        name: Option<&Name>,
        anew: bool,
        seed: Option<(&[u8], &Seed)>,
        parts: Parts,
    ) -> Result<Arc<Self>, Unopened> {
        let none = Seed::default();
        let (text, said) = seed.unwrap_or((b"", &none));
        said.check_faults(&parts.routes).map_err(|part| Unopened::Seed(part.into()))?;
        match name {
            Some(name) if !anew && database.exists().await? => {
                let kept = kept(name, &database.options).await?;
                if seed.is_some() && seed::digest(text) != kept.made_of {
                    return Err(Unopened::OtherSeed(name.clone()));
                }
                renew(&database.options).await?;
            }
            Some(name) => {
                if database.exists().await? {
                    kept(name, &database.options).await?;
                }
                // An older world is dropped only once the new one is complete.
                database.make_by(async |options| begin(options, text, said).await).await?;
            }
            None => {
                database.make().await?;
                begin(&database.options, text, said).await?;
            }
        }
        Self::start(database, parts).await
    }

    async fn start(database: &Database, parts: Parts) -> Result<Arc<Self>, Unopened> {
        let db = db::for_command(&database.options);
        let kept = store::start(&db).await?;
        let chance = Chance::seeded(Draws { seed: kept.seed, start: kept.starts, drawn: 0 });
        let (name, clock, choice, life) = (database.name.clone(), Clock::own(kept.course()), kept.choice, kept.life());
        let (start, plan) = (kept.starts, if kept.magic { Plan::UsAndTests } else { Plan::Us });
        let Parts { token, routes, callbacks } = parts;
        let world = Self {
            name,
            clock,
            chance,
            choice,
            plan,
            start,
            life,
            token,
            db,
            routes,
            callbacks,
            simulations: Simulations::default(),
            caller_names: serde_json::from_str(&kept.caller_names).unwrap_or_default(),
            first_faults: seed::faults(&kept.faults),
            faults: Faults::default(),
            log: Log::default(),
            stopping: watch::Sender::default(),
            offering: Arc::default(),
            large: Arc::new(Semaphore::new(MOST_LARGE)),
            waiting: Semaphore::new(MOST_WAITING),
            noted: Mutex::default(),
            changes: Arc::new(Semaphore::new(MOST_QUEUED)),
            turns: Arc::default(),
        };
        world.undo().await?;
        world.begin_anew().await?;
        Ok(Arc::new(world))
    }
}

/// Makes a world of a new database: marks it, does what the seed says, and takes the first snapshot.
async fn begin(options: &PgConnectOptions, text: &[u8], seed: &Seed) -> Result<(), Unopened> {
    // Positive, so that it is easy to say.
    let number = seed.seed.unwrap_or_else(|| (random_bits() >> 97) as i64);
    let world = Kept::new(seed::digest(text), number, seed);
    let (db, clock) = (db::for_command(options), Clock::own(world.course()));
    let draws = |start| Draws { seed: number, start, drawn: 0 };
    let done = async {
        transact(&db, async |within| {
            store::mark(within).await?;
            store::set_area_codes(within).await?;
            Ok::<_, Error>(store::begin(within, &world, clock.now()).await?)
        })
        .await?;
        inventory::keep_lengths(&db, world.life().quarantine).await?;
        seed.plant(&db, &clock, &Chance::seeded(draws(0))).await?;
        // As the first start finds it.
        let taken = transact(&db, async |within| {
            Ok::<_, Error>(store::take(within, SEEDED, clock.now(), draws(1), MOST_SNAPSHOTS as i64).await?)
        });
        taken.await.map(drop).map_err(Unopened::from)
    };
    let done = done.await;
    db.close().await;
    done
}

/// Brings a world that an older program may have made up to date.
async fn renew(options: &PgConnectOptions) -> Result<(), Unopened> {
    db::migrate(options, Meant::World).await?;
    let db = db::for_command(options);
    let renewed = transact(&db, async |within| {
        store::mark(within).await?;
        store::set_area_codes(within).await?;
        Ok::<_, Error>(store::arrange(within).await?)
    });
    let renewed = renewed.await;
    db.close().await;
    Ok(renewed?)
}

/// What is kept of a world.
async fn kept(name: &Name, options: &PgConnectOptions) -> Result<Kept, Unopened> {
    if !db::is_marked(options).await? {
        return Err(Unopened::Foreign(name.database()));
    }
    let db = db::for_command(options);
    let kept = store::world(&db).await;
    db.close().await;
    Ok(kept?)
}

/// The clock of a world that another process may have, and how long numbers are kept there, for a command that works
/// with it.
///
/// # Errors
/// If there is no such world, or its database is out of reach.
pub async fn clock_of(name: &Name, options: &PgConnectOptions) -> Result<(Clock, Life), Unopened> {
    let kept = kept(name, options).await?;
    Ok((Clock::own(kept.course()), kept.life()))
}

/// Whether a server has a world of this name. `beside` is any database of it.
///
/// # Errors
/// If it is out of reach.
pub async fn is_there(name: &Name, beside: &PgConnectOptions) -> Result<bool, Unopened> {
    let db = db::for_command(beside);
    let is_there = database::exists(&db, &name.database()).await;
    db.close().await;
    Ok(is_there?)
}
