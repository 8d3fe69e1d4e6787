//! `run`: some roles of a cluster in one process.

use std::process::ExitCode;

use cityevents_kit::telemetry::init_logging;

use super::serve::serve;
use crate::cli::{Run, Usage};
use crate::instance::roles::ProcessRoles;

pub(super) fn run(arguments: &Run) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load_for_cluster(arguments.listen.overrides())?.config;
    if !config.is_cluster() {
        let message = "run needs a cluster: set kafka.brokers and scylla.nodes in the file given \
                       with --config, or CITYEVENTS__KAFKA__BROKERS and CITYEVENTS__SCYLLA__NODES. \
                       On one machine without a cluster use `cityevents dev`";
        return Err(Usage(message.to_owned()).into());
    }
    init_logging(&config.telemetry)?;
    let roles = ProcessRoles::new(arguments.roles.iter().copied());
    serve(&config, &roles, async |_| Ok(()))
}
