//! `dev`: the whole product in one process.

use std::process::ExitCode;

use cityevents_kit::telemetry::init_logging;

use crate::cli::{Dev, FAILURE};
use crate::instance;
use crate::output;

pub(super) fn run(arguments: Dev) -> anyhow::Result<ExitCode> {
    let mut overrides = Vec::new();
    let mut set = |key: &str, value: Option<std::net::SocketAddr>| {
        overrides.extend(value.map(|value| (key.to_owned(), value.to_string())));
    };
    set("http.listen", arguments.listen);
    set("ops.listen", arguments.ops_listen);
    let config = arguments.place.load(overrides)?.config;
    init_logging(&config.telemetry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let instance = instance::start(&config).await?;
        let lifecycle = instance.lifecycle().clone();
        tokio::select! {
            ready = instance.wait_ready() => {
                ready?;
                if arguments.sample_data {
                    crate::load::sample::fill(&config, instance.http()).await?;
                }
                output::line(&format!(
                    "cityevents is ready at http://{} (operations at http://{})",
                    instance.http(),
                    instance.ops()
                ));
                let reason = lifecycle.wait_for_stop().await?;
                tracing::info!("stopping: {reason}");
            }
            reason = lifecycle.wait_for_stop() => {
                tracing::info!("stopping before everything was ready: {}", reason?);
            }
        }
        let is_clean = instance.stop().await;
        tracing::info!("stopped");
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
    })
}
