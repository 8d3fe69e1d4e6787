//! `keys`: the keys that sign access tokens. A running instance follows within a second.

use std::process::ExitCode;

use cityevents_kit::keys::{KeyInfo, KeyRing};
use serde_json::{Value, json};

use super::print_rows;
use crate::cli::{Keys, KeysAction};

pub(super) fn run(arguments: &Keys) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let ring = KeyRing::open(&config.keys_dir())?;
    match &arguments.action {
        KeysAction::List => {}
        KeysAction::Rotate => {
            ring.rotate()?;
        }
        KeysAction::Retire { kid } => ring.retire(kid)?,
    }
    let rows: Value = ring.list().iter().map(row).collect();
    print_rows(&rows, &["kid", "status", "created_at", "public_key"], arguments.place.output)?;
    Ok(ExitCode::SUCCESS)
}

fn row(key: &KeyInfo) -> Value {
    json!({
        "kid": key.kid,
        "status": key.status.to_string(),
        "created_at": key.created_at,
        "public_key": key.public_key,
    })
}
