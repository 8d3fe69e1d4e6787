//! What is logged, changed while the process runs.

use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::logging::LoggingError;

/// What the embedded store tells of each of its files at every start is for its own developers; a
/// filter that names these targets still brings it back.
const QUIET: &str = "fjall=warn,lsm_tree=warn";

type Replace = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// The filter of the process, once it logs.
static FILTER: OnceLock<Levels> = OnceLock::new();

struct Levels {
    now: Mutex<String>,
    replace: Replace,
}

/// A level, or `target=level` with commas in between.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, LoggingError> {
    // The parser takes a word that is no level for a target, of which everything is logged.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let wrong = parts.iter().find(|part| !part.contains('=') && !is_level(part));
    if let Some(word) = wrong {
        return Err(LoggingError::Level((*word).to_owned()));
    }
    Ok(EnvFilter::try_new(format!("{QUIET},{}", parts.join(",")))?)
}

/// From now on the filter can be replaced.
pub(super) fn keep(now: &str, replace: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) {
    let levels = Levels { now: Mutex::new(now.to_owned()), replace: Box::new(replace) };
    // Logging is set up once.
    let _is_first = FILTER.set(levels);
}

/// What is logged now.
///
/// # Errors
/// When this process does not log.
pub fn log_level() -> Result<String, LoggingError> {
    let levels = FILTER.get().ok_or(LoggingError::NotSet)?;
    Ok(levels.now.lock().clone())
}

/// Logs this from now on, until the process ends. Returns what was logged before.
///
/// # Errors
/// When the text is no filter, or this process does not log.
pub fn set_log_level(text: &str) -> Result<String, LoggingError> {
    let levels = FILTER.get().ok_or(LoggingError::NotSet)?;
    let new = filter(text)?;
    let mut now = levels.now.lock();
    if !(levels.replace)(new) {
        return Err(LoggingError::NotSet);
    }
    Ok(std::mem::replace(&mut now, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_levels_and_targets_with_levels() {
        for good in ["info", "OFF", "warn,cityevents_runtime=debug", "info, fjall=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for wrong in ["", "loud", "info,cityevents_runtime", "info,,warn", "a=loud"] {
            assert!(filter(wrong).is_err(), "{wrong:?}");
        }
    }
}
