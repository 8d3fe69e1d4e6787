//! Questions about an instance that need its log: answered by a running instance through its
//! operations listener, or here when none runs. Both ways go through [`execute`].

mod accounts;
mod audit;
pub mod dead_letter_depth;
mod dead_letters;
pub mod explain;
mod explain_trend;
pub mod find;
pub mod lag;
mod log_level;
mod personal_data;
mod remote;
pub mod replay;
mod snapshots;
mod suppressions;
mod topics;

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use cityevents_api::identity::Identity;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_runtime::log::{Log, TopicPartition};
use cityevents_runtime::standby::Source;
use cityevents_schemas::catalog::Topic;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::DlqFilter;
use crate::instance::{Schemas, Tables};

pub use self::accounts::{AccountQuestion, AskedAccount, Whose, answer};
pub use self::personal_data::AskedText;
pub use self::remote::{Asker, ask, ask_running, routes};
pub use self::suppressions::{AskedAddress, SuppressionQuestion, suppress};

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "question", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// See [`audit`].
    Audit,
    /// See [`personal_data`].
    PersonalData {
        /// What to look for beside what accounts have.
        look_for: Vec<AskedText>,
    },
    /// See [`explain`].
    Explain {
        /// Which event.
        event: String,
        /// Only what concerns this person.
        user: Option<String>,
    },
    /// See [`explain`].
    ExplainCommand {
        /// Which command.
        command: String,
    },
    /// See [`explain_trend`].
    ExplainTrend {
        /// Which event.
        event: String,
    },
    /// See [`accounts`].
    Account(AccountQuestion),
    /// See [`suppress`].
    Suppress(SuppressionQuestion),
    /// See [`replay`].
    Replay(replay::ReplayQuestion),
    /// How far every group is behind.
    Lag {
        /// Those of others, beside our own.
        #[serde(default)]
        groups: Vec<String>,
    },
    /// What the process logs; from now on this, where one is given.
    LogLevel {
        /// A level, or target=level with commas in between.
        level: Option<String>,
    },
    /// All topics.
    Topics,
    /// Makes missing topics.
    CreateTopics,
    /// Compares topics with the catalogue.
    CheckTopics,
    /// All snapshots.
    Snapshots,
    /// Takes one of every partition.
    TakeSnapshots,
    /// Reads and compares all.
    VerifySnapshots,
    /// Dead letters, without their values.
    DeadLetters {
        /// Which.
        filter: DlqFilter,
    },
    /// One dead letter, whole.
    DeadLetter {
        /// `topic/partition/offset`
        id: String,
    },
    /// Appends dead letters to where they came from.
    Redrive {
        /// Which.
        filter: DlqFilter,
        /// Do it.
        execute: bool,
        /// At most so many a second.
        rate: u32,
        /// Who asks, for the log.
        by: String,
    },
    /// Marks dead letters as handled.
    DropLetters {
        /// Which.
        filter: DlqFilter,
        /// Do it.
        execute: bool,
        /// Who asks, for the log.
        by: String,
    },
}

impl Question {
    /// Its kind: of what it is about, ids of people for example, the log of the process has nothing.
    pub fn kind(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["question"].as_str().unwrap_or("unknown").to_owned()
    }

    /// What its answer needs of the schema registry.
    pub const fn schemas(&self) -> Schemas {
        match self {
            Self::LogLevel { .. }
            // Of records it reads when they were written, and whether they count.
            | Self::Lag { .. }
            | Self::Topics
            | Self::CheckTopics
            | Self::Snapshots
            | Self::Account(_)
            | Self::Suppress(_) => Schemas::Unused,
            Self::CreateTopics => Schemas::Registered,
            _ => Schemas::Expected,
        }
    }
}

/// What answers need.
#[derive(Clone)]
pub struct Context {
    /// Log, topics, snapshots.
    pub source: Source,
    /// Prefix of topic names.
    pub prefix: String,
    /// Partitions that the catalogue is asked with.
    pub partitions: u32,
    /// Accounts, in a process that serves them.
    pub identity: Arc<OnceLock<Identity>>,
    /// Tables by name.
    pub tables: Arc<Tables>,
    /// Replays that are under way.
    pub replays: Arc<replay::Replays>,
}

impl Context {
    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.source.log
    }

    /// The group of a topology.
    pub fn group(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A partition of a topic of the catalogue.
    pub fn partition(&self, topic: &Topic, partition: u32) -> TopicPartition {
        TopicPartition::new(topic.full_name(&self.prefix), partition)
    }
}

/// Hears how far a long answer is: done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Answers a question. Blocks for as long as it takes.
///
/// # Errors
/// When the answer is that something is wrong, or when there is none.
pub fn execute(
    question: &Question,
    context: &Context,
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    match question {
        Question::Audit => audit::audit(context, progress),
        Question::PersonalData { look_for } => personal_data::prove(context, look_for, progress),
        Question::Explain { event, user } => {
            let event: EventId = event.parse()?;
            let user: Option<UserId> = user.as_deref().map(str::parse).transpose()?;
            explain::explain(context, &event, user.as_ref(), progress)
        }
        Question::ExplainCommand { command } => {
            explain::explain_command(context, &command.parse()?, progress)
        }
        Question::ExplainTrend { event } => {
            explain_trend::explain_trend(context, &event.parse()?, progress)
        }
        Question::Account(asked) => {
            let identity =
                context.identity.get().context("this process does not serve accounts")?;
            answer(identity, asked)
        }
        Question::Suppress(asked) => {
            let identity =
                context.identity.get().context("this process does not serve accounts")?;
            suppress(identity.suppressions(), asked)
        }
        Question::Replay(asked) => replay::replay(context, asked, progress),
        Question::LogLevel { level } => log_level::log_level(level.as_deref()),
        Question::Lag { groups } => lag::lag(context, groups, progress),
        Question::Topics => topics::list(context),
        Question::CreateTopics => topics::create(context),
        Question::CheckTopics => topics::check(context),
        Question::Snapshots => snapshots::list(context),
        Question::TakeSnapshots => snapshots::take(context, progress),
        Question::VerifySnapshots => snapshots::verify(context, progress),
        Question::DeadLetters { filter } => dead_letters::list(context, filter),
        Question::DeadLetter { id } => dead_letters::show(context, id),
        Question::Redrive { filter, execute, rate, by } => {
            dead_letters::redrive(context, filter, *execute, *rate, by)
        }
        Question::DropLetters { filter, execute, by } => {
            dead_letters::discard(context, filter, *execute, by)
        }
    }
}
