//! The Kafka cluster that is measured: topics of a run's own, which go afterwards.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use cityevents_kit::Config;
use cityevents_runtime::log::Log;
use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use uuid::Uuid;

use crate::commands::random_id;
use crate::instance;

/// A log on the cluster, for one measurement.
pub(in crate::commands::bench) struct Cluster {
    pub(in crate::commands::bench) log: Arc<dyn Log>,
    pub(in crate::commands::bench) prefix: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Cluster {
    /// Reaches the brokers of a configuration.
    ///
    /// # Errors
    /// When they cannot be reached.
    pub(in crate::commands::bench) fn connect(config: &Config) -> anyhow::Result<Self> {
        let kafka = &config.kafka;
        let options = instance::kafka_options(config, "cityevents-bench");
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", kafka.brokers.join(","));
        for (name, value) in kafka.properties.expose() {
            client.set(name, value);
        }
        let admin = client.create().context("no client for Kafka can be made")?;
        let log = KafkaLog::connect(options, KafkaMetrics::unregistered())?;
        let prefix = format!("bench-{}-", Uuid::from_bytes(random_id()).simple());
        Ok(Self { log, prefix, admin })
    }

    fn delete_topics(&self) -> anyhow::Result<()> {
        let topics = self.log.topics()?;
        let names: Vec<&str> = topics.iter().map(|topic| &*topic.spec.name).collect();
        let ours: Vec<&str> =
            names.into_iter().filter(|name| name.starts_with(&self.prefix)).collect();
        let deleted = self.admin.delete_topics(&ours, &AdminOptions::new());
        let results = futures::executor::block_on(deleted)?;
        let kept: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        ensure!(kept.is_empty(), "not deleted: {kept:?}");
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.delete_topics() {
            let prefix = &self.prefix;
            tracing::warn!("topics of the measurement stay, {prefix}…: {error}");
        }
    }
}
