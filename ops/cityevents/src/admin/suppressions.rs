//! Addresses that get no mail, from the command line.

use std::fmt;

use anyhow::{Context as _, anyhow};
use cityevents_api::identity::{Address, Suppression, SuppressionReason, Suppressions};
use cityevents_domain::time::Timestamp;
use cityevents_kit::event_body::WireTime;
use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What can be asked of addresses that get no mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum SuppressionQuestion {
    /// One more.
    Add {
        /// Which.
        address: AskedAddress,
        /// `bounced`, `complaint` or `asked`.
        reason: String,
        /// Who says so.
        by: String,
    },
    /// One gets mails again.
    Remove {
        /// Which.
        address: AskedAddress,
        /// Who says so.
        by: String,
    },
    /// All.
    List,
}

/// An address as it was given.
#[derive(Clone, Serialize, Deserialize)]
pub struct AskedAddress(pub String);

/// Without the address: questions are logged.
impl fmt::Debug for AskedAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AskedAddress(…)")
    }
}

/// Answers.
///
/// # Errors
/// When the address is none, or the tables cannot be reached.
pub fn suppress(known: &Suppressions, asked: &SuppressionQuestion) -> anyhow::Result<Value> {
    match asked {
        SuppressionQuestion::Add { address, reason, by } => {
            let reason = SuppressionReason::parse(reason).context("there is no such reason")?;
            let added = block_on(known.add(&parsed(address)?, reason, by))?;
            tracing::info!(by, reason = reason.as_str(), "an address gets no mail, says {by}");
            Ok(shown(&added))
        }
        SuppressionQuestion::Remove { address, by } => {
            let removed = block_on(known.remove(&parsed(address)?))?;
            tracing::info!(by, removed, "an address gets mails again, says {by}");
            Ok(json!({ "removed": removed }))
        }
        SuppressionQuestion::List => {
            let all = block_on(known.all())?;
            let row = |(hash, suppression): &([u8; 32], Suppression)| {
                let mut row = shown(suppression);
                row["hash"] =
                    json!(hash[..8].iter().map(|b| format!("{b:02x}")).collect::<String>());
                row
            };
            Ok(all.iter().map(row).collect())
        }
    }
}

fn parsed(address: &AskedAddress) -> anyhow::Result<Address> {
    Address::parse(&address.0).map_err(|error| anyhow!("the address: {error}"))
}

fn shown(suppression: &Suppression) -> Value {
    json!({
        "reason": suppression.reason.as_str(),
        "since": WireTime(Timestamp::from_millis(suppression.at_ms)),
        "by": suppression.by,
    })
}
