//! What `bench chaos` can be asked.

use std::path::PathBuf;
use std::time::Duration;

use cityevents_kit::config::units;
use clap::{Args, ValueEnum};

/// Options of `bench chaos`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of chaos")]
pub struct ChaosOptions {
    /// Which faults, with commas between
    #[arg(
        long = "fault",
        value_name = "FAULT",
        value_enum,
        value_delimiter = ',',
        default_value = "all"
    )]
    pub faults: Vec<Fault>,
    /// Joins, shared by the faults that were chosen
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    pub joins: u32,
    /// Seed of the moments at which something is broken [default: a random one, printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// How long tables and registry are away
    #[arg(long, default_value = "60s", value_parser = units::duration::parse)]
    pub away: Duration,
    /// A process that was not heard of for so long loses its partitions
    #[arg(long, default_value = "6s", value_parser = units::duration::parse)]
    pub session_timeout: Duration,
    /// The program that runs servers, for faults that break some
    #[arg(long, value_name = "FILE", default_value = "ops/stack")]
    pub stack: PathBuf,
    /// Let servers that were started for this run go on, in `servers` of the data folder
    #[arg(long)]
    pub keep_servers: bool,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// All of them
    All,
    /// Registration workers are killed again and again
    WorkersKilled,
    /// A worker is frozen until others have its partitions, then wakes and writes
    WorkersFrozen,
    /// A publisher is frozen until another has its partitions, then wakes and writes
    PublishersFrozen,
    /// Processes that decide come and go, so that partitions move all the time
    Rebalanced,
    /// Processes that take requests are killed between append and answer
    IngestKilled,
    /// Every process is stopped in order, one after the other
    RolesStopped,
    /// Each of three brokers is killed while it leads partitions
    LeadersKilled,
    /// The tables do not answer
    TablesFrozen,
    /// The schema registry is gone
    RegistryAway,
    /// The only broker is restarted and killed
    BrokerRestarted,
}

/// Which servers a fault needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// Those of the configuration; they are left in peace.
    Configured,
    /// Three brokers of its own.
    OwnCluster,
    /// One broker of its own.
    OwnBroker,
}

impl Fault {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(super) const fn needs(self) -> Needs {
        match self {
            Self::LeadersKilled | Self::TablesFrozen | Self::RegistryAway => Needs::OwnCluster,
            Self::BrokerRestarted => Needs::OwnBroker,
            _ => Needs::Configured,
        }
    }
}

impl ChaosOptions {
    /// The faults, each once, by what they need.
    pub(super) fn chosen(&self) -> Vec<Fault> {
        let all = Fault::value_variants().iter().copied().filter(|fault| *fault != Fault::All);
        let is_chosen =
            |fault: &Fault| self.faults.iter().any(|one| one == fault || *one == Fault::All);
        all.filter(is_chosen).collect()
    }
}
