//! `account`: the accounts of people.

use std::io::BufRead as _;
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_api::identity::{Address, Password, Passwords, person_name};
use cityevents_domain::actor::Role;
use cityevents_kit::Config;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::random_id;
use crate::admin::{self, AccountQuestion, AskedAccount, Question, Whose};
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
    /// Show who is there: who may do most first, and then the oldest account
    List {
        /// Only those with this role
        #[arg(long, value_parser = role)]
        role: Option<Role>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Give an account another role; it counts at once, for tokens that are out too
    Role {
        /// The id of the account, or its address
        account: String,
        /// What the person may do from now on
        #[arg(value_parser = role)]
        role: Role,
    },
}

pub(super) fn run(arguments: AccountArguments) -> anyhow::Result<ExitCode> {
    let AccountArguments { place, action } = arguments;
    let config = place.load(Vec::new())?.config;
    match action {
        AccountAction::Create { email, name, role, password_stdin } => {
            create(&config, &place, (email, name, role), password_stdin)?;
        }
        AccountAction::List { role, limit } => list(&config, &place, role, limit)?,
        AccountAction::Role { account, role } => {
            let (account, role) = (Whose(account), role.as_str().to_owned());
            let changed = ask(&config, AccountQuestion::SetRole { account, role })?;
            show(&place, &changed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(
    config: &Config,
    place: &Place,
    (email, name, role): (String, Option<String>, Role),
    password_stdin: bool,
) -> anyhow::Result<()> {
    // Before anybody is asked to think of a password.
    Address::parse(&email).map_err(|error| Usage(format!("--email: {error}")))?;
    person_name(name.as_deref().unwrap_or_default())
        .map_err(|error| Usage(format!("--name: {error}")))?;
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
    let mut made = ask(config, AccountQuestion::Create(asked))?;
    if is_ours {
        made["password"] = Value::String(password.clone());
    }
    show(place, &made)?;
    if is_ours && place.output == Format::Table {
        output::line(&password);
        output::note(
            "this is the only time that the password is shown; change it after signing in",
        );
    }
    Ok(())
}

fn list(config: &Config, place: &Place, role: Option<Role>, limit: u32) -> anyhow::Result<()> {
    let role = role.map(|role| role.as_str().to_owned());
    let limit = usize::try_from(limit)?;
    let answer = ask(config, AccountQuestion::List { role, limit })?;
    if place.output == Format::Json {
        return output::json(&answer);
    }
    let rows = answer["accounts"].as_array().into_iter().flatten().map(|account| {
        let word = |field: &str| account[field].as_str().unwrap_or_default().to_owned();
        let mark = |field: &str| if account[field] == true { "yes" } else { "" }.to_owned();
        let (verified, locked) = (mark("email_verified"), mark("locked"));
        vec![word("id"), word("role"), word("email"), word("name"), verified, locked]
    });
    output::table(&["id", "role", "address", "name", "verified", "locked"], rows);
    if answer["has_more"] == true {
        output::note("there are more: raise --limit, or ask for one --role");
    }
    Ok(())
}

fn show(place: &Place, account: &Value) -> anyhow::Result<()> {
    if place.output == Format::Json {
        return output::json(account);
    }
    let word = |field: &str| account[field].as_str().unwrap_or_default();
    output::line(&format!("{} {} {}", word("id"), word("role"), word("email")));
    Ok(())
}

/// Through the running instance, which holds the tables of its folder; past it where none runs.
fn ask(config: &Config, question: AccountQuestion) -> anyhow::Result<Value> {
    if !config.is_cluster() {
        if let Some(running) = Running::find(&config.data.dir) {
            return admin::ask_running(running.ops, &Question::Account(question));
        }
        std::fs::create_dir_all(&config.data.dir).with_context(|| {
            format!("the data folder {} cannot be made", config.data.dir.display())
        })?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let identity = instance::open_identity(config, &runtime)?;
    admin::answer(&identity, &question)
}
