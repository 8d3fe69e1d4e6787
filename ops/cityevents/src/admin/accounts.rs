//! Accounts from the command line: the first administrator among them, who cannot be made by anybody
//! else.

use std::fmt;

use anyhow::{anyhow, bail};
use cityevents_api::identity::{Address, Identity, NewAccount};
use cityevents_domain::actor::Role;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An account that somebody asks for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedAccount {
    /// Where mails go.
    pub email: String,
    /// What the person wants to be called.
    pub name: Option<String>,
    /// `user`, `moderator` or `admin`.
    pub role: String,
    /// The hash of the password; the password itself stays where it was typed.
    pub password_hash: String,
}

/// Without what is secret or personal: questions are logged.
impl fmt::Debug for AskedAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AskedAccount").field("role", &self.role).finish_non_exhaustive()
    }
}

/// Makes an account.
///
/// # Errors
/// When the address is none or has one already, and when the tables cannot be reached.
pub fn create(identity: &Identity, asked: &AskedAccount) -> anyhow::Result<Value> {
    let role = Role::parse(&asked.role).ok_or_else(|| anyhow!("there is no such role"))?;
    let account = NewAccount {
        email: Address::parse(&asked.email)?,
        name: asked.name.clone(),
        password_hash: Some(asked.password_hash.clone()),
        role,
    };
    let made = futures::executor::block_on(identity.create_account(account))?;
    let Some(account) = made else { bail!("there is an account with this address") };
    Ok(json!({
        "id": account.id.to_string(),
        "email": account.email,
        "role": account.role.as_str(),
    }))
}
