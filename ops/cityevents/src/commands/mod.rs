//! One file a subcommand.

pub mod account;
mod api_keys;
mod audit;
pub mod bench;
mod completions;
mod config;
mod demo;
mod dev;
mod dlq;
mod explain;
mod keys;
mod lag;
mod mail;
mod preview;
mod run;
mod serve;
mod snapshot;
pub mod suppress;
mod token;
mod topics;
mod views;

use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// Runs a subcommand. The exit code says whether what it says is so.
///
/// # Errors
/// When it could not be carried out.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Dev(arguments) => dev::run(arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Audit(place) => audit::run(&place),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Lag(arguments) => lag::run(&arguments),
        Command::Account(arguments) => account::run(arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::ApiKeys(arguments) => api_keys::run(&arguments),
        Command::Topics(arguments) => topics::run(&arguments),
        Command::Views(arguments) => views::run(&arguments),
        Command::Snapshot(arguments) => snapshot::run(&arguments),
        Command::Dlq(arguments) => dlq::run(&arguments),
        Command::Mail(arguments) => mail::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions { shell } => completions::run(shell),
    }
}

/// 16 random bytes, marked as a UUID of version 4.
pub fn random_id() -> [u8; 16] {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid().into_bytes()
}

/// A field of an answer as a cell of a table.
fn cell(value: &serde_json::Value, field: &str) -> String {
    match &value[field] {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints an answer that is a list of rows.
fn print_rows(
    answer: &serde_json::Value,
    fields: &[&str],
    format: crate::output::Format,
) -> anyhow::Result<()> {
    if format == crate::output::Format::Json {
        return crate::output::json(answer);
    }
    let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        crate::output::line("none");
        return Ok(());
    }
    let cells = |row| fields.iter().map(|field| cell(row, field)).collect();
    crate::output::table(fields, rows.iter().map(cells));
    Ok(())
}
