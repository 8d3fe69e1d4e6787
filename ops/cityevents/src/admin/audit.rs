//! The audit, as an answer.

use cityevents_processors::audit;
use serde_json::Value;

use super::{Context, Progress};

pub(super) fn audit(context: &Context, progress: Progress<'_>) -> anyhow::Result<Value> {
    let source = &context.source;
    let report = audit::audit(&**context.log(), &source.commands, &source.facts, progress)?;
    Ok(serde_json::to_value(report)?)
}
