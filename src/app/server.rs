//! Makes the state of each worker, and serves a listener.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{App, web};
use sqlx::postgres::PgConnectOptions;

use super::front::front;
use crate::accounts::gate::{self, Gate};
use crate::accounts::rate_limit::Rate;
use crate::api::{v2008, v2010};
use crate::config::Limits;
use crate::db;
use crate::db::replica::{Replica, Watch};
use crate::error::Denied;
use crate::monitoring::Instance;
use crate::numbers::lists::Lists;
use crate::numbers::{Lookups, Updates};
use crate::platform::tls::Certificate;
use crate::purchases::PurchaseQueues;
use crate::releases::Releases;
use crate::staging::{self, World};
use crate::values::chance::Chance;
use crate::values::clock::Clock;
use crate::values::phone::Plan;
use crate::web::answer_memory::AnswerMemory;
use crate::web::bodies;
use crate::web::caller::Clients;
use crate::web::connections::{self, MaxConnections};
use crate::web::frame::{Face, frame};
use crate::web::listen::{ListenOptions, listen};
use crate::web::observe::observe;
use crate::web::pages::{self, ERROR_PAGE};
use crate::web::refused::Refused;
use crate::web::routes::resource;
use crate::web::state::WorkerState;

/// Options of the server.
#[derive(Clone)]
pub struct ServerOptions {
    pub database: PgConnectOptions,
    /// A streaming replica to read from. It gets as many connections as the primary.
    pub replica: Option<PgConnectOptions>,
    /// Threads that serve. Each has its own connections.
    pub workers: usize,
    /// Connections to the primary, over all workers. Each worker has at least one.
    pub connections: u32,
    /// Concurrent token verifications by argon2. Each needs 19 MiB.
    pub verifications: usize,
    pub clock: Clock,
    pub chance: Chance,
    pub limits: Limits,
    /// `None` means plain HTTP.
    pub certificate: Option<Arc<Certificate>>,
    /// What monitoring shows of this server.
    pub instance: Arc<Instance>,
    /// The world that is served, if it is one.
    pub world: Option<Arc<World>>,
}

/// The versions of the API. The first one also answers requests for paths of no version.
const FACES: &[Face] = &[v2008::FACE, v2010::FACE];

/// The same, and the control of a world.
const FACES_OF_A_WORLD: &[Face] = &[v2008::FACE, v2010::FACE, staging::FACE];

/// The names of all routes, in the order of their indices. The last one counts requests for unknown paths.
fn routes(of_a_world: bool) -> Arc<[String]> {
    let tree = |tree, routes: &'static [(&str, &[&str])]| routes.iter().map(move |(path, _)| format!("{tree}{path}"));
    let trees = tree(v2008::TREE, v2008::ROUTES).chain(tree(v2010::TREE, v2010::ROUTES));
    let pages = [ERROR_PAGE, "/"].map(str::to_owned);
    let control = tree(staging::TREE, staging::ROUTES).chain(tree("", staging::ADDED)).filter(|_| of_a_world);
    trees.chain(pages).chain(control).chain(["other".to_owned()]).collect()
}

/// Serves on a listener, in the caller's runtime, until stopped by the handle of the returned server.
///
/// # Errors
/// If the listener or the certificate cannot be used.
pub fn serve(listener: TcpListener, settings: ServerOptions) -> io::Result<Server> {
    let (limits, certificate) = (settings.limits.clone(), settings.certificate.clone());
    let gate = Arc::new(gate(&settings));
    let memory = AnswerMemory::new(limits.answer_memory);
    let clients = Clients { body_timeout: limits.body_timeout, trust_proxy: limits.trust_proxy };
    let watch = settings.replica.as_ref().map(|replica| Arc::new(Watch::start(&settings.database, replica)));
    settings.instance.starts(routes(settings.world.is_some()), Arc::clone(&gate), Arc::clone(&memory), watch.clone());
    let workers = settings.workers.max(1);
    let share = |all: u32| all / u32::try_from(workers).unwrap_or(u32::MAX);
    let (connections, waiting) = (share(settings.connections).max(1), share(limits.max_waiting));
    let purchases = PurchaseQueues::new(workers / 2, limits.max_waiting as usize);
    settings.instance.queue("purchase", &purchases, PurchaseQueues::waiting);
    let ways = ListenOptions {
        workers,
        max: MaxConnections::per_thread(limits.max_connections, workers, limits.trust_proxy),
        header_timeout: limits.header_timeout,
        keep_alive: limits.keep_alive,
    };
    connections::raise_file_limit(ways.max.with_extra() * workers, settings.connections);
    let shared = Shared { settings, connections, waiting, purchases, gate, memory, watch, clients };
    let app = move || {
        let (state, world) = (shared.worker(), shared.settings.world.clone());
        let newer = v2008::ROUTES.len();
        let page = newer + v2010::ROUTES.len();
        App::new()
            .wrap(Condition::new(world.is_some(), from_fn(staging::one_after_another)))
            .wrap(from_fn(frame))
            .wrap(from_fn(bodies::finish))
            .wrap(Condition::new(state.replica.is_some(), from_fn(settle)))
            .wrap(from_fn(observe))
            .wrap(Condition::new(world.is_some(), from_fn(staging::record)))
            .app_data(Rc::new(state))
            .configure(|config| {
                if let Some(world) = world {
                    staging::mount(config, world, page + 2);
                }
            })
            .service(v2008::tree(0))
            .service(v2010::tree(newer))
            .service(resource(page, ERROR_PAGE, &["GET"]).route(web::get().to(pages::error)))
            .service(resource(page + 1, "/", &["GET"]).route(web::get().to(front)))
            .default_service(web::to(pages::nothing))
    };
    let tls = certificate.map(|certificate| certificate.server_config()).transpose().map_err(io::Error::other)?;
    listen(listener, tls, ways, app)
}

/// What all workers share.
#[derive(Clone)]
struct Shared {
    settings: ServerOptions,
    /// Connections of each worker to one database.
    connections: u32,
    /// Requests that may wait for a connection of one worker, and as many for each of its queues.
    waiting: u32,
    purchases: PurchaseQueues,
    gate: Arc<Gate>,
    memory: Arc<AnswerMemory>,
    watch: Option<Arc<Watch>>,
    clients: Clients,
}

impl Shared {
    /// Makes the state of one more worker. It has its own pools: a connection of another thread would wake that thread
    /// for each answer.
    fn worker(&self) -> WorkerState {
        let Self { settings, connections, waiting, .. } = self;
        let ServerOptions { clock, instance, .. } = settings;
        let db = db::serving(&settings.database, *connections, *waiting);
        let replica = settings.replica.as_ref().map(|options| db::reading(options, *connections, *waiting));
        let most = *waiting as usize;
        let state = WorkerState {
            faces: if settings.world.is_some() { FACES_OF_A_WORLD } else { FACES },
            traffic: instance.worker(&db, replica.as_ref()),
            lookups: Lookups::new(most),
            lists: Lists::new(most),
            updates: Updates::new(clock, most),
            releases: Releases::new(clock, most),
            purchases: self.purchases.clone(),
            replica: replica.zip(self.watch.clone()).map(|(db, watch)| Replica::new(db, watch)),
            db,
            clock: clock.clone(),
            chance: settings.chance.clone(),
            plan: settings.world.as_ref().map_or(Plan::Us, |world| world.plan),
            gate: Arc::clone(&self.gate),
            memory: Arc::clone(&self.memory),
            clients: self.clients,
        };
        instance.queue("lookup", &state.lookups, Lookups::waiting);
        instance.queue("list", &state.lists, Lists::waiting);
        instance.queue("update", &state.updates, Updates::waiting);
        instance.queue("release", &state.releases, Releases::waiting);
        state
    }
}

/// Delays the answer to a write until the client can read the write through any instance, replicas included.
async fn settle(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let state = WorkerState::of(request.request()).map_err(Denied::<Refused>::from)?;
    let writes = !request.method().is_safe();
    let response = next.call(request).await?;
    if let Some(replica) = state.replica.as_ref().filter(|_| writes && response.status().is_success()) {
        replica.settled().await;
    }
    Ok(response)
}

fn gate(settings: &ServerOptions) -> Gate {
    let limits = &settings.limits;
    let limits = gate::GateLimits {
        verifications: settings.verifications,
        waiting: limits.max_unverified.into(),
        account_rate: rate(limits.account_rate, Duration::from_secs(1)),
        failures: rate(limits.failed_logins, Duration::from_mins(1)),
    };
    Gate::new(limits, settings.clock.clone())
}

fn rate(count: Option<NonZeroU32>, time: Duration) -> Option<Rate> {
    count.map(|count| Rate::new(count, time))
}
