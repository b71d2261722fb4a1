//! `serve` and `migrate`.

use std::net::TcpListener;

use serde_json::json;
use tokio::task::JoinHandle;

use super::show::show;
use super::{Context, Database, Done, Failure, write_out};
use crate::config::{Jobs, Output, Serve};
use crate::kernel::db;
use crate::{app, jobs};

pub async fn run(settings: &Serve, database: &Database, context: &Context) -> Done {
    let listener = listen(settings)?;
    db::migrate(&database.options).await?;
    let site = site(&listener)?;
    serve(listener, settings, database, context, || match context.output {
        Output::Json => show(context.output, &json!({ "listening_on": site })),
        _ => write_out(&format!("listening on {site}\n")),
    })
    .await
}

pub async fn migrate(database: &Database, output: Output) -> Done {
    let applied = db::migrate(&database.options).await?;
    match output {
        Output::Json => show(output, &json!({ "applied": applied })),
        _ if applied.is_empty() => write_out("the schema is up to date\n"),
        _ => write_out(&format!("applied {}\n", applied.join(", "))),
    }
}

/// Takes the port first: one that is in use is told at once.
pub fn listen(settings: &Serve) -> Result<TcpListener, Failure> {
    TcpListener::bind(settings.bind)
        .map_err(|error| Failure::Bad(format!("cannot serve on {}: {error}", settings.bind)))
}

/// Where a listener can be reached.
pub fn site(listener: &TcpListener) -> Result<String, Failure> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Serves until a signal comes; `announce` tells that it does.
pub async fn serve(
    listener: TcpListener,
    settings: &Serve,
    database: &Database,
    context: &Context,
    announce: impl FnOnce() -> Done,
) -> Done {
    let server = app::serve(
        listener,
        app::Settings {
            database: database.options.clone(),
            replica: settings.replica.options().map_err(Failure::Bad)?,
            workers: settings.workers(),
            connections: settings.connections,
            verifications: settings.verifications(),
            clock: context.clock.clone(),
            limits: settings.limits.clone(),
        },
    )?;
    let handle = server.handle();
    let mut serving = tokio::spawn(server);
    let jobs = start_jobs(settings, database, context);
    // A reader of the announcement that has seen enough does not end the service.
    match announce() {
        Err(Failure::NoReader) => {}
        done => done?,
    }
    tokio::select! {
        () = context.stopped() => {}
        ended = &mut serving => return ended.map_err(|error| Failure::Bad(error.to_string()))?.map_err(Failure::Io),
    }
    // Whatever they have not finished, the next run does.
    jobs.abort();
    tracing::info!("stopping: what is in flight is finished first");
    handle.stop(true).await;
    serving.await.map_err(|error| Failure::Bad(error.to_string()))??;
    Ok(())
}

fn start_jobs(settings: &Serve, database: &Database, context: &Context) -> JoinHandle<()> {
    let Jobs::Every(every) = settings.jobs else { return tokio::spawn(async {}) };
    tokio::spawn(jobs::keep_running(jobs::Settings {
        database: database.options.clone(),
        clock: context.clock.clone(),
        every,
        quarantine: settings.quarantine.lengths(),
        grace: settings.grace.length(),
    }))
}
