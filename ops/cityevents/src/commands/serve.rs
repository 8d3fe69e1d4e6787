//! What `dev` and `run` have in common: start, tell when ready, wait, stop in order.

use std::process::ExitCode;

use cityevents_kit::Config;

use crate::cli::FAILURE;
use crate::console;
use crate::instance::roles::{ProcessRole, ProcessRoles};
use crate::instance::{self, Instance};
use crate::output;

/// Runs an instance until it is told to stop. `prepare` is called once when it is ready, before it
/// says so.
pub(super) fn serve(
    config: &Config,
    roles: &ProcessRoles,
    prepare: impl AsyncFnOnce(&Instance) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let instance = instance::start(config, roles).await?;
        let lifecycle = instance.lifecycle().clone();
        // One listener from here to the end, and listening before anybody is told that this is ready:
        // else a signal in between ends the process at once, or is lost.
        let mut stop = std::pin::pin!(lifecycle.wait_for_stop());
        tokio::select! {
            biased;
            reason = &mut stop => {
                tracing::info!("stopping before everything was ready: {}", reason?);
            }
            ready = instance.wait_ready() => {
                ready?;
                prepare(&instance).await?;
                announce(config, roles, &instance);
                let reason = stop.await?;
                tracing::info!("stopping: {reason}");
            }
        }
        let is_clean = instance.stop().await;
        tracing::info!("stopped");
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
    })
}

fn announce(config: &Config, roles: &ProcessRoles, instance: &Instance) {
    let who =
        if config.is_cluster() { format!("cityevents ({roles})") } else { "cityevents".to_owned() };
    let place = instance.http().map_or_else(String::new, |http| format!(" at http://{http}"));
    let ops = instance.ops();
    output::line(&format!("{who} is ready{place} (operations at http://{ops})"));
    if roles.has(ProcessRole::Lag) {
        output::line(&format!("what it is doing: http://{ops}{}", console::PATH));
    }
}
