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
mod doctor;
mod explain;
mod keys;
mod lag;
mod log_level;
mod mail;
mod preview;
pub mod replay;
mod run;
mod serve;
mod snapshot;
pub mod suppress;
mod token;
mod topics;
mod views;

use std::path::Path;
use std::process::ExitCode;

use cityevents_kit::Config;
use cityevents_kit::config::KeysStore;
use cityevents_kit::keys::{KeyRing, TokenSigner};

use crate::cli::{Cli, Command, Usage};
use crate::instance;

/// Who asks, for the record.
fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    who_is(std::env::var("USER").ok(), uid, &rustix::system::uname().nodename().to_string_lossy())
}

/// In a container users have no names: the number tells at least on which machine to look.
fn who_is(named: Option<String>, uid: u32, machine: &str) -> String {
    let named = named.filter(|name| !name.trim().is_empty());
    named.unwrap_or_else(|| format!("user {uid} of {machine}"))
}

/// Runs a subcommand. The exit code says whether what it says is so.
///
/// # Errors
/// When it could not be carried out.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Dev(arguments) => dev::run(arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Lag(arguments) => lag::run(&arguments),
        Command::LogLevel(arguments) => log_level::run(&arguments),
        Command::Account(arguments) => account::run(arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::ApiKeys(arguments) => api_keys::run(&arguments),
        Command::Topics(arguments) => topics::run(&arguments),
        Command::Views(arguments) => views::run(&arguments),
        Command::Snapshot(arguments) => snapshot::run(&arguments),
        Command::Dlq(arguments) => dlq::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Mail(arguments) => mail::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Signs for a running instance: with the keys of a folder, or, where the settings say that they are
/// kept in the tables, with those. Waits for the tables, so that no runtime may be around it.
fn signer_for(keys: Option<&Path>, config: &Config) -> anyhow::Result<TokenSigner> {
    let ring = match (keys, config.keys.store) {
        (Some(keys), _) => KeyRing::open(keys)?,
        (None, KeysStore::Views) => instance::open_keys(config)?,
        (None, KeysStore::Dir) => {
            let say = "--url needs --keys to sign tokens, or, where the keys are in the tables, the \
                       settings of the instance: keys.store = \"views\" and what belongs to it";
            return Err(Usage(say.to_owned()).into());
        }
    };
    Ok(TokenSigner::new(ring, config))
}

/// What is wrong where a running instance takes no token of ours.
const UNKNOWN_KEYS: &str = "the instance does not know the keys that sign here: --keys has to be its \
                            own folder, and one that keeps them in the tables (keys.store = \
                            \"views\") is asked without --keys and with its settings";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_is_told_by_number_and_machine() {
        assert_eq!(who_is(Some("ada".to_owned()), 7, "api-0"), "ada");
        for unnamed in [None, Some(" ".to_owned())] {
            assert_eq!(who_is(unnamed, 7, "api-0"), "user 7 of api-0");
        }
    }
}
