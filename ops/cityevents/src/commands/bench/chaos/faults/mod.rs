//! The faults, one file each. A fault strikes while the load runs, and leaves everything running.

mod brokers;
mod ingest_killed;
mod publishers_frozen;
mod rebalanced;
mod registry_away;
mod roles_stopped;
mod tables_frozen;
mod workers_frozen;
mod workers_killed;

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::cluster::Cluster;
use super::load::Load;
use super::options::Fault;
use super::servers::Servers;

/// A strike comes so much later than the answer that it waits for, at most.
const DELAY_MAX: Duration = Duration::from_millis(20);
/// Strikes are spread over the answers from here
const FROM_PERCENT: u64 = 4;
/// to there.
const TO_PERCENT: u64 = 80;

/// What a fault may lay hands on.
pub(super) struct Scene<'a> {
    pub(super) cluster: &'a mut Cluster,
    pub(super) servers: &'a Servers,
    pub(super) load: &'a Load,
    pub(super) random: &'a mut StdRng,
    pub(super) session_timeout: Duration,
    pub(super) away: Duration,
}

/// What a fault did.
#[derive(Debug, Clone, Default)]
pub(super) struct Struck {
    /// How often it struck.
    pub(super) times: u32,
    /// Promises that it saw broken.
    pub(super) problems: Vec<String>,
    /// What is worth knowing.
    pub(super) notes: Vec<String>,
}

/// Lets a fault strike.
///
/// # Errors
/// When something does not come back.
pub(super) fn strike(fault: Fault, scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    match fault {
        Fault::All => Ok(Struck::default()),
        Fault::WorkersKilled => workers_killed::strike(scene),
        Fault::WorkersFrozen => workers_frozen::strike(scene),
        Fault::PublishersFrozen => publishers_frozen::strike(scene),
        Fault::Rebalanced => rebalanced::strike(scene),
        Fault::IngestKilled => ingest_killed::strike(scene),
        Fault::RolesStopped => roles_stopped::strike(scene),
        Fault::LeadersKilled => brokers::strike_leaders(scene),
        Fault::TablesFrozen => tables_frozen::strike(scene),
        Fault::RegistryAway => registry_away::strike(scene),
        Fault::BrokerRestarted => brokers::strike_only_one(scene),
    }
}

impl Scene<'_> {
    /// One strike for so many joins, within bounds.
    fn times(&self, joins_each: u64, least: u64, most: u64) -> u64 {
        (self.load.joins / joins_each).clamp(least, most)
    }

    /// Waits for a random moment of the `number`-th of `times` equal parts of the load.
    fn wait_for_moment(&mut self, number: u64, times: u64) {
        let span = self.load.joins * (TO_PERCENT - FROM_PERCENT) / 100;
        let from = self.load.joins * FROM_PERCENT / 100 + span * number / times.max(1);
        let part = (span / times.max(1)).max(1);
        self.load.wait_for(from + self.random.random_range(0..part));
        std::thread::sleep(self.random.random_range(Duration::ZERO..DELAY_MAX));
    }

    /// Freezes a process past its session timeout and wakes it: a zombie, if others took over.
    fn freeze(&mut self, name: &str) -> anyhow::Result<()> {
        self.cluster.freeze(name)?;
        let longer = self.random.random_range(Duration::from_millis(500)..Duration::from_secs(2));
        std::thread::sleep(self.session_timeout + longer);
        self.cluster.thaw(name)
    }
}
