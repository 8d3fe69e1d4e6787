//! Progress of groups: who may store it, and how far it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::Plain;
use super::errors::{failed, with_code};
use super::member::Membership;
use super::metrics::KafkaMetrics;
use super::options::KafkaOptions;
use crate::log::{Committed, LogError, LogErrorKind, TopicPartition};

/// Bytes of metadata beside an offset, as the port promises and brokers take by default.
const METADATA_BYTES_MAX: usize = 4096;
/// Groups whose progress is asked for, kept at hand.
const ASKERS_MAX: usize = 32;

/// Members of groups in this process, and consumers that ask for a group's progress.
pub(super) struct Groups {
    options: Arc<KafkaOptions>,
    metrics: KafkaMetrics,
    members: Mutex<BTreeMap<String, Vec<Weak<Membership>>>>,
    askers: Mutex<BTreeMap<String, Arc<BaseConsumer<Plain>>>>,
}

impl Groups {
    pub(super) fn new(options: &Arc<KafkaOptions>, metrics: &KafkaMetrics) -> Self {
        Self {
            options: Arc::clone(options),
            metrics: metrics.clone(),
            members: Mutex::default(),
            askers: Mutex::default(),
        }
    }

    pub(super) fn add(&self, group: &str, member: &Arc<Membership>) {
        let mut members = self.members.lock();
        members.retain(|_, members| {
            members.retain(|member| member.strong_count() > 0);
            !members.is_empty()
        });
        members.entry(group.to_owned()).or_default().push(Arc::downgrade(member));
    }

    /// What proves that progress may be stored: the member that owns the partitions. A group
    /// without a member in this process has nothing to prove; only the writer's identity counts.
    pub(super) fn membership(
        &self,
        group: &str,
        progress: &[(TopicPartition, Committed)],
    ) -> Result<ConsumerGroupMetadata, LogError> {
        let living: Vec<_> = self
            .members
            .lock()
            .get(group)
            .map(|members| members.iter().filter_map(Weak::upgrade).collect())
            .unwrap_or_default();
        let owns_all = |member: &&Arc<Membership>| {
            progress.iter().all(|(partition, _)| member.owns(partition))
        };
        let metadata = if living.is_empty() {
            self.asker(group)?.group_metadata()
        } else if let Some(owner) = living.iter().find(owns_all) {
            owner.metadata()
        } else {
            let message = format!("group {group} counts these partitions as somebody else's now");
            return Err(LogError::new(LogErrorKind::Fenced, message));
        };
        metadata.ok_or_else(|| {
            let message = format!("the membership of group {group} has ended");
            LogError::new(LogErrorKind::Unavailable, message)
        })
    }

    /// Takes what the consumers have to tell; errors go to their contexts.
    pub(super) fn drain(&self) {
        for asker in self.askers.lock().values() {
            let _told = asker.poll(Duration::ZERO);
        }
    }

    fn asker(&self, group: &str) -> Result<Arc<BaseConsumer<Plain>>, LogError> {
        let mut askers = self.askers.lock();
        if let Some(asker) = askers.get(group) {
            return Ok(Arc::clone(asker));
        }
        let asker: BaseConsumer<Plain> = self
            .options
            .asker(group)
            .create_with_context(Plain::new("progress", &self.metrics))
            .map_err(|error| {
                failed(&format!("asking for the progress of group {group}"), &error)
            })?;
        if askers.len() >= ASKERS_MAX {
            askers.pop_first();
        }
        let asker = Arc::new(asker);
        askers.insert(group.to_owned(), Arc::clone(&asker));
        Ok(asker)
    }

    pub(super) fn committed(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<Option<Committed>, LogError> {
        let doing = || format!("asking for the progress of group {group} in {partition}");
        let asker = self.asker(group)?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&partition.topic, partition.partition.cast_signed());
        let list =
            asker.committed_offsets(list, self.options.request_timeout).map_err(|error| {
                // Another client may do better.
                self.askers.lock().remove(group);
                failed(&doing(), &error)
            })?;
        let elements = list.elements();
        let Some(element) = elements.first() else {
            return Ok(None);
        };
        element.error().map_err(|error| failed(&doing(), &error))?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(Committed {
                offset: offset.max(0).cast_unsigned(),
                metadata: element.metadata().to_owned(),
            }),
            _ => None,
        })
    }
}

/// Progress as librdkafka takes it.
pub(super) fn progress_list(
    progress: &[(TopicPartition, Committed)],
) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::with_capacity(progress.len());
    for (partition, committed) in progress {
        if committed.metadata.len() > METADATA_BYTES_MAX {
            let message = format!(
                "progress in {partition} has {} bytes of metadata: at most {METADATA_BYTES_MAX} fit",
                committed.metadata.len()
            );
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
        let offset = i64::try_from(committed.offset)
            .map_err(|_| with_code("storing progress", Code::OffsetOutOfRange))?;
        let mut element = list.add_partition(&partition.topic, partition.partition.cast_signed());
        element
            .set_offset(Offset::Offset(offset))
            .map_err(|error| failed("storing progress", &error))?;
        element.set_metadata(&committed.metadata);
    }
    Ok(list)
}
