//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cityevents_domain::actor::Role;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_kit::config::{Loaded, Sources};
use cityevents_kit::{Config, config::units};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands::account::AccountArguments;
use crate::commands::bench::chaos::ChaosOptions;
use crate::commands::bench::options::{BenchServers, BenchTarget};
use crate::commands::replay::ReplayArguments;
use crate::commands::suppress::Suppress;
use crate::instance::roles::ProcessRole;
use crate::output::Format;

/// Exit status when what was asked for is not so.
pub const FAILURE: u8 = 1;
/// Exit status for wrong usage or configuration.
pub const USAGE: u8 = 2;

/// The caller has to change the command line or the configuration.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Sign-ups for city events at any rush: nobody gets a place twice, nobody is overtaken, nothing
/// is lost, everybody knows at once where they stand.
#[derive(Debug, Parser)]
#[command(name = "cityevents", version, propagate_version = true)]
#[command(after_help = "Example:\n  cityevents demo --people 10000 --capacity 1000")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole product in one process, on this machine's disk
    #[command(after_help = "Example:\n  cityevents dev --data ./city --listen 127.0.0.1:8080")]
    Dev(Dev),
    /// Run some roles of a cluster in this process, on Kafka and ScyllaDB
    #[command(after_help = "Example:\n  cityevents run --role ingest,api --config city.toml")]
    Run(Run),
    /// Watch a drop: many people go for few places, and an audit proves that it was fair
    #[command(after_help = "Example:\n  cityevents demo --people 100000 --capacity 1000")]
    Demo(Demo),
    /// Prove the invariants on the whole log, as an outsider
    #[command(after_help = "Example:\n  cityevents audit --data .cityevents\n  \
                      cityevents audit --personal-data --look-for 'Ada Lovelace'")]
    Audit(Audit),
    /// Tell every command and fact that led to the present state of an event, or what became of one
    /// command
    #[command(
        after_help = "Example:\n  cityevents explain --event 0b54…-8e7a --user 6fa4…-91c2\n  \
                      cityevents explain --command 77e1…-03ac\n  \
                      cityevents explain --trend 0b54…-8e7a"
    )]
    Explain(Explain),
    /// How far every group is behind, in records and in seconds
    #[command(after_help = "Example:\n  cityevents lag --watch --config city.toml")]
    Lag(Lag),
    /// What a running instance logs, shown or changed until it ends
    #[command(after_help = "Example:\n  cityevents log-level info,cityevents_runtime=debug\n  \
                      cityevents log-level")]
    LogLevel(LogLevel),
    /// Sign access tokens with the instance's keys
    #[command(after_help = "Example:\n  cityevents token --count 1000 --ttl 1h > tokens.txt")]
    Token(Token),
    /// The accounts of people, the first administrator among them
    #[command(
        after_help = "Example:\n  cityevents account create --email ada@example.org --role admin"
    )]
    Account(AccountArguments),
    /// The keys that sign access tokens
    #[command(after_help = "Example:\n  cityevents keys rotate")]
    Keys(Keys),
    /// The keys of programs that upload in bulk
    #[command(
        after_help = "Example:\n  cityevents api-keys create --scope ingest --label importer"
    )]
    ApiKeys(ApiKeys),
    /// The topics, against the catalogue
    #[command(after_help = "Example:\n  cityevents topics check")]
    Topics(Topics),
    /// The tables of a cluster, in ScyllaDB or Cassandra
    #[command(after_help = "Example:\n  cityevents views migrate --config city.toml")]
    Views(Views),
    /// Snapshots of the partitions' state
    #[command(after_help = "Example:\n  cityevents snapshot take")]
    Snapshot(Snapshot),
    /// Dead letters: records that could not be read
    #[command(after_help = "Example:\n  cityevents dlq redrive --execute")]
    Dlq(Dlq),
    /// Whether an instance is well, and may be let loose on people
    #[command(after_help = "Example:\n  cityevents doctor --production --config city.toml")]
    Doctor(Doctor),
    /// Make tables anew from the log, beside the live ones
    #[command(after_help = "Example:\n  cityevents replay --into night2\n  \
                      cityevents replay --into friday --to 2026-07-14T18:00:00Z")]
    Replay(ReplayArguments),
    /// Mails to people
    #[command(after_help = "Example:\n  cityevents mail preview place_confirmed --language de")]
    Mail(MailCommand),
    /// The configuration in effect
    #[command(after_help = "Example:\n  cityevents config check --config city.toml")]
    Config(ConfigCommand),
    /// Measure, and print the figures with their conditions
    #[command(after_help = "Example:\n  cityevents bench decide")]
    Bench(Bench),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  cityevents completions bash > ~/.cityevents.bash")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// `audit`.
#[derive(Debug, Args)]
pub struct Audit {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// Prove instead that nobody's personal data is in the log: reads every record of every topic and
    /// every snapshot, and looks for the address and the name of every account
    #[arg(long)]
    pub personal_data: bool,
    /// What else to look for, wherever it is: the address of somebody who was erased, for example
    #[arg(long, value_name = "TEXT", requires = "personal_data")]
    pub look_for: Vec<String>,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// Judge it as a service that everybody reaches, and not as one on a laptop
    #[arg(long)]
    pub production: bool,
    /// Take a row as it is; may be given several times
    #[arg(long, value_name = "CHECK")]
    pub accept: Vec<String>,
}

/// Where an instance is.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// Folder of an instance on this machine [default: .cityevents]
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Format,
}

impl Place {
    /// The configuration, with options of the command line over it. Who names a folder means that
    /// folder, whatever cluster the environment names.
    ///
    /// # Errors
    /// [`Usage`] with every problem at once.
    pub fn load(&self, mut overrides: Vec<(String, String)>) -> anyhow::Result<Loaded> {
        if self.data.is_some() {
            overrides.push(("kafka.brokers".into(), String::new()));
        }
        self.load_for_cluster(overrides)
    }

    /// As [`Place::load`]; the folder has keys only.
    ///
    /// # Errors
    /// As [`Place::load`].
    pub fn load_for_cluster(&self, mut overrides: Vec<(String, String)>) -> anyhow::Result<Loaded> {
        if let Some(dir) = &self.data {
            overrides.push(("data.dir".into(), dir.display().to_string()));
        }
        let sources = Sources::of_process(self.config.clone(), overrides);
        Ok(Config::load(sources).map_err(|problems| Usage(problems.to_string()))?)
    }
}

/// `dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// Where it listens.
    #[command(flatten)]
    pub listen: Listen,
    /// Fill an empty instance with events to look at
    #[arg(long)]
    pub sample_data: bool,
}

/// Where a process listens.
#[derive(Debug, Args)]
pub struct Listen {
    /// Address of the public listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address of the operations listener [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS")]
    pub ops_listen: Option<SocketAddr>,
}

impl Listen {
    /// What was given, as settings.
    pub fn overrides(&self) -> Vec<(String, String)> {
        let given = [("http.listen", self.listen), ("ops.listen", self.ops_listen)];
        let given = given.into_iter().filter_map(|(key, value)| Some((key, value?)));
        given.map(|(key, value)| (key.to_owned(), value.to_string())).collect()
    }
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Where the cluster is.
    #[command(flatten)]
    pub place: Place,
    /// What this process does, with commas between
    #[arg(long = "role", value_name = "ROLE", value_enum, required = true, value_delimiter = ',')]
    pub roles: Vec<ProcessRole>,
    /// Where it listens.
    #[command(flatten)]
    pub listen: Listen,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// How many people go for a place
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub people: u32,
    /// How many places there are
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub capacity: u32,
    /// Folder for the instance [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Use a running instance; its operations listener is asked for the audit
    #[arg(long, value_name = "URL", requires = "ops_url", conflicts_with = "data")]
    pub url: Option<String>,
    /// Operations listener of the running instance
    #[arg(long, value_name = "URL")]
    pub ops_url: Option<String>,
    /// Folder of the keys of the running instance, to sign tokens with; where they are in the tables
    /// (keys.store), leave this out and give the instance's settings
    #[arg(long, value_name = "DIR", requires = "url")]
    pub keys: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

/// `lag`.
#[derive(Debug, Args)]
pub struct Lag {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// Look every `lag.every` until interrupted; after ten looks, tell who does not get on. On a
    /// terminal in a view of its own (`?` tells its keys), else one look after the other
    #[arg(long)]
    pub watch: bool,
    /// Groups of others that read our flat topics [default: lag.groups]
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
}

/// `log-level`.
#[derive(Debug, Args)]
pub struct LogLevel {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// Log this from now on: a level, or target=level with commas in between
    pub level: Option<String>,
    /// Address of the operations listener of one process [default: that of the data folder, or
    /// ops.listen]
    #[arg(long, value_name = "ADDRESS")]
    pub ops: Option<SocketAddr>,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// Which event
    #[arg(long, required_unless_present_any = ["trend", "command"])]
    pub event: Option<EventId>,
    /// Only what concerns this person
    #[arg(long, requires = "event")]
    pub user: Option<UserId>,
    /// Instead: which joins and views made the trend of this event
    #[arg(long, value_name = "EVENT", conflicts_with = "event")]
    pub trend: Option<EventId>,
    /// Instead: what became of the command with this id, as a 202 or a line of an upload gives it
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["event", "trend", "user"])]
    pub command: Option<CommandId>,
}

/// `token`.
#[derive(Debug, Args)]
pub struct Token {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// Whose token; without it, of different random people
    #[arg(long, value_name = "UUID", conflicts_with = "count")]
    pub subject: Option<UserId>,
    /// With which role
    #[arg(long, default_value = "user", value_parser = role)]
    pub role: Role,
    /// Good for how long
    #[arg(long, default_value = "1h", value_parser = units::duration::parse)]
    pub ttl: Duration,
    /// How many, one a line
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
}

/// Reads a role.
pub fn role(word: &str) -> Result<Role, String> {
    Role::parse(word).ok_or_else(|| "one of user, moderator, admin".into())
}

/// `mail`.
#[derive(Debug, Args)]
pub struct MailCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: MailAction,
}

/// What can be done with mails.
#[derive(Debug, Subcommand)]
pub enum MailAction {
    /// An address gets no mail: it bounced, or somebody complained
    #[command(
        after_help = "Example:\n  cityevents mail suppress ada@example.org --reason complaint"
    )]
    Suppress(Suppress),
    /// Show a mail about nobody, with the templates of an instance; without a name, which there are
    #[command(after_help = "Example:\n  cityevents mail preview event_canceled --variant 2 \
                            --format html --output canceled.html")]
    Preview(Preview),
}

/// `mail preview`.
#[derive(Debug, Args)]
pub struct Preview {
    /// Which mail
    pub name: Option<String>,
    /// In which language [default: mail.language of the configuration]
    #[arg(long, value_name = "TAG")]
    pub language: Option<String>,
    /// Which form of it, where it has several: with a reason or without, to whom
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub variant: usize,
    /// The text, the page, or the whole message
    #[arg(long, value_enum, default_value_t)]
    pub format: MailFormat,
    /// Into a file instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Folder of an instance on this machine [default: .cityevents]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What is shown of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MailFormat {
    /// Subject and text.
    #[default]
    Text,
    /// The page that most people see.
    Html,
    /// Everything, as it is sent.
    Eml,
}

/// `keys`.
#[derive(Debug, Args)]
pub struct Keys {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: KeysAction,
}

/// What can be done with signing keys.
#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// All keys, current, next and retiring
    List,
    /// The next key signs from now on, in every running instance within a second; retiring keys
    /// whose last tokens have expired are taken away
    Rotate,
    /// Take a retiring key away, once its last tokens have expired
    Retire {
        /// Its `kid`
        kid: String,
        /// At once, because somebody else may have it: tokens that it signed are refused from now on
        #[arg(long)]
        stolen: bool,
    },
}

/// `api-keys`.
#[derive(Debug, Args)]
pub struct ApiKeys {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: ApiKeysAction,
}

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeysAction {
    /// Make one; it is printed once, and only its hash is stored
    Create {
        /// What it may be used for
        #[arg(long, default_value = "ingest")]
        scope: Vec<String>,
        /// What it is for, to recognise it later
        #[arg(long, default_value = "")]
        label: String,
    },
    /// All keys, without their secrets
    List,
    /// Take one away
    Revoke {
        /// Its id
        id: String,
    },
}

/// `topics`.
#[derive(Debug, Args)]
pub struct Topics {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: TopicsAction,
}

/// What can be done with topics.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum TopicsAction {
    /// All topics with their settings and watermarks
    List,
    /// Make the missing ones
    Create,
    /// Compare with the catalogue; fails when something differs
    Check,
}

/// `views`.
#[derive(Debug, Args)]
pub struct Views {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: ViewsAction,
}

/// What can be done with the tables.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ViewsAction {
    /// Make the keyspace and its tables, or bring them to the version of this program
    Migrate,
    /// Tell whether this program can use them; changes nothing
    Check,
}

/// `snapshot`.
#[derive(Debug, Args)]
pub struct Snapshot {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: SnapshotAction,
}

/// What can be done with snapshots.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum SnapshotAction {
    /// All snapshots
    List,
    /// Take one of every partition now
    Take,
    /// Read every snapshot and compare it with a fold of the facts; fails when one is not good
    Verify,
}

/// `dlq`.
#[derive(Debug, Args)]
pub struct Dlq {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: DlqAction,
}

/// Which dead letters.
#[derive(Debug, Clone, Default, Args, serde::Serialize, serde::Deserialize)]
pub struct DlqFilter {
    /// Only of this topic (the dead letters' own, or the one they came from)
    #[arg(long)]
    pub topic: Option<String>,
    /// Only of this key
    #[arg(long)]
    pub key: Option<String>,
    /// Only those whose reason contains this text
    #[arg(long)]
    pub reason: Option<String>,
    /// Only of this class of failure: undecodable, permanent, transient, …
    #[arg(long)]
    pub class: Option<String>,
    /// Only mails of this template: place_confirmed, removed, …
    #[arg(long)]
    pub template: Option<String>,
    /// Only those that failed first so long ago or earlier
    #[arg(long, value_name = "AGE", value_parser = units::duration::parse)]
    pub older_than: Option<Duration>,
    /// Only those that failed first less long ago
    #[arg(long, value_name = "AGE", value_parser = units::duration::parse)]
    pub younger_than: Option<Duration>,
    /// Handled ones too
    #[arg(long)]
    pub all: bool,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum DlqAction {
    /// Those nobody has handled yet
    List {
        /// Which.
        #[command(flatten)]
        filter: DlqFilter,
    },
    /// One of them, whole
    Show {
        /// As `list` names it: topic/partition/offset
        id: String,
    },
    /// Append them to the topic that they came from: of a retry tier, to the one before all tiers
    Redrive {
        /// Which.
        #[command(flatten)]
        filter: DlqFilter,
        /// Do it; without this it is only told what would be done
        #[arg(long)]
        execute: bool,
        /// At most so many a second
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
    },
    /// Mark them as handled
    Drop {
        /// Which.
        #[command(flatten)]
        filter: DlqFilter,
        /// Do it; without this it is only told what would be done
        #[arg(long)]
        execute: bool,
    },
}

/// `config`.
#[derive(Debug, Args)]
pub struct ConfigCommand {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What can be done with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigAction {
    /// Say whether it is good, or everything that is wrong with it
    Check,
    /// Print every value in effect and where it comes from; secrets are redacted
    Show,
    /// Print the defaults with their meaning, to start a file from
    Default,
}

/// `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// What to measure
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// Seconds measured, after a warm-up
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Seconds of warm-up
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub warm_up: u32,
    /// Runs; the median is printed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=25))]
    pub runs: u32,
    /// Requests due each second, for `http` (0: as many as go), the latencies of `kafka` and `chaos` [chaos: 2000], `pages` [pages: 1000], and joins beside `logins` [logins: 150]
    #[arg(
        long,
        default_value_t = 5_000,
        default_value_ifs([
            ("scenario", "chaos", "2000"),
            ("scenario", "logins", "150"),
            ("scenario", "pages", "1000"),
        ])
    )]
    pub rate: u32,
    /// For `http`: create and publish events instead of joining
    #[arg(long)]
    pub writes: bool,
    /// How many registrations, for `restore`, `replay` (a quarter of them) and `memory`
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(1_000..=50_000_000))]
    pub registrations: u32,
    /// How many public events, for `feed`
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=5_000_000))]
    pub published: u32,
    /// Which part of the joins is traced, for `tracing`
    #[arg(long, value_name = "RATIO", default_value_t = 0.01, value_parser = ratio)]
    pub trace: f64,
    /// Folder for data [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
    /// What `kafka` compares.
    #[command(flatten)]
    pub servers: BenchServers,
    /// What `http` measures instead of an instance of its own.
    #[command(flatten)]
    pub target: BenchTarget,
    /// Of `chaos`.
    #[command(flatten)]
    pub chaos: ChaosOptions,
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "a part of all, from 0 to 1".to_owned())
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Pure decisions: one hot event, and a million events
    Decide,
    /// Avro: generated codecs against apache-avro
    Codec,
    /// A worker draining a backlog on the embedded log, against a null loop
    Pipeline,
    /// The workers on Kafka, beside a null loop, Kafka transactions, PostgreSQL and Redis
    Kafka,
    /// Joins over HTTP, open loop
    Http,
    /// Bulk upload
    Ingest,
    /// Restore from a snapshot and from facts alone
    Restore,
    /// Replay of one partition: into nothing, into a state, into tables
    Replay,
    /// Three times more than the capacity
    Overload,
    /// Bytes a registration
    Memory,
    /// Signing in, and what it does to joins meanwhile
    Logins,
    /// 10,000 live streams: memory, processor time, and when a join has reached all of them
    Streams,
    /// Mails into a sink, from a join to its mail, and calling off a large event
    Mail,
    /// Views of events: folded, kept, taken in over HTTP
    Signals,
    /// Lists, events, search and deep pages with a million public events
    Feed,
    /// Joins, some of them traced, beside joins of which none is
    Tracing,
    /// The page of an event, opened by many: how soon it comes, how many go, what it weighs
    Pages,
    /// Break things under load, on real servers, and prove that every promise was kept
    Chaos,
}
