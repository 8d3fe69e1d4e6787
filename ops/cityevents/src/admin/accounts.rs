//! Accounts from the command line: the first administrator among them, who cannot be made by anybody
//! else.

use std::fmt;

use anyhow::{Context as _, anyhow, bail};
use cityevents_api::identity::{Account, Address, Identity, NewAccount, person_name};
use cityevents_domain::actor::Role;
use futures::executor::block_on;
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

/// What can be asked of accounts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum AccountQuestion {
    /// To make one.
    Create(AskedAccount),
    /// Who is there.
    List {
        /// Only those with this role.
        role: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// To give one another role.
    SetRole {
        /// Its id or address.
        account: Whose,
        /// Which role.
        role: String,
    },
}

/// An id or an address.
#[derive(Clone, Serialize, Deserialize)]
pub struct Whose(pub String);

/// Without what is personal: questions are logged.
impl fmt::Debug for Whose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Whose(…)")
    }
}

/// Answers a question about accounts. Blocks.
///
/// # Errors
/// When the answer is no, with the reason, and when the tables cannot be reached.
pub fn answer(identity: &Identity, question: &AccountQuestion) -> anyhow::Result<Value> {
    match question {
        AccountQuestion::Create(asked) => create(identity, asked),
        AccountQuestion::List { role, limit } => {
            let role = role.as_deref().map(role_of).transpose()?;
            let (accounts, has_more) = block_on(identity.accounts_of(role, *limit))?;
            let accounts: Vec<_> = accounts.iter().map(shown).collect();
            Ok(json!({ "accounts": accounts, "has_more": has_more }))
        }
        AccountQuestion::SetRole { account, role } => {
            let role = role_of(role)?;
            let id = match account.0.parse() {
                Ok(id) => id,
                Err(_) => {
                    let address = Address::parse(&account.0)
                        .map_err(|error| anyhow!("{error}, or the id of an account"))?;
                    let found = block_on(identity.account_of(&address))?;
                    found.context("there is no account with this address")?.id
                }
            };
            Ok(shown(&block_on(identity.give_role(None, &id, role))?))
        }
    }
}

fn role_of(word: &str) -> anyhow::Result<Role> {
    Role::parse(word).ok_or_else(|| anyhow!("there is no such role"))
}

fn create(identity: &Identity, asked: &AskedAccount) -> anyhow::Result<Value> {
    let account = NewAccount {
        email: Address::parse(&asked.email)?,
        name: person_name(asked.name.as_deref().unwrap_or_default()).context("the name")?,
        language: None,
        password_hash: Some(asked.password_hash.clone()),
        role: role_of(&asked.role)?,
    };
    let made = block_on(identity.create_account(account))?;
    let Some(account) = made else { bail!("there is an account with this address") };
    Ok(shown(&account))
}

fn shown(account: &Account) -> Value {
    json!({
        "id": account.id.to_string(),
        "email": account.email,
        "name": account.name,
        "role": account.role.as_str(),
        "locked": account.locked,
        "email_verified": account.email_verified,
    })
}
