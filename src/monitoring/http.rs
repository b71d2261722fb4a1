//! The operators' listener: health and metrics. It is separate from the API's.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, Resource, guard, web};

use super::{Instance, health, metrics};
use crate::db::Db;
use crate::values::clock::Clock;

/// What the answers are made from.
#[derive(Clone)]
pub struct Sources {
    pub instance: Arc<Instance>,
    /// A pool for monitoring only.
    pub db: Db,
    pub clock: Clock,
}

/// Serves operators on a listener, with one thread, until stopped by the handle of the returned server.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(listener: TcpListener, sources: Sources) -> std::io::Result<Server> {
    let sources = web::Data::new(sources);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(sources.clone())
            .service(resource("/health/live").to(live))
            .service(resource("/health/ready").to(ready))
            .service(resource("/metrics").to(show_metrics))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

fn resource(path: &str) -> Resource {
    web::resource(path).guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// `GET /health/live`: 200 as long as the process answers.
async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type(PLAIN).body("live\n")
}

/// `GET /health/ready`: 200, or 503 with the reason.
async fn ready(sources: web::Data<Sources>) -> HttpResponse {
    match health::ready(&sources.instance, &sources.db).await {
        Ok(()) => HttpResponse::Ok().content_type(PLAIN).body("ready\n"),
        Err(reason) => HttpResponse::ServiceUnavailable().content_type(PLAIN).body(format!("{reason}\n")),
    }
}

/// `GET /metrics`, in the text format of Prometheus.
async fn show_metrics(sources: web::Data<Sources>) -> HttpResponse {
    let page = metrics::page(&sources.instance, &sources.db, &sources.clock).await;
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page)
}

const PLAIN: &str = "text/plain; charset=utf-8";
