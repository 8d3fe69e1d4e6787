//! `keys`: the keys that sign access tokens. A running instance follows within a second.

use std::process::ExitCode;

use cityevents_kit::keys::KeyInfo;
use serde_json::{Value, json};

use super::print_rows;
use crate::cli::{Keys, KeysAction};
use crate::instance;

const COLUMNS: [&str; 5] = ["kid", "status", "created_at", "signed_until", "public_key"];

pub(super) fn run(arguments: &Keys) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let ring = instance::open_keys(&config)?;
    let token_life = config.tokens.ttl_max + config.tokens.leeway;
    match &arguments.action {
        KeysAction::List => {}
        KeysAction::Rotate => {
            ring.rotate()?;
            ring.retire_due(token_life)?;
        }
        KeysAction::Retire { kid, stolen: false } => ring.retire(kid, token_life)?,
        KeysAction::Retire { kid, stolen: true } => ring.retire_stolen(kid)?,
    }
    let rows: Value = ring.list().iter().map(row).collect();
    print_rows(&rows, &COLUMNS, arguments.place.output)?;
    Ok(ExitCode::SUCCESS)
}

fn row(key: &KeyInfo) -> Value {
    json!({
        "kid": key.kid,
        "status": key.status.to_string(),
        "created_at": key.created_at,
        "signed_until": key.signed_until,
        "public_key": key.public_key,
    })
}
