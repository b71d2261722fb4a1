//! The HTTP server: the route table and the way to start it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{App as Actix, HttpRequest, HttpResponse, HttpServer, Resource, web};
use sqlx::postgres::PgConnectOptions;

use crate::accounts::caller::Clients;
use crate::accounts::gate::{self, Gate};
use crate::accounts::http as accounts;
use crate::config::Limits;
use crate::error_pages;
use crate::kernel::clock::Clock;
use crate::kernel::db;
use crate::kernel::error::{Code, Error, not_found};
use crate::kernel::replica::{Replica, Watch};
use crate::kernel::represent::{self, TREE};
use crate::numbers::Lookups;
use crate::numbers::http as numbers;
use crate::purchases::Counter;
use crate::purchases::http as purchases;
use crate::releases::http as releases;

mod connections;
mod frame;

use frame::{asked, frame, site};

macro_rules! routes {
    ($($path:literal { $($method:ident $handler:path),+ })+) => {
        /// Every resource below [`TREE`] with its methods. HEAD comes with GET, OPTIONS with everything.
        pub const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];

        fn tree() -> actix_web::Scope {
            web::scope(TREE)$(.service(
                resource($path, &[$(stringify!($method)),+])$(.route(web::method(Method::$method).to($handler)))+
            ))+
        }
    };
}

routes! {
    "/Accounts/{AccountSid}/IncomingPhoneNumbers" { GET numbers::list }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/Local" { GET numbers::list_local, POST purchases::buy_local }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree" { GET numbers::list_tollfree, POST purchases::buy_tollfree }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}" {
        GET numbers::show, POST numbers::update, PUT numbers::update, DELETE releases::release
    }
    "/Accounts" { GET accounts::list }
    "/Accounts/{AccountSid}" { GET accounts::show, POST accounts::update, PUT accounts::update }
    "/Accounts/{AccountSid}/Balance" { GET accounts::balance }
}

/// A resource that says which methods it has to whoever asks, and to whoever uses another.
fn resource(path: &str, methods: &[&str]) -> Resource {
    let head = if methods.contains(&"GET") { ", HEAD" } else { "" };
    let allow =
        HeaderValue::try_from(format!("{}{head}, OPTIONS", methods.join(", "))).expect("method names are ASCII");
    web::resource(path).default_service(web::to(move |request: HttpRequest| {
        let allow = allow.clone();
        async move {
            let mut response = match *request.method() {
                Method::OPTIONS => HttpResponse::NoContent().finish(),
                _ => {
                    let methods = allow.to_str().unwrap_or_default();
                    let refusal =
                        Code::MethodNotAllowed.because(format!("This resource takes {methods} only")).refusal();
                    represent::refusal(asked(&request).representation, &site(&request), &refusal)
                }
            };
            response.headers_mut().insert(ALLOW, allow);
            response
        }
    }))
}

/// How the server runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub database: PgConnectOptions,
    /// A streaming replica to read from, with as many connections again.
    pub replica: Option<PgConnectOptions>,
    /// Threads that serve, each with connections of its own.
    pub workers: usize,
    /// Connections to the database, over all workers.
    pub connections: u32,
    /// Token verifications at once, each with 19 MiB of memory.
    pub verifications: usize,
    pub clock: Clock,
    pub limits: Limits,
}

/// What is in flight at a stop has this many seconds to finish.
const SHUTDOWN_SECONDS: u64 = 30;

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

/// Serves on a listener, within the runtime that calls this. The caller decides when to stop, by the
/// handle of the server.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(listener: TcpListener, settings: Settings) -> std::io::Result<Server> {
    let limits = settings.limits.clone();
    let gate = web::Data::new(gate(&settings));
    let counter = Counter::default();
    let clients = Clients { body_timeout: seconds(limits.body_timeout), trust_proxy: limits.trust_proxy };
    let watch = settings.replica.as_ref().map(|replica| Arc::new(Watch::start(&settings.database, replica)));
    let workers = u32::try_from(settings.workers).unwrap_or(u32::MAX).max(1);
    let connections = (settings.connections / workers).max(1);
    let longest_rest = seconds(limits.keep_alive) + seconds(limits.header_timeout);
    connections::make_room(limits.max_connections, settings.connections);
    let server = HttpServer::new(move || {
        // A pool for each worker: a connection stays on the thread that serves with it.
        let pool = |options| db::serving(options, connections, limits.max_waiting / workers);
        let (database, replica) = (pool(&settings.database), settings.replica.as_ref().map(pool));
        let replica = replica.zip(watch.clone()).map(|(db, watch)| Replica::new(db, watch));
        Actix::new()
            .wrap(from_fn(frame))
            .wrap(Condition::new(replica.is_some(), from_fn(settle)))
            .app_data(Lookups::new(&database))
            .app_data(database)
            .app_data(counter.clone())
            .app_data(replica)
            .app_data(settings.clock.clone())
            .app_data(gate.clone())
            .app_data(clients)
            .service(tree())
            .service(resource("/docs/errors/{code}", &["GET"]).route(web::get().to(error_pages::show)))
            .default_service(web::to(|| async { Err::<HttpResponse, Error>(not_found()) }))
    });
    Ok(server
        .workers(settings.workers.max(1))
        .on_connect(move |io, data| connections::watch(io, data, longest_rest))
        .client_request_timeout(seconds(limits.header_timeout))
        .keep_alive(seconds(limits.keep_alive))
        .max_connections((limits.max_connections / workers).max(1) as usize)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .listen(listener)?
        .run())
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
