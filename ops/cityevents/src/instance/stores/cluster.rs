//! Kafka, ScyllaDB, the schema registry, and a snapshot store that all processes share.

use std::sync::Arc;

use anyhow::Context as _;
use cityevents_kit::breaker::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_kit::config::{self, SecretSource};
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Config, Lifecycle};
use cityevents_runtime::log::Log;
use cityevents_runtime::log::kafka::{GroupProtocol, KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::snapshot::{SnapshotOptions, SnapshotStore};
use cityevents_schemas::Codecs;
use cityevents_views::Views;
use cityevents_views::scylla::{ScyllaFigures, ScyllaOptions};

use super::Schemas;
use crate::instance::breakers;
use crate::instance::registry::{self, RegistryIds};

/// The circuit breakers of what this process can do without for a while, and the figures of the
/// tables.
#[derive(Clone)]
pub(super) struct Breakers {
    views: Breaker,
    registry: Breaker,
    snapshots: Breaker,
    figures: ScyllaFigures,
}

impl Breakers {
    pub(super) fn new(config: &Config, metrics: &BreakerMetrics) -> Self {
        let options = BreakerOptions {
            failures: config.breaker.failures,
            open_for: config.breaker.open_for,
            ..BreakerOptions::default()
        };
        let breaker = |name| Breaker::new(name, options.clone(), metrics);
        Self {
            views: breaker("views"),
            registry: breaker("registry"),
            snapshots: breaker("snapshots"),
            figures: ScyllaFigures::default(),
        }
    }

    /// Opens tables. All of a process share one breaker and one set of figures.
    pub(super) async fn open_tables(
        &self,
        options: ScyllaOptions,
        metrics: &MetricsRegistry,
    ) -> anyhow::Result<Views> {
        let options = ScyllaOptions { figures: self.figures.clone(), ..options };
        let opened = Views::scylla(options, self.views.clone(), metrics).await;
        opened.context("the tables cannot be opened")
    }

    /// Tells the probes how they stand.
    pub(super) fn report(&self, lifecycle: &Lifecycle) {
        for breaker in [&self.views, &self.registry, &self.snapshots] {
            breakers::report(lifecycle, breaker);
        }
    }
}

/// Log and snapshots, and the ids of schemas for the whole process. Blocks.
pub(super) fn open(
    config: &Config,
    breakers: &Breakers,
    client_id: &str,
    metrics: KafkaMetrics,
    schemas: Schemas,
) -> anyhow::Result<(Arc<dyn Log>, SnapshotStore)> {
    let log = KafkaLog::connect(kafka_options(config, client_id), metrics)?;
    if schemas != Schemas::Unused {
        choose_schema_ids(config, breakers, schemas == Schemas::Registered)?;
    }
    Ok((log, snapshots(config, breakers)?))
}

/// How the brokers of a configuration are reached.
pub fn kafka_options(config: &Config, client_id: &str) -> KafkaOptions {
    let kafka = &config.kafka;
    KafkaOptions {
        client_id: client_id.to_owned(),
        group_protocol: match kafka.group_protocol {
            config::GroupProtocol::CooperativeSticky => GroupProtocol::CooperativeSticky,
            config::GroupProtocol::Consumer => GroupProtocol::Consumer,
        },
        session_timeout: kafka.session_timeout,
        request_timeout: kafka.request_timeout,
        replication: kafka.replication,
        min_insync: kafka.min_insync,
        in_flight_bytes_max: usize::try_from(kafka.in_flight_max).unwrap_or(usize::MAX),
        properties: kafka.properties.expose().clone(),
        ..KafkaOptions::new(kafka.brokers.join(","))
    }
}

/// Where the registry is, if there is one.
fn registry_options(config: &Config, register_schemas: bool) -> Option<registry::Options> {
    Some(registry::Options {
        url: config.registry.url.clone()?,
        register: config.registry.register && register_schemas,
        request_timeout: config.registry.request_timeout,
        prefix: config.log.prefix.clone(),
    })
}

/// What a look at the registry finds; nothing where there is none.
pub(super) fn look_at_registry(config: &Config) -> anyhow::Result<registry::Looked> {
    let options = registry_options(config, false);
    let looked = options.map(|options| registry::look(&options)).transpose()?;
    Ok(looked.unwrap_or_default())
}

fn choose_schema_ids(
    config: &Config,
    breakers: &Breakers,
    register_schemas: bool,
) -> anyhow::Result<()> {
    let Some(options) = registry_options(config, register_schemas) else { return Ok(()) };
    let ids = RegistryIds::connect(&options, breakers.registry.clone())?;
    Codecs::install(Arc::new(Codecs::new(Arc::new(ids))?))?;
    Ok(())
}

/// The log alone.
pub(super) fn open_log(config: &Config) -> anyhow::Result<Arc<dyn Log>> {
    let options = kafka_options(config, "cityevents-tool");
    Ok(KafkaLog::connect(options, KafkaMetrics::unregistered())?)
}

/// Where snapshots are kept, not asked yet.
fn snapshot_store(config: &Config) -> anyhow::Result<SnapshotStore> {
    let snapshots = &config.snapshots;
    let Some(url) = &snapshots.url else {
        return Ok(SnapshotStore::folder(&config.data.dir.join("snapshots"))?);
    };
    let file = snapshots.secret_access_key_file.as_ref();
    let secret = SecretSource::of(snapshots.secret_access_key.as_ref(), file)
        .map(|source| source.current())
        .transpose()?;
    let options = SnapshotOptions {
        endpoint: snapshots.endpoint.clone(),
        region: snapshots.region.clone(),
        access_key_id: snapshots.access_key_id.clone(),
        secret_access_key: secret.map(|secret| secret.expose().to_owned()),
        request_timeout: snapshots.request_timeout,
    };
    Ok(SnapshotStore::at(url, &options)?)
}

/// Looks whether the place of the snapshots answers, and may be read.
pub(super) fn check_snapshots(config: &Config) -> anyhow::Result<()> {
    Ok(snapshot_store(config)?.check()?)
}

fn snapshots(config: &Config, breakers: &Breakers) -> anyhow::Result<SnapshotStore> {
    if config.snapshots.url.is_none() {
        return snapshot_store(config);
    }
    let breaker = breakers.snapshots.clone();
    let store = snapshot_store(config)?.guarded(Arc::new(move || {
        let permit = breaker.permit().map_err(|open| open.to_string())?;
        Ok(Box::new(move |answered| if answered { permit.succeed() } else { permit.fail() }))
    }));
    match store.check() {
        Ok(()) => {}
        // Snapshots save time, and nothing is wrong without them.
        Err(error) if error.is_outage() => {
            tracing::warn!(%error, "snapshots are away, restores will take longer: {error}");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(store)
}

/// What migrations and the tables themselves are opened with.
pub(super) fn scylla_options(config: &Config) -> anyhow::Result<ScyllaOptions> {
    let scylla = &config.scylla;
    let password = SecretSource::of(scylla.password.as_ref(), scylla.password_file.as_ref())
        .map(|source| source.current())
        .transpose()?;
    Ok(ScyllaOptions {
        nodes: scylla.nodes.clone(),
        keyspace: scylla.keyspace.clone(),
        replication: scylla.replication.clone(),
        local_datacenter: scylla.local_datacenter.clone(),
        request_timeout: scylla.request_timeout,
        in_flight_max: scylla.in_flight_max as usize,
        connections_per_node: scylla.connections_per_node as usize,
        user: scylla.user.clone(),
        password: password.map(|password| password.expose().to_owned()),
        ..ScyllaOptions::default()
    })
}

/// Tables.
pub(super) async fn views(
    config: &Config,
    breakers: &Breakers,
    metrics: &MetricsRegistry,
) -> anyhow::Result<Views> {
    breakers.open_tables(scylla_options(config)?, metrics).await
}
