//! Topics, asked for with clients that are made anew after a failure.

use std::sync::Arc;

use parking_lot::Mutex;

use super::admin::Clients;
use super::metrics::KafkaMetrics;
use super::options::KafkaOptions;
use crate::log::{
    Copies, GroupMember, LogError, LogErrorKind, TopicDescription, TopicPartition, TopicSpec,
    Watermarks,
};

/// Asks for topics and makes them. A client that has lost every broker never finds one again, so
/// after a failure the next question goes to new clients.
pub(super) struct Topics {
    options: KafkaOptions,
    metrics: KafkaMetrics,
    clients: Mutex<Arc<Clients>>,
}

impl Topics {
    pub(super) fn new(options: &KafkaOptions, metrics: &KafkaMetrics) -> Result<Self, LogError> {
        let clients = Mutex::new(Arc::new(Clients::new(options, metrics)?));
        Ok(Self { options: options.clone(), metrics: metrics.clone(), clients })
    }

    /// The cluster's id, or why there is no talking to it.
    pub(super) fn contact(&self) -> Result<String, LogError> {
        self.clients().contact(&self.options)
    }

    /// All topics but Kafka's own.
    pub(super) fn all(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.ask(Clients::all)
    }

    pub(super) fn describe(&self, name: &str) -> Result<TopicDescription, LogError> {
        self.ask(|clients| clients.describe(name))
    }

    /// The copies of a topic: of the partition that has the fewest.
    pub(super) fn copies(&self, name: &str) -> Result<Copies, LogError> {
        self.ask(|clients| clients.copies(name))
    }

    /// How many partitions a topic has.
    pub(super) fn partitions(&self, name: &str) -> Result<u32, LogError> {
        self.ask(|clients| clients.partitions(name))
    }

    /// Whether there is such a partition.
    pub(super) fn check(&self, partition: &TopicPartition) -> Result<(), LogError> {
        self.ask(|clients| clients.check(partition))
    }

    pub(super) fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        self.ask(|clients| clients.watermarks(partition))
    }

    /// Who is in a group, if its coordinator tells.
    pub(super) fn members(&self, group: &str) -> Result<Option<Vec<GroupMember>>, LogError> {
        self.ask(|clients| clients.members(group))
    }

    pub(super) fn make(&self, spec: &TopicSpec) -> Result<TopicDescription, LogError> {
        self.ask(|clients| clients.make(spec, &self.options))
    }

    /// Takes what the clients have to tell.
    pub(super) fn drain(&self) {
        self.clients().drain();
    }

    fn clients(&self) -> Arc<Clients> {
        self.clients.lock().clone()
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&Clients) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let asked = self.clients();
        question(&asked).inspect_err(|error| {
            if matches!(error.kind(), LogErrorKind::TimedOut | LogErrorKind::Unavailable) {
                self.renew(&asked);
            }
        })
    }

    /// Unless somebody did so before.
    fn renew(&self, failed: &Arc<Clients>) {
        let mut clients = self.clients.lock();
        if !Arc::ptr_eq(&clients, failed) {
            return;
        }
        match Clients::new(&self.options, &self.metrics) {
            Ok(renewed) => *clients = Arc::new(renewed),
            Err(error) => tracing::warn!(%error, "the client that asks for topics stays: {error}"),
        }
    }
}
