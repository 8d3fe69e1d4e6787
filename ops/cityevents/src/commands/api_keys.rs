//! `api-keys`: the keys of programs that upload in bulk. Only hashes are stored.

use std::process::ExitCode;

use cityevents_kit::keys::{ApiKeyInfo, ApiKeys, Scope};
use serde_json::{Value, json};

use super::print_rows;
use crate::cli::{ApiKeys as Arguments, ApiKeysAction, Usage};
use crate::output::{self, Format};

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let keys = ApiKeys::open(&config.keys_dir())?;
    let format = arguments.place.output;
    match &arguments.action {
        ApiKeysAction::Create { scope, label } => {
            let scopes: Result<Vec<_>, _> = scope.iter().map(|word| parse(word)).collect();
            let (info, secret) = keys.create(&scopes?, label)?;
            if format == Format::Json {
                output::json(&json!({ "id": info.id, "key": secret.expose() }))?;
            } else {
                output::line(secret.expose());
                output::note("this is the only time that the key is shown");
            }
        }
        ApiKeysAction::List => {
            let rows: Value = keys.list().iter().map(row).collect();
            print_rows(&rows, &["id", "scopes", "label", "created_at_ms"], format)?;
        }
        ApiKeysAction::Revoke { id } => {
            keys.revoke(id)?;
            output::note(&format!("API key {id} is good no more"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(word: &str) -> Result<Scope, Usage> {
    Scope::parse(word).ok_or_else(|| {
        let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        Usage(format!("there is no scope {word}; there is {}", known.join(", ")))
    })
}

fn row(key: &ApiKeyInfo) -> Value {
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    json!({
        "id": key.id,
        "scopes": scopes.join(","),
        "label": key.label,
        "created_at_ms": key.created_at_ms,
    })
}
