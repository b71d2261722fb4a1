//! `staging`: a world to test against, and the commands that control one over HTTP.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::{env, io};

use clap::Args;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::database::Cluster;
use super::front::{address, listen, warn_of_plain_http};
use super::options::{Global, Output, WorldOptions};
use super::show::show;
use super::{Done, Failure, stop_signals, write_out};
use crate::api::{v2008, v2010};
use crate::app;
use crate::callbacks::{Allowed, Callbacks, Policy};
use crate::monitoring::Instance;
use crate::staging::seed::{LARGEST, Seed};
use crate::staging::{ADDED, Database, Parts, Routes, Token, Unopened, World, drop_leftovers};

mod client;

/// The control token, which is never an argument: others can see those.
const TOKEN: &str = "NUMBERBANK_STAGING_TOKEN";

/// Threads that serve, and their connections to PostgreSQL: many worlds run at once.
const WORKERS: usize = 1;
const CONNECTIONS: u32 = 4;

#[derive(Args, Debug)]
pub struct Staging {
    #[command(subcommand)]
    command: Option<client::Command>,
    #[command(flatten)]
    settings: WorldOptions,
}

impl From<Unopened> for Failure {
    fn from(error: Unopened) -> Self {
        match error {
            Unopened::Database(error) => error.into(),
            Unopened::Failed(error) => error.into(),
            error => Self::Bad(error.to_string()),
        }
    }
}

impl Staging {
    pub async fn run(self, global: &Global) -> Done {
        match self.command {
            Some(command) => command.run(global.output()).await,
            None => serve(&self.settings, global).await,
        }
    }
}

/// Makes a world, or opens it again, and serves it until a signal comes.
async fn serve(settings: &WorldOptions, global: &Global) -> Done {
    let text = settings.seed.as_deref().map(|path| read(path, LARGEST)).transpose()?;
    let seed = text.as_deref().map(Seed::read).transpose();
    let seed = seed.map_err(|refused| Failure::from(Unopened::Seed(refused)))?;
    let (told, token) = token()?;
    let listener = listen(settings.bind)?;
    tracing::warn!("this is a staging world: nothing here is real, and no number is ever dialled");
    let stop = stop_signals()?;
    let server = Cluster::of_worlds(global, settings.durable).await?;
    let callbacks = callbacks(settings, listener.local_addr()?, &server.options).await?;
    let parts = Parts { token, routes: routes(), callbacks };
    let opened = tokio::select! {
        opened = open(settings, &server, text.as_deref().zip(seed.as_ref()), parts) => opened.map(Some),
        // What was begun is dropped by the next world.
        () = stopped(&stop) => Ok(None),
    };
    let done = match opened {
        Ok(Some((database, world))) => {
            let leftovers = tokio::spawn(drop_leftovers(server.options.clone()));
            let done = serve_world(listener, settings, &database, &world, stop, told, global.output()).await;
            leftovers.abort();
            world.close().await;
            done.and(database.close().await.map_err(Failure::from))
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Err(failure) = server.close().await {
        tracing::warn!("{failure}");
    }
    done
}

/// The database of the world, and the world.
async fn open(
    settings: &WorldOptions,
    server: &Cluster,
    seed: Option<(&[u8], &Seed)>,
    parts: Parts,
) -> Result<(Database, Arc<World>), Unopened> {
    let name = settings.name.as_ref();
    let database = Database::lock(&server.options, name).await?;
    match World::open(&database, name, settings.anew, seed, parts).await {
        Ok(world) => Ok((database, world)),
        Err(error) => {
            database.close().await?;
            Err(error)
        }
    }
}

/// The routes that a world serves.
fn routes() -> Routes {
    Routes::new(&[
        (v2008::TREE, v2008::ROUTES, v2008::BUYING),
        (v2010::TREE, v2010::ROUTES, v2010::BUYING),
        ("", ADDED, &[]),
    ])
}

/// How the programs of the world's accounts are reached: never the world itself, nor its PostgreSQL.
async fn callbacks(
    settings: &WorldOptions,
    listener: SocketAddr,
    database: &PgConnectOptions,
) -> Result<Callbacks, Failure> {
    let mut rules = settings.callbacks.clone();
    if rules.is_empty() {
        rules.push(Allowed::Public);
        rules.extend(listener.ip().is_loopback().then_some(Allowed::Loopback));
    }
    let mut own = vec![listener];
    if database.get_socket().is_none() {
        let found = tokio::net::lookup_host((database.get_host(), database.get_port())).await;
        for address in found.into_iter().flatten() {
            own.push(address);
            // Here, it may listen on other addresses too.
            if UdpSocket::bind((address.ip(), 0)).is_ok() {
                own.push((Ipv4Addr::UNSPECIFIED, address.port()).into());
            }
        }
    }
    let ca = settings.callback_ca.as_deref().map(|path| read(path, LARGEST)).transpose()?;
    Callbacks::new(Policy::new(rules, own), ca.as_deref())
        .map_err(|error| Failure::Bad(format!("--callback-ca: {error}")))
}

async fn serve_world(
    listener: TcpListener,
    settings: &WorldOptions,
    database: &Database,
    world: &Arc<World>,
    stop: watch::Receiver<bool>,
    token: Option<String>,
    output: Output,
) -> Done {
    let site = address("http", &listener)?;
    warn_of_plain_http(&site, &settings.bind, "use tokens that guard nothing, on a network of your own");
    let instance = Arc::<Instance>::default();
    let options = app::ServerOptions {
        database: database.options.clone(),
        replica: None,
        workers: WORKERS,
        connections: CONNECTIONS,
        verifications: 1,
        clock: world.clock.clone(),
        chance: world.chance.clone(),
        limits: settings.limits.plain(),
        certificate: None,
        instance: Arc::clone(&instance),
        world: Some(Arc::clone(world)),
    };
    let server = app::serve(listener, options)?;
    let handle = server.handle();
    let mut jobs = JoinSet::new();
    let theirs = Arc::clone(world);
    jobs.spawn(async move { theirs.keep_up().await });
    let mut serving = pin!(server);
    let announced = async {
        match announce(&site, &world.name, token.as_deref(), output) {
            // The server goes on if the reader of the announcement has closed the pipe.
            Ok(()) | Err(Failure::NoReader) => stopped(&stop).await,
            Err(failure) => return Err(failure),
        }
        instance.stops();
        world.stop();
        // The next start does what they have not finished.
        jobs.shutdown().await;
        handle.stop(true).await;
        Ok(())
    };
    let mut announced = pin!(announced);
    tokio::select! {
        ended = &mut serving => ended.map_err(Failure::Io),
        done = &mut announced => done,
        lost = database.lost() => Err(lost.into()),
    }
}

fn announce(site: &str, world: &str, token: Option<&str>, output: Output) -> Done {
    match output {
        Output::Json => show(output, &json!({ "listening_on": site, "world": world, "token": token })),
        _ => {
            let token = token.map(|token| format!("control token {token}\n")).unwrap_or_default();
            write_out(&format!("listening on {site}\nworld {world}\n{token}"))
        }
    }
}

async fn stopped(stop: &watch::Receiver<bool>) {
    // Never an error: the sender is dropped only after it has sent.
    let _ = stop.clone().wait_for(|stop| *stop).await;
}

/// The control token, and its text if it was made here.
fn token() -> Result<(Option<String>, Token), Failure> {
    let (text, is_made) = match env::var_os(TOKEN) {
        Some(text) => (text.into_string().unwrap_or_default(), false),
        None => (Token::random(), true),
    };
    let token = Token::new(&text).map_err(|expected| Failure::Bad(format!("{TOKEN}: {expected}")))?;
    Ok((is_made.then_some(text), token))
}

/// Reads a file that is not larger.
fn read(path: &Path, largest: usize) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(largest as u64 + 1).read_to_end(&mut text));
    read.map_err(|error: io::Error| Failure::Bad(format!("cannot read {}: {error}", path.display())))?;
    if text.len() > largest {
        return Err(Failure::Bad(format!("{} is larger than {largest} bytes, which it may be", path.display())));
    }
    Ok(text)
}
