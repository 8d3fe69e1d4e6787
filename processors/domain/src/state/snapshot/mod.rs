//! State as bytes: the same state gives the same bytes on every machine, so the bytes serve
//! snapshots and, hashed, the comparison of two folds (INV-9).
//!
//! Integers are little endian, texts and lists are preceded by their length as u32, options by a
//! byte. Only living entries of the dedup window are written.

mod reader;
mod writer;

use self::reader::Reader;
use self::writer::Writer;
use super::{Partition, Slot};
use crate::ids::{CommandId, EventId};

/// Raised with any change of the bytes.
pub const FORMAT: u32 = 1;

/// The bytes are no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotError {
    /// They end too early.
    Truncated,
    /// They go on after the end.
    TrailingBytes,
    /// A value is none of those that can stand there.
    InvalidValue,
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Truncated => "the state ends too early",
            Self::TrailingBytes => "the state goes on after its end",
            Self::InvalidValue => "the state holds a value that it cannot hold",
        })
    }
}

impl std::error::Error for SnapshotError {}

impl Partition {
    /// Appends the state to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = Writer(out);
        writer.time(self.log_time);
        writer.u32(self.slots.len() as u32);
        for slot in &self.slots {
            match slot {
                Slot::Open(state) => {
                    writer.u8(0);
                    writer.state(state);
                }
                Slot::Closed(stub) => {
                    writer.u8(1);
                    writer.stub(stub);
                }
            }
        }
        let living = self.dedup.living(self.log_time);
        let count_at = writer.0.len();
        writer.u32(0);
        let mut count: u32 = 0;
        for (id, digest, at, outcome) in living {
            writer.bytes(id.as_bytes());
            writer.u64(digest);
            writer.time(at);
            writer.outcome(&outcome);
            count += 1;
        }
        writer.0[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    }

    /// Reads a state back.
    ///
    /// # Errors
    /// When the bytes are not what [`Partition::encode`] of this [`FORMAT`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader(bytes);
        let mut partition = Self { log_time: reader.time()?, ..Self::default() };
        let slots = reader.length(43)?;
        partition.slots.reserve(slots);
        for _ in 0..slots {
            let slot = match reader.u8()? {
                0 => Slot::Open(Box::new(reader.state()?)),
                1 => Slot::Closed(reader.stub()?),
                _ => return Err(SnapshotError::InvalidValue),
            };
            let timer = match &slot {
                Slot::Open(state) => state.timer,
                Slot::Closed(_) => None,
            };
            let number = partition.push_slot(slot);
            partition.timers.extend(timer.map(|deadline| (deadline, number)));
        }
        for _ in 0..reader.length(33)? {
            let id = CommandId::from_bytes(reader.array()?);
            let digest = reader.u64()?;
            let at = reader.time()?;
            if at > partition.log_time {
                return Err(SnapshotError::InvalidValue);
            }
            let outcome = reader.outcome()?;
            partition.dedup.insert(id, digest, at, &outcome);
        }
        if reader.0.is_empty() { Ok(partition) } else { Err(SnapshotError::TrailingBytes) }
    }

    /// Hash of the whole state. Two folds of the same facts have the same one, however the facts
    /// were split, restored or replayed.
    pub fn hash(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        *blake3::hash(&bytes).as_bytes()
    }

    /// Hash of one event alone, the same whatever else its partition holds.
    pub fn event_hash(&self, event: &EventId) -> Option<[u8; 32]> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        match self.find(event)? {
            Slot::Open(state) => writer.state(state),
            Slot::Closed(stub) => writer.stub(stub),
        }
        Some(*blake3::hash(&bytes).as_bytes())
    }
}
