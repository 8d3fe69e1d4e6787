//! `dev`: the whole product in one process.

use std::process::ExitCode;

use cityevents_kit::telemetry::init_logging;

use super::serve::serve;
use crate::cli::Dev;
use crate::instance::roles::ProcessRoles;

pub(super) fn run(arguments: Dev) -> anyhow::Result<ExitCode> {
    let mut overrides = arguments.listen.overrides();
    // On this machine's disk, whatever cluster the environment names.
    overrides.push(("kafka.brokers".to_owned(), String::new()));
    let config = arguments.place.load(overrides)?.config;
    init_logging(&config.telemetry)?;
    serve(&config, &ProcessRoles::all(), async |instance| match instance.http() {
        Some(http) if arguments.sample_data => {
            crate::load::sample::fill(&config, http, instance.ops()).await
        }
        _ => Ok(()),
    })
}
