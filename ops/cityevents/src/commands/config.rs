//! `config`: is it good, and what is in effect.

use std::process::ExitCode;

use cityevents_kit::config::DEFAULT_TOML;
use serde_json::json;

use crate::cli::{ConfigAction, ConfigCommand};
use crate::output::{self, Format};

pub(super) fn run(arguments: &ConfigCommand) -> anyhow::Result<ExitCode> {
    if let ConfigAction::Default = arguments.action {
        output::line(DEFAULT_TOML.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = arguments.place.load(Vec::new())?;
    match (arguments.action, arguments.place.output) {
        (ConfigAction::Show, Format::Json) => {
            let shown = loaded.show();
            let rows: Vec<_> = shown
                .iter()
                .map(|one| json!({ "key": one.key, "value": one.value, "origin": one.origin }))
                .collect();
            output::json(&rows)?;
        }
        (ConfigAction::Show, Format::Table) => {
            for value in loaded.show() {
                output::line(&value.to_string());
            }
        }
        (_, Format::Json) => output::json(&json!({ "good": true }))?,
        (_, Format::Table) => output::line("the configuration is good"),
    }
    Ok(ExitCode::SUCCESS)
}
