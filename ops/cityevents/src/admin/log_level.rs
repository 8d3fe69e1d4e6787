//! `log-level`: what a running instance logs.

use cityevents_kit::telemetry;
use serde_json::{Value, json};

/// What this process logs; from now on `level`, where one is given. The configuration stays as it is,
/// so that it counts again after a restart.
pub(super) fn log_level(level: Option<&str>) -> anyhow::Result<Value> {
    let Some(level) = level else {
        return Ok(json!({ "level": telemetry::log_level()? }));
    };
    let before = telemetry::set_log_level(level)?;
    tracing::warn!(before, now = level, "what is logged has been changed from {before} to {level}");
    Ok(json!({ "level": level, "before": before }))
}
