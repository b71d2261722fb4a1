//! Logs go to standard error; standard output belongs to the answers of commands.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise: our own lines, and warnings of libraries. Not malformed requests,
/// with which anybody could fill the log, nor connections that end with the database server.
const DEFAULT: &str = "warn,numberbank=info,actix_http=off,sqlx_core::pool::connection=error";

/// Starts logging. An empty `RUST_LOG` counts as none; one that cannot be read is reported and ignored.
pub fn start(format: LogFormat) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|filter| !filter.is_empty());
    let wanted = wanted.map(EnvFilter::try_new).transpose();
    let refused = wanted.as_ref().err().map(ToString::to_string);
    let filter = wanted.ok().flatten().unwrap_or_else(|| EnvFilter::new(DEFAULT));
    // A line that cannot be written is lost. Else tracing would report that on standard error too, and panic.
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // Spans of requests and statements, at debug only: each with the time that it took.
    let logs = logs.with_span_events(FmtSpan::CLOSE);
    match format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => {
            logs.json().flatten_event(true).with_current_span(true).with_span_list(true).init();
            std::panic::set_hook(Box::new(|panic| tracing::error!("{}", panic.to_string().replace('\n', " "))));
        }
    }
    if let Some(error) = refused {
        tracing::warn!("RUST_LOG cannot be read, {DEFAULT} is used instead: {error}");
    }
}
