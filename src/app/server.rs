//! The server: what each worker works with, and how a listener is served.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{App, web};
use sqlx::postgres::PgConnectOptions;

use super::frame::frame;
use super::front::front;
use super::observe::{self, observe};
use crate::accounts::gate::{self, Gate};
use crate::api::v2008::{nothing, resource, tree};
use crate::config::Limits;
use crate::db;
use crate::db::replica::{Replica, Watch};
use crate::monitoring::Instance;
use crate::numbers::lists::Lists;
use crate::numbers::{Lookups, Updates};
use crate::platform::tls::Certificate;
use crate::purchases::Counter;
use crate::releases::Releases;
use crate::values::clock::Clock;
use crate::web::answer_memory::AnswerMemory;
use crate::web::bodies;
use crate::web::caller::Clients;
use crate::web::connections::{self, MaxConnections};
use crate::web::listen::{ListenOptions, listen};
use crate::web::pages::{self, ERROR_PAGE};

/// How the server runs.
#[derive(Clone)]
pub struct Settings {
    pub database: PgConnectOptions,
    /// A streaming replica to read from, with as many connections again.
    pub replica: Option<PgConnectOptions>,
    /// Threads that serve, each with connections of its own.
    pub workers: usize,
    /// Connections to the database, over all workers.
    pub connections: u32,
    /// Token verifications by argon2 at once, each with 19 MiB of memory.
    pub verifications: usize,
    pub clock: Clock,
    pub limits: Limits,
    /// Plain HTTP where there is none.
    pub certificate: Option<Arc<Certificate>>,
    /// What operators see of it.
    pub instance: Arc<Instance>,
}

/// Serves on a listener, within the runtime that calls this. The caller decides when to stop, by the
/// handle of the server.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(listener: TcpListener, settings: Settings) -> io::Result<Server> {
    let (limits, certificate) = (settings.limits.clone(), settings.certificate.clone());
    let gate = Arc::new(gate(&settings));
    let rooms = AnswerMemory::new(limits.answer_memory);
    let clients = Clients { body_timeout: seconds(limits.body_timeout), trust_proxy: limits.trust_proxy };
    let watch = settings.replica.as_ref().map(|replica| Arc::new(Watch::start(&settings.database, replica)));
    settings.instance.starts(observe::names(), Arc::clone(&gate), Arc::clone(&rooms), watch.clone());
    let gate = web::Data::from(gate);
    let workers = settings.workers.max(1);
    let share = |all: u32| all / u32::try_from(workers).unwrap_or(u32::MAX);
    let (connections, waiting) = (share(settings.connections).max(1), share(limits.max_waiting));
    let counter = Counter::new(workers / 2, limits.max_waiting as usize);
    settings.instance.queue("purchase", &counter, Counter::waiting);
    let ways = ListenOptions {
        workers,
        max: MaxConnections::per_thread(limits.max_connections, workers, limits.trust_proxy),
        header_timeout: seconds(limits.header_timeout),
        keep_alive: seconds(limits.keep_alive),
    };
    connections::raise_file_limit(ways.max.with_extra() * workers, settings.connections);
    let app = move || {
        // A pool for each worker: a connection stays on the thread that serves with it.
        let database = db::serving(&settings.database, connections, waiting);
        let replica = settings.replica.as_ref().map(|options| db::reading(options, connections, waiting));
        let (lookups, lists) = (Lookups::new(&database, waiting as usize), Lists::new(&database, waiting as usize));
        let (updates, releases) = (Updates::new(waiting as usize), Releases::new(waiting as usize));
        let traffic = settings.instance.worker(&database, replica.as_ref());
        settings.instance.queue("lookup", &lookups, Lookups::waiting);
        settings.instance.queue("list", &lists, Lists::waiting);
        settings.instance.queue("update", &updates, Updates::waiting);
        settings.instance.queue("release", &releases, Releases::waiting);
        let replica = replica.zip(watch.clone()).map(|(db, watch)| Replica::new(db, watch));
        App::new()
            .wrap(from_fn(frame))
            .wrap(from_fn(bodies::finish))
            .wrap(Condition::new(replica.is_some(), from_fn(settle)))
            .wrap(from_fn(observe))
            .app_data(traffic)
            .app_data(lookups)
            .app_data(lists)
            .app_data(updates)
            .app_data(releases)
            .app_data(database)
            .app_data(replica)
            .app_data(counter.clone())
            .app_data(settings.clock.clone())
            .app_data(gate.clone())
            .app_data(Arc::clone(&rooms))
            .app_data(clients)
            .service(tree())
            .service(resource("/", &["GET"]).route(web::get().to(front)))
            .service(resource(ERROR_PAGE, &["GET"]).route(web::get().to(pages::error)))
            .default_service(web::to(nothing))
    };
    let tls = certificate.map(|certificate| certificate.server_config()).transpose().map_err(io::Error::other)?;
    listen(listener, tls, ways, app)
}

/// Holds the answer to a write back until its author finds it again, through whichever instance.
async fn settle(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let replica = request.app_data::<Option<Replica>>().cloned().flatten();
    let writes = !request.method().is_safe();
    let response = next.call(request).await?;
    if let Some(replica) = replica.filter(|_| writes && response.status().is_success()) {
        replica.settled().await;
    }
    Ok(response)
}

fn gate(settings: &Settings) -> Gate {
    let limits = &settings.limits;
    Gate::new(gate::Limits {
        verifications: settings.verifications,
        waiting: limits.max_unverified.into(),
        account_rate: limits.account_rate(),
        failures: limits.failed_logins(),
    })
}

fn seconds(number: u16) -> Duration {
    Duration::from_secs(number.into())
}
