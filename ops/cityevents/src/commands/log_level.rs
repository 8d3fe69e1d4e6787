//! `log-level`: what a running instance logs, shown or changed.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use cityevents_kit::Config;

use crate::admin::{self, Question};
use crate::cli::{LogLevel, Usage};
use crate::instance::Running;
use crate::output::{self, Format};

pub(super) fn run(arguments: &LogLevel) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let ops = operations(&config, arguments.ops)?;
    let question = Question::LogLevel { level: arguments.level.clone() };
    let answer = admin::ask_running(ops, &question)
        .with_context(|| format!("the operations listener at {ops}"))?;
    if arguments.place.output == Format::Json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let word = |field: &str| answer[field].as_str().unwrap_or_default();
    output::line(&match answer["before"].as_str() {
        Some(before) => format!("{} until the instance ends (before: {before})", word("level")),
        None => word("level").to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}

/// Levels are those of one process.
fn operations(config: &Config, given: Option<SocketAddr>) -> anyhow::Result<SocketAddr> {
    if let Some(ops) = given {
        return Ok(ops);
    }
    if config.is_cluster() {
        return Ok(config.ops.listen);
    }
    let running = Running::find(&config.data.dir).ok_or_else(|| {
        let dir = config.data.dir.display();
        Usage(format!("no instance runs in {dir}; --data names another folder, --ops an address"))
    })?;
    Ok(running.ops)
}
