//! The operations listener: probes, metrics, questions and the console. Not for the public.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cityevents_kit::Stage;
use cityevents_kit::http::{ServeOptions, serve};
use cityevents_kit::ops_listener::ops_router;
use cityevents_runtime::log::TopicPartition;
use serde_json::json;

use super::http::{Parts, bind};
use crate::admin;
use crate::console::{self, Board, ConsoleParts};

/// Time to stop.
const STOP_BUDGET: Duration = Duration::from_secs(2);

/// Starts it.
pub(super) async fn start(
    parts: &Parts<'_>,
    board: Option<Arc<Board>>,
) -> anyhow::Result<SocketAddr> {
    let Parts { config, lifecycle, context, .. } = parts;
    let console = console::routes(ConsoleParts {
        context: (*context).clone(),
        foreign: config.lag.groups.clone(),
        lifecycle: (*lifecycle).clone(),
        metrics: parts.metrics.clone(),
        board,
        member: parts.member.to_owned(),
        roles: parts.roles.to_string(),
    })?;
    let assignment = assignment((*context).clone());
    let operations = ops_router((*lifecycle).clone(), parts.metrics.clone(), assignment)
        .merge(admin::routes((*context).clone()))
        .merge(console);
    let (listener, address) = bind(config.ops.listen, "--ops-listen")?;
    let component = lifecycle.register("operations", Stage::Log, STOP_BUDGET);
    tokio::spawn(serve(listener, operations, ServeOptions::of_ops(config), component));
    Ok(address)
}

/// Which partitions this process works on, and how far commands and facts are.
fn assignment(context: admin::Context) -> cityevents_kit::ops_listener::Assignment {
    Arc::new(move || {
        let source = &context.source;
        let marks = |topic: &Arc<str>, partition| {
            let partition = TopicPartition::new(topic.clone(), partition);
            source.log.watermarks(&partition).map(|marks| marks.high).ok()
        };
        let rows = (0..context.partitions).map(|partition| {
            json!({
                "partition": partition,
                "commands": marks(&source.commands, partition),
                "facts": marks(&source.facts, partition),
            })
        });
        rows.collect()
    })
}
