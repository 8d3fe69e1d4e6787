//! `run`: some roles of a cluster in one process.

use std::process::ExitCode;

use cityevents_kit::telemetry::init_logging;

use super::serve::serve;
use crate::cli::{Run, Usage};
use crate::instance::roles::{ProcessRole, ProcessRoles};

pub(super) fn run(arguments: &Run) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load_for_cluster(arguments.listen.overrides())?.config;
    if !config.is_cluster() {
        let message = "run needs a cluster: set kafka.brokers and scylla.nodes in the file given \
                       with --config, or CITYEVENTS__KAFKA__BROKERS and CITYEVENTS__SCYLLA__NODES. \
                       On one machine without a cluster use `cityevents dev`";
        return Err(Usage(message.to_owned()).into());
    }
    let roles = ProcessRoles::new(arguments.roles.iter().copied());
    if roles.has(ProcessRole::Api)
        && config.http.public_url.is_none()
        && !config.http.listen.ip().is_loopback()
    {
        let message = "the role api needs http.public_url: the address under which people reach \
                       this service, https://… in production. Without it cookies are not Secure and \
                       links in mails lead to the address of the listener. Set it in the file given \
                       with --config, or CITYEVENTS__HTTP__PUBLIC_URL; only a listener on a loopback \
                       address does without";
        return Err(Usage(message.to_owned()).into());
    }
    init_logging(&config.telemetry)?;
    serve(&config, &roles, async |_| Ok(()))
}
