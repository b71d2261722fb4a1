//! Logs go to standard error, because standard output is for the output of commands.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::LogFormat;

/// What is logged if `RUST_LOG` is not set: our own lines, and warnings of libraries. Left out are malformed requests,
/// because anybody could fill the log with them, and the pool's warnings about connections that the database closed.
const DEFAULT: &str = "warn,numberbank=info,actix_http=off,sqlx_core::pool::connection=error";

/// Starts logging. An empty `RUST_LOG` counts as not set. One that cannot be parsed is reported and ignored.
pub fn start(format: LogFormat) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|filter| !filter.is_empty());
    let wanted = wanted.map(EnvFilter::try_new).transpose();
    let refused = wanted.as_ref().err().map(ToString::to_string);
    let filter = wanted.ok().flatten().unwrap_or_else(|| EnvFilter::new(DEFAULT));
    // A line that cannot be written is lost: to report that, tracing would write to standard error too, and panic.
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // At level debug, logs each request and statement when it ends, with the time that it took.
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
