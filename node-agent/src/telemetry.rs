//! Logs: to standard error, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Begins to log.
///
/// # Errors
/// Says what is wrong with the filter.
pub fn start(format: LogFormat, level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|error| format!("--log-level {level:?}: {error}"))?;
    // kube says again, at length, what the feed says in a sentence.
    let quiet = ["kube_runtime=error", "kube_client=off"];
    let filter =
        quiet.iter().filter(|_| !level.contains("kube_")).try_fold(filter, |filter, directive| {
            directive
                .parse()
                .map(|directive| filter.add_directive(directive))
                .map_err(|error| format!("{error}"))
        })?;
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let logs = logs.with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| error.to_string())
}
