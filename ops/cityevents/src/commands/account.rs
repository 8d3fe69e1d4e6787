//! `account`: the accounts of people.

use std::io::BufRead as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_api::identity::{Address, Identity, IdentityParts, Password, Passwords};
use cityevents_domain::actor::Role;
use cityevents_kit::Config;
use cityevents_kit::keys::{KeyRing, TokenSigner};
use cityevents_kit::seal::{CursorSealer, InstanceSecret};
use cityevents_runtime::log::clock::SystemClock;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::random_id;
use crate::admin::{self, AskedAccount, Question};
use crate::cli::{Place, Usage, role};
use crate::instance::{self, Running};
use crate::output::{self, Format};

/// `account`.
#[derive(Debug, Args)]
pub struct AccountArguments {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: AccountAction,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountAction {
    /// Make an account; its password is printed once, unless it is given
    Create {
        /// Where mails go
        #[arg(long)]
        email: String,
        /// What the person wants to be called
        #[arg(long)]
        name: Option<String>,
        /// What the person may do
        #[arg(long, default_value = "user", value_parser = role)]
        role: Role,
        /// Read the password from the first line of the input
        #[arg(long)]
        password_stdin: bool,
    },
}

pub(super) fn run(arguments: AccountArguments) -> anyhow::Result<ExitCode> {
    let AccountArguments { place, action } = arguments;
    let config = place.load(Vec::new())?.config;
    let AccountAction::Create { email, name, role, password_stdin } = action;
    // Before anybody is asked to think of a password.
    Address::parse(&email).map_err(|error| Usage(format!("--email: {error}")))?;
    let (password, is_ours) = if password_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("the password cannot be read")?;
        (line.trim_end_matches(['\r', '\n']).to_owned(), false)
    } else {
        (URL_SAFE_NO_PAD.encode(random_id()), true)
    };
    let good = Password::new(password.as_str())
        .map_err(|error| Usage(format!("the password: {error}")))?;
    let password_hash = futures::executor::block_on(Passwords::start()?.hash(&good))?;
    let asked = AskedAccount { email, name, role: role.as_str().to_owned(), password_hash };
    let mut made = create(&config, asked)?;
    if is_ours {
        made["password"] = Value::String(password.clone());
    }
    if place.output == Format::Json {
        output::json(&made)?;
        return Ok(ExitCode::SUCCESS);
    }
    let word = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
    output::line(&format!("{} {} {}", word("id"), word("role"), word("email")));
    if is_ours {
        output::line(&password);
        output::note(
            "this is the only time that the password is shown; change it after signing in",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Through the running instance, which holds the tables of its folder; past it where none runs.
fn create(config: &Config, asked: AskedAccount) -> anyhow::Result<Value> {
    if !config.is_cluster() {
        if let Some(running) = Running::find(&config.data.dir) {
            return admin::ask_running(running.ops, &Question::CreateAccount(asked));
        }
        std::fs::create_dir_all(&config.data.dir).with_context(|| {
            format!("the data folder {} cannot be made", config.data.dir.display())
        })?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let views = runtime.block_on(instance::open_views(config))?;
    let signer = TokenSigner::new(KeyRing::open(&config.keys_dir())?, config);
    let parts = IdentityParts {
        records: views.records.clone(),
        signer,
        clock: Arc::new(SystemClock),
        changes: None,
        mail: instance::mail(config),
        cursors: CursorSealer::new(InstanceSecret::open(config)?),
    };
    let identity = Identity::new(parts, config)?;
    admin::create(&identity, &asked)
}
