//! Appends in order, idempotently, acknowledged by all copies in sync.

use std::time::Duration;

use super::pump::Pump;
use crate::log::{Delivery, LogError, Outgoing, Producer, TopicPartition};

/// The producer of one thread.
pub(super) struct KafkaProducer {
    pump: Pump,
    in_flight_bytes_max: usize,
}

impl KafkaProducer {
    pub(super) const fn new(pump: Pump, in_flight_bytes_max: usize) -> Self {
        Self { pump, in_flight_bytes_max }
    }
}

impl Producer for KafkaProducer {
    fn append(
        &mut self,
        partition: &TopicPartition,
        records: Vec<Outgoing>,
    ) -> Result<u64, LogError> {
        let mut bytes = 0;
        for record in &records {
            self.pump.check_size(partition, record)?;
            bytes += record.key.as_ref().map_or(0, bytes::Bytes::len);
            bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
        }
        let all = records.iter().map(|record| (partition, record));
        self.pump.send(records.len(), bytes, self.in_flight_bytes_max, all)
    }

    fn poll(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<(), LogError> {
        self.pump.take(timeout, out);
        Ok(())
    }

    fn in_flight(&self) -> u64 {
        self.pump.in_flight()
    }
}
