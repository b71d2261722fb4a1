//! `serve` and `migrate`.

use std::net::TcpListener;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::front::Front;
use super::options::{Jobs, Output, Serve};
use super::show::show;
use super::{Context, Database, Done, Failure, write_out};
use crate::db::{self, Meant};
use crate::monitoring::Instance;
use crate::monitoring::http::{self as monitoring, Sources};
use crate::values::chance::Chance;
use crate::{app, jobs};

pub async fn run(settings: &Serve, database: &Database, context: &Context) -> Done {
    let front = Front::open(settings)?;
    let prepared = async {
        db::migrate(&database.options, Meant::Registry).await?;
        context.compare_clock().await;
        Ok(())
    };
    if context.before_serving(prepared).await?.is_none() {
        return Ok(());
    }
    let told = json!({ "listening_on": front.site, "operations_on": front.monitoring_site });
    let announcement = front.announcement();
    serve(front, settings, database, context, || match context.output {
        Output::Json => show(context.output, &told),
        _ => write_out(&announcement),
    })
    .await
}

pub async fn migrate(database: &Database, output: Output) -> Done {
    let applied = db::migrate(&database.options, Meant::Registry).await?;
    match output {
        Output::Json => show(output, &json!({ "applied": applied })),
        _ if applied.is_empty() => write_out("the schema is up to date\n"),
        _ => write_out(&format!("applied {}\n", applied.join(", "))),
    }
}

/// Serves until a signal comes. `announce` is called once the server listens.
pub async fn serve(
    front: Front,
    settings: &Serve,
    database: &Database,
    context: &Context,
    announce: impl FnOnce() -> Done,
) -> Done {
    let instance = Arc::<Instance>::default();
    let certificate = front.certificate;
    let server = app::serve(
        front.listener,
        app::ServerOptions {
            database: database.options.clone(),
            replica: settings.replica.options().map_err(Failure::Bad)?,
            workers: settings.workers(),
            connections: settings.connections,
            verifications: settings.verifications(),
            clock: context.clock.clone(),
            chance: Chance::System,
            limits: settings.limits.plain(),
            certificate: certificate.clone(),
            instance: Arc::clone(&instance),
            world: None,
        },
    )?;
    let handle = server.handle();
    let mut serving = tokio::spawn(server);
    tokio::spawn(db::clock::keep_comparing(context.clock.clone(), context.db.clone()));
    let mut jobs = start_jobs(settings, database, &instance, context);
    // The operators' listener stays until the end, so that they can watch while requests under way are finished.
    serve_monitoring(front.monitoring, &instance, database, context)?;
    certificate.map(|certificate| tokio::spawn(certificate.keep_current()));
    // The server goes on if the reader of the announcement has closed the pipe.
    match announce() {
        Err(Failure::NoReader) => {}
        done => done?,
    }
    tokio::select! {
        () = context.stopped() => {}
        ended = &mut serving => return ended.map_err(|error| Failure::Bad(error.to_string()))?.map_err(Failure::Io),
    }
    instance.stops();
    // The next run does what they have not finished.
    jobs.abort_all();
    tracing::info!("stopping: what is in flight is finished first");
    handle.stop(true).await;
    serving.await.map_err(|error| Failure::Bad(error.to_string()))??;
    Ok(())
}

/// Serves operators, if there is a listener for them.
fn serve_monitoring(
    listener: Option<TcpListener>,
    instance: &Arc<Instance>,
    database: &Database,
    context: &Context,
) -> Done {
    let Some(listener) = listener else { return Ok(()) };
    // Connects to a standby too: operators must see that it is one.
    let db = db::reading(&database.options, 2, 16);
    let sources = Sources { instance: Arc::clone(instance), db, clock: context.clock.clone() };
    tokio::spawn(monitoring::serve(listener, sources)?);
    Ok(())
}

/// Starts the jobs, which run until the result is dropped.
fn start_jobs(settings: &Serve, database: &Database, instance: &Arc<Instance>, context: &Context) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let Jobs::Every(every) = settings.jobs else { return tasks };
    let Context { db, clock, .. } = context;
    tasks.spawn(jobs::watch(db.clone(), clock.clone(), every, Arc::clone(instance)));
    tasks.spawn(jobs::keep_folding(db.clone()));
    tasks.spawn(jobs::keep_running(jobs::JobOptions {
        database: database.options.clone(),
        clock: clock.clone(),
        every,
        quarantine: settings.quarantine.lengths(None),
        grace: settings.grace.length(None),
    }));
    tasks
}
