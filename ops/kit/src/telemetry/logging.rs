//! Structured logs on standard error: JSON lines, or lines for people on a terminal. Lines that are
//! written for a request or a record of a trace say which.

use std::fmt::Write as _;
use std::io::IsTerminal;

use cityevents_trace::Scope;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::levels;
use crate::config::{LogFormat, Telemetry};

/// Logging could not be set up, or changed.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("that is not a filter ({0}); write a level or target=level, …")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A word is no level.
    #[error(
        "{0:?} is no level; write one of error, warn, info, debug, trace, off, or target=level, …"
    )]
    Level(String),
    /// Logging was set up before.
    #[error("logging is already set up in this process")]
    AlreadySet,
    /// Nothing is logged.
    #[error("this process does not log")]
    NotSet,
}

/// Sets up logging for the process; once, early.
///
/// # Errors
/// When the level is none, or logging is set up already.
pub fn init_logging(telemetry: &Telemetry) -> Result<(), LoggingError> {
    let filter = levels::filter(&telemetry.log_level)?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(terminal);
    let json = match telemetry.log_format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !terminal,
    };
    let now = &telemetry.log_level;
    let set = if json {
        let builder = builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .map_event_format(|inner| Scoped { inner, json })
            .with_env_filter(filter)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        levels::keep(now, move |filter| handle.reload(filter).is_ok());
        builder.try_init()
    } else {
        let builder = builder
            .compact()
            .map_event_format(|inner| Scoped { inner, json })
            .with_env_filter(filter)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        levels::keep(now, move |filter| handle.reload(filter).is_ok());
        builder.try_init()
    };
    set.map_err(|_| LoggingError::AlreadySet)
}

/// Lines with the request and the trace that the thread works for. Put into the line that is there,
/// so that nothing is paid where nothing is logged.
struct Scoped<F> {
    inner: F,
    json: bool,
}

impl<S, N, F> FormatEvent<S, N> for Scoped<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let Some(scope) = Scope::current() else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::with_capacity(512);
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&with_scope(line, &scope, self.json))
    }
}

/// Ids of requests are letters, digits and a few signs, so that nothing has to be escaped.
fn with_scope(mut line: String, scope: &Scope, json: bool) -> String {
    let end = if json { "}\n" } else { "\n" };
    if line.ends_with(end) {
        line.truncate(line.len() - end.len());
    }
    let trace = scope.trace().trace_id_text();
    let request = scope.request_id();
    // Writing to a string does not fail.
    let _ = match (json, request) {
        (true, Some(id)) => write!(line, r#","request.id":"{id}","trace.id":"{trace}""#),
        (true, None) => write!(line, r#","trace.id":"{trace}""#),
        (false, Some(id)) => write!(line, " request.id={id} trace.id={trace}"),
        (false, None) => write!(line, " trace.id={trace}"),
    };
    line.push_str(end);
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cityevents_trace::TraceParent;

    use super::*;

    #[test]
    fn a_line_says_what_it_was_written_for() {
        let parent = TraceParent { trace_id: [0xab; 16], parent_id: [1; 8], flags: 0 };
        let scope = Scope::of(Arc::new(parent));
        let trace = "ab".repeat(16);
        let json = with_scope("{\"message\":\"x\"}\n".to_owned(), &scope, true);
        assert_eq!(json, format!("{{\"message\":\"x\",\"trace.id\":\"{trace}\"}}\n"));
        let plain = with_scope("INFO x\n".to_owned(), &scope, false);
        assert_eq!(plain, format!("INFO x trace.id={trace}\n"));
    }
}
