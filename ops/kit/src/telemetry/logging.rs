//! Structured logs on standard error: JSON lines, or lines for people on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Telemetry};

/// What the embedded store tells of each of its files at every start is for its own developers; a
/// filter that names these targets still brings it back.
const QUIET: &str = "fjall=warn,lsm_tree=warn";

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("telemetry.log_level is not a filter ({0}); write a level or target=level, …")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging was set up before.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Sets up logging for the process; once, early.
pub fn init_logging(telemetry: &Telemetry) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", telemetry.log_level))?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal);
    let json = match telemetry.log_format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !terminal,
    };
    let set = if json {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        builder.compact().try_init()
    };
    set.map_err(|_| LoggingError::AlreadySet)
}
