//! `mail suppress`: addresses that get no mail.

use cityevents_api::identity::{Address, SuppressionReason, Suppressions};
use cityevents_kit::Config;
use cityevents_kit::seal::{CursorSealer, InstanceSecret, MailSecrets};
use cityevents_runtime::log::clock::SystemClock;
use clap::Args;
use serde_json::Value;

use super::{print_rows, who};
use crate::admin::{self, AskedAddress, Question, SuppressionQuestion};
use crate::cli::{Place, Usage};
use crate::instance::{self, Running};
use crate::output::{self, Format};

/// `mail suppress`.
#[derive(Debug, Args)]
pub struct Suppress {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// The address; only a keyed hash of it is kept
    #[arg(required_unless_present = "list")]
    pub address: Option<String>,
    /// Why: bounced, complaint, or asked
    #[arg(long, default_value = "bounced", value_parser = reason)]
    pub reason: SuppressionReason,
    /// Show all, by hash
    #[arg(long, conflicts_with_all = ["address", "remove"])]
    pub list: bool,
    /// It gets mails again
    #[arg(long)]
    pub remove: bool,
}

fn reason(word: &str) -> Result<SuppressionReason, String> {
    let known = SuppressionReason::ALL.map(SuppressionReason::as_str).join(", ");
    SuppressionReason::parse(word).ok_or_else(|| format!("one of {known}"))
}

pub(super) fn run(arguments: &Suppress) -> anyhow::Result<std::process::ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let by = who();
    let question = match &arguments.address {
        None => SuppressionQuestion::List,
        Some(address) => {
            Address::parse(address).map_err(|error| Usage(format!("{address}: {error}")))?;
            let address = AskedAddress(address.clone());
            match arguments.remove {
                true => SuppressionQuestion::Remove { address, by },
                false => {
                    let reason = arguments.reason.as_str().to_owned();
                    SuppressionQuestion::Add { address, reason, by }
                }
            }
        }
    };
    let answer = ask(&config, question)?;
    if arguments.list {
        print_rows(&answer, &["hash", "reason", "since", "by"], arguments.place.output)?;
    } else if arguments.place.output == Format::Json {
        output::json(&answer)?;
    } else {
        output::line(&sentence(&answer));
    }
    Ok(std::process::ExitCode::SUCCESS)
}

fn sentence(answer: &Value) -> String {
    let word = |field: &str| answer[field].as_str().unwrap_or_default();
    match answer["removed"].as_bool() {
        Some(true) => "the address gets mails again".to_owned(),
        Some(false) => "the address got mails all the time".to_owned(),
        None => format!(
            "the address gets no mail: {}, since {} ({})",
            word("reason"),
            word("since"),
            word("by")
        ),
    }
}

/// Through the running instance, which holds the tables of its folder; past it where none runs.
fn ask(config: &Config, question: SuppressionQuestion) -> anyhow::Result<Value> {
    if !config.is_cluster() {
        if let Some(running) = Running::find(&config.data.dir) {
            return admin::ask_running(running.ops, &Question::Suppress(question));
        }
        if !config.data.dir.join("views").is_dir() {
            let dir = config.data.dir.display();
            return Err(Usage(format!("there is no instance in {dir}; --data names one")).into());
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let views = runtime.block_on(instance::open_views(config))?;
    let secrets = MailSecrets::new(CursorSealer::new(InstanceSecret::open(config)?));
    let known = Suppressions::new(views.records, std::sync::Arc::new(SystemClock), secrets);
    admin::suppress(&known, &question)
}
