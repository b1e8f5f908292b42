//! Logs, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The directives make no sense.
    #[error("--log-level={0:?} is neither a level nor directives as in info,kube=debug: {1}")]
    Level(String, String),
    /// Something else logs already.
    #[error("set up the log: {0}")]
    Init(String),
}

/// Logs from here on.
///
/// # Errors
/// If `level` cannot be read.
pub fn init(format: LogFormat, level: &str) -> Result<(), TelemetryError> {
    // The client logs every failure that it returns; it is told once, by who knows what was tried.
    let filter = EnvFilter::try_new(format!("kube_client::client::builder=off,{level}"))
        .map_err(|error| TelemetryError::Level(level.to_owned(), error.to_string()))?;
    let ansi = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi);
    let result = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    result.map_err(|error| TelemetryError::Init(error.to_string()))
}
