//! Fenced writers: a batch of outputs and progress goes into the log as a whole, and only from the
//! newest holder of an identity.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::engine::Engine;
use super::member::check_metadata;
use super::producer::encode;
use super::queue::{Answer, Fenced, Job, closed};
use crate::log::{FencedBatch, FencedWriter, LogError, LogErrorKind, Outgoing, TopicPartition};

/// A fenced writer of the local log.
pub(super) struct LocalFenced {
    engine: Arc<Engine>,
    identity: String,
    epoch: u64,
}

impl LocalFenced {
    /// Takes the identity. Whatever an older holder got through stands before this returns.
    pub(super) fn take(engine: Arc<Engine>, identity: &str) -> Result<Self, LogError> {
        let (answer, waiting) = Answer::new();
        engine.push(Job::Identity { identity: identity.to_owned(), answer });
        let epoch = waiting.recv().unwrap_or_else(|_| Err(closed()))?;
        Ok(Self { engine, identity: identity.to_owned(), epoch })
    }
}

impl FencedWriter for LocalFenced {
    fn write(&mut self, batch: FencedBatch) -> Result<(), LogError> {
        let FencedBatch { records, group, progress } = batch;
        check_metadata(&progress)?;
        if !progress.is_empty() && group.is_empty() {
            let message = "progress in a fenced batch needs the name of its group";
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
        let mut places: BTreeMap<TopicPartition, Vec<Outgoing>> = BTreeMap::new();
        for (place, record) in records {
            places.entry(place).or_default().push(record);
        }
        let mut encoded = Vec::with_capacity(places.len());
        for (place, records) in places {
            let topic = self.engine.topic(&place)?;
            encoded.push(encode(&self.engine, topic, place.partition, &records)?);
        }
        let (answer, waiting) = Answer::new();
        self.engine.push(Job::Fenced(Fenced {
            identity: self.identity.clone(),
            epoch: self.epoch,
            records: encoded,
            group,
            progress,
            answer,
        }));
        waiting.recv().unwrap_or_else(|_| Err(closed()))
    }
}
