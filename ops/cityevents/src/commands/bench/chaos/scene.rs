//! One cluster, and the faults that strike it, one after the other: each with people, events and
//! answers of its own, and the oracle behind it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cityevents_domain::actor::Role;
use cityevents_domain::ids::EventId;
use cityevents_kit::breaker::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_kit::keys::{KeyRing, TokenSigner};
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_views::Views;
use cityevents_views::scylla::ScyllaOptions;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::runtime::Runtime;

use super::cluster::{Cluster, PARTITIONS};
use super::faults;
use super::load::{Answers, Goal, Load, ROUNDS_MAX, people_and_goals};
use super::options::Fault;
use super::oracle::{Findings, Oracle};
use super::row::ChaosRow;
use super::servers::Servers;
use super::takeover;
use crate::admin::Context;
use crate::instance;
use crate::load::client::Connection;
use crate::load::crowd::{Person, publish_event};

/// Of so many people who go for an event, this many percent get a place
const PLACES_PERCENT: usize = 40;
/// and this many can wait; the others are refused.
const LINE_PERCENT: usize = 30;
/// How long the reads of the oracle may take, everything else busy.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How the faults of a scene strike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) joins: u64,
    pub(super) rate: u32,
    pub(super) seed: u64,
    pub(super) session_timeout: Duration,
    pub(super) away: Duration,
}

/// A running cluster, and what the oracle reads it with.
pub(super) struct Scene {
    plan: Plan,
    servers: Servers,
    cluster: Cluster,
    runtime: Runtime,
    context: Context,
    views: Views,
    people: Arc<Vec<Person>>,
    owner: Person,
    goals: usize,
}

impl Scene {
    /// Starts a cluster in a folder.
    pub(super) fn start(folder: &Path, servers: Servers, plan: Plan) -> anyhow::Result<Self> {
        let id = format!("{:08x}", rand::rng().random::<u32>());
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("load").enable_all().build()?;
        let cluster = Cluster::start(folder, &id, &servers, plan.session_timeout)?;
        let config = cluster.config();
        let context = instance::open_context(config, instance::Schemas::Expected)?;
        let options =
            ScyllaOptions { request_timeout: READ_TIMEOUT, ..instance::scylla_options(config)? };
        let metrics = BreakerMetrics::default();
        let breaker = Breaker::new("tables", BreakerOptions::default(), &metrics);
        let registry = MetricsRegistry::new(env!("CARGO_PKG_VERSION"), "");
        let views = runtime.block_on(Views::scylla(options, breaker, &registry))?;
        let (people, goals) = people_and_goals(plan.joins)?;
        let signer = TokenSigner::new(KeyRing::open(&config.keys_dir())?, config);
        let people: Result<Vec<_>, _> =
            (0..people).map(|_| Person::new(&signer, Role::User)).collect();
        let owner = Person::new(&signer, Role::User)?;
        let people = Arc::new(people?);
        Ok(Self { plan, servers, cluster, runtime, context, views, people, owner, goals })
    }

    /// Lets a fault strike under load, and judges.
    pub(super) fn strike(&mut self, fault: Fault) -> anyhow::Result<ChaosRow> {
        // The same moments for a fault, whichever others were chosen.
        let mut random = StdRng::seed_from_u64(self.plan.seed ^ ((fault as u64 + 1) << 32));
        let load = Arc::new(self.load(fault)?);
        let from_ms = jiff::Timestamp::now().as_millisecond();
        let running = self.runtime.spawn(Arc::clone(&load).run());
        let mut scene = faults::Scene {
            cluster: &mut self.cluster,
            servers: &self.servers,
            load: &load,
            random: &mut random,
            session_timeout: self.plan.session_timeout,
            away: self.plan.away,
        };
        let struck = faults::strike(fault, &mut scene);
        load.may_end();
        let answers = self.runtime.block_on(running)??;
        let struck = struck.with_context(|| format!("fault {}", fault.name()))?;
        let takeover = takeover::longest(self.cluster.logs(), from_ms, &load, &answers);
        let findings = self.judge(&load, &answers, &mut random)?;
        Ok(ChaosRow::new(fault, self.plan.seed, &answers, struck, findings, takeover))
    }

    /// Stops the cluster in order. Returns what did not end well.
    pub(super) fn stop(mut self) -> Vec<String> {
        self.cluster.stop()
    }

    fn judge(
        &mut self,
        load: &Load,
        answers: &Answers,
        random: &mut StdRng,
    ) -> anyhow::Result<Findings> {
        let targets = self.cluster.targets();
        let Self { runtime, context, views, .. } = self;
        let oracle = Oracle { runtime, context, views, targets };
        let mut findings = oracle.check(load, answers, random)?;
        let audit = self.cluster.command("audit", &["audit", "--output", "json"])?;
        let (is_good, said) = audit.output()?;
        if !is_good {
            findings.contradict(format!("the audit says: {said}"));
        }
        Ok(findings)
    }

    fn load(&mut self, fault: Fault) -> anyhow::Result<Load> {
        let part = |percent: usize| u32::try_from((self.people.len() * percent / 100).max(1));
        let (places, line) = (part(PLACES_PERCENT)?, part(LINE_PERCENT)?);
        let address = self.cluster.targets().pick(0).context("nobody takes requests")?;
        let title = fault.name();
        let (owner, goals) = (&self.owner, self.goals);
        let goals = self.runtime.block_on(async {
            let mut connection = Connection::open(address).await?;
            let mut made: Vec<(usize, Goal)> = Vec::new();
            let of_each = goals.div_ceil(PARTITIONS as usize) * ROUNDS_MAX;
            while made.len() < goals * ROUNDS_MAX {
                let id = publish_event(&mut connection, owner, &title, places, Some(line)).await?;
                let partition = partition_of(id.as_bytes(), PARTITIONS);
                let id = id.parse::<EventId>().map_err(|_| anyhow::anyhow!("{id} is no id"))?;
                // As many of each partition; one too many is left alone.
                let earlier = made.iter().filter(|(_, goal)| goal.partition == partition).count();
                if earlier < of_each {
                    made.push((earlier, Goal::new(id, partition)));
                }
            }
            // In turn, so that every round has all partitions.
            made.sort_by_key(|(earlier, goal)| (*earlier, goal.partition));
            let made: Vec<Goal> = made.into_iter().map(|(_, goal)| goal).collect();
            anyhow::Ok(made)
        })?;
        ensure!(!goals.is_empty(), "a load without events");
        let Plan { joins, away, .. } = self.plan;
        // A load that is over before the tables are back would show nothing.
        let slowest = (joins as f64 / (away.as_secs_f64() * 2.0)).max(1.0);
        let rate = match fault {
            Fault::TablesFrozen | Fault::RegistryAway => self.plan.rate.min(slowest as u32),
            _ => self.plan.rate,
        };
        let name = fault.name();
        let targets = Arc::clone(self.cluster.targets());
        Ok(Load::new(&name, Arc::clone(&self.people), goals, joins, rate, targets))
    }
}
