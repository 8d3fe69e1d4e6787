//! `views`: the tables of a cluster, and the migrations that make them.

use std::process::ExitCode;

use cityevents_kit::Config;
use cityevents_views::scylla;
use serde_json::json;

use crate::cli::{Usage, Views, ViewsAction};
use crate::instance::{self, TablesName, tables_record};
use crate::output::{self, Format};

pub(super) fn run(arguments: &Views) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    if config.scylla.nodes.is_empty() {
        let message = "scylla.nodes is not given: tables on this machine need no migration";
        return Err(Usage(message.to_owned()).into());
    }
    let options = instance::scylla_options(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (answer, sentence) = match arguments.action {
        ViewsAction::Migrate => {
            let done = runtime.block_on(scylla::migrate(&options))?;
            let how = match (done.is_new, done.applied.as_slice()) {
                (true, _) => "was made and".to_owned(),
                (false, []) => "was up to date and".to_owned(),
                (false, applied) => format!("went through {} and", applied.join(", ")),
            };
            let live = migrate_live(&config)?;
            let also = live.as_ref().map(|live| format!(", and so have the live tables {live}"));
            let sentence = format!(
                "keyspace {} {how} has version {}{}",
                done.keyspace,
                done.version,
                also.unwrap_or_default()
            );
            let answer = json!({
                "keyspace": done.keyspace,
                "is_new": done.is_new,
                "version": done.version,
                "applied": done.applied,
                "live": live,
            });
            (answer, sentence)
        }
        ViewsAction::Check => {
            let found = runtime.block_on(scylla::check(&options))?;
            let sentence = format!("keyspace {} has version {}", found.keyspace, found.version);
            (json!({ "keyspace": found.keyspace, "version": found.version }), sentence)
        }
    };
    match arguments.place.output {
        Format::Json => output::json(&answer)?,
        Format::Table => output::line(&sentence),
    }
    Ok(ExitCode::SUCCESS)
}

/// Tables that a replay made may be the live ones: they have to have the same version.
fn migrate_live(config: &Config) -> anyhow::Result<Option<String>> {
    // Where the log is none of a cluster nobody looks for other tables.
    if !config.is_cluster() {
        return Ok(None);
    }
    let tables = instance::open_tables(config);
    let live = tables_record::live_name(&tables.open(&TablesName::main())?)?;
    if live.is_main() {
        return Ok(None);
    }
    tables.migrate(&live)?;
    Ok(Some(live.to_string()))
}
