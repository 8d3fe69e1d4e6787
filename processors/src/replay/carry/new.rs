//! One partition of the new facts: a chain that begins with facts of other topics.

use bytes::Bytes;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::chain::{Acknowledged, ChainWriter};
use cityevents_runtime::follower::{Follower, LinkedRecord, Position};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{Headers, Outgoing, Producer, TopicPartition};
use cityevents_runtime::standby::Source;
use cityevents_schemas::message::{Genesis, encode_link};

use super::old::Carried;
use super::{CARRIED_FROM_HEADER, READ, READ_WAIT, Target, append};
use crate::replay::NAME;

/// Writes one partition.
pub(super) struct New {
    place: TopicPartition,
    writer: ChainWriter,
    /// By partition of the old facts: up to which offset they are here.
    known: Vec<Option<u64>>,
    outbox: Vec<Outgoing>,
    is_sealed: bool,
}

/// What a partition of the new facts has.
pub(super) struct Scanned {
    /// By partition of the old facts: up to which offset they are here.
    pub(super) known: Vec<Option<u64>>,
    /// The offset behind the last carried fact.
    pub(super) end: u64,
    /// Carried facts.
    pub(super) facts: u64,
    /// Whether its genesis says that facts are carried into it.
    is_ours: bool,
    /// Whether it says that all facts are here.
    is_sealed: bool,
    /// Where its chain stands.
    pub(super) position: Option<Position>,
}

/// Reads what a partition of the new facts has of the old ones.
pub(super) fn scan(
    source: &Source,
    place: &TopicPartition,
    partitions: u32,
) -> Result<Scanned, TaskError> {
    let high = source.log.watermarks(place)?.high;
    let metrics = source.metrics.follower(NAME);
    let mut follower = Follower::open(&*source.log, place, None, source.clock.clone(), metrics)?;
    let mut scanned = Scanned {
        known: vec![None; partitions as usize],
        end: 0,
        facts: 0,
        is_ours: false,
        is_sealed: false,
        position: None,
    };
    let mut links = Vec::new();
    while follower.poll_below(high, READ, READ_WAIT, &mut links)? {
        links.iter().for_each(|link| scanned.take(link));
    }
    scanned.position = follower.position();
    Ok(scanned)
}

impl Scanned {
    fn take(&mut self, link: &LinkedRecord) {
        let (behind, cursor) = (link.record.offset + 1, link.cursor);
        self.is_ours |= link.is_genesis && cursor.is_carrying();
        if !link.is_carried {
            return;
        }
        self.is_sealed |= !cursor.is_carrying();
        if let Some((partition, offset)) = origin(&link.record.headers)
            && let Some(known) = self.known.get_mut(partition as usize)
        {
            *known = Some(offset);
            self.end = behind;
            self.facts += 1;
        }
    }
}

/// Where a carried record was.
pub(super) fn origin(headers: &Headers) -> Option<(u32, u64)> {
    let (partition, offset) = headers.get_text(CARRIED_FROM_HEADER)?.split_once('/')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// A record without a key is a link that changes nothing.
pub(super) fn outgoing(key: Option<Bytes>, value: Vec<u8>, headers: HeadersBuilder) -> Outgoing {
    let (value, headers) = (Some(value.into()), headers.build());
    Outgoing { key, value, headers, timestamp_ms: None }
}

impl New {
    /// Begins the chain, or finds it.
    pub(super) fn open(
        source: &Source,
        target: &Target,
        partition: u32,
        partitions: u32,
        producer: &mut dyn Producer,
    ) -> Result<Self, TaskError> {
        let place = TopicPartition::new(target.facts.clone(), partition);
        if source.log.watermarks(&place)?.high == 0 {
            begin(source, target, &place, producer)?;
        }
        let scanned = scan(source, &place, partitions)?;
        let Some(Position { offset, cursor }) = scanned.position else {
            return Err(TaskError::Stop(format!("{place} has records, and none that count")));
        };
        if !scanned.is_ours {
            return Err(TaskError::Stop(format!(
                "{place} has a chain of its own already: carry the facts into topics that nobody uses"
            )));
        }
        let writer = ChainWriter::new(cursor, offset);
        let Scanned { known, is_sealed, .. } = scanned;
        Ok(Self { place, writer, known, outbox: Vec::new(), is_sealed })
    }

    pub(super) const fn place(&self) -> &TopicPartition {
        &self.place
    }

    pub(super) fn has(&self, partition: u32, offset: u64) -> bool {
        let known = self.known.get(partition as usize).copied().flatten();
        known.is_some_and(|known| offset <= known)
    }

    pub(super) fn carry(&mut self, fact: Carried) {
        let Carried { partition, offset, key, value, mut headers, timestamp_ms, .. } = fact;
        headers.push(CARRIED_FROM_HEADER, format!("{partition}/{offset}").as_bytes());
        self.writer.carry(&value, &mut headers);
        if let Some(known) = self.known.get_mut(partition as usize) {
            *known = Some(offset);
        }
        self.outbox.push(Outgoing {
            key: Some(key),
            value: Some(value),
            headers: headers.build(),
            timestamp_ms: Some(timestamp_ms),
        });
    }

    pub(super) fn outbox(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outbox)
    }

    /// Takes the acknowledgement of the oldest link.
    pub(super) fn acknowledge(&mut self, offset: Option<u64>) -> Result<(), TaskError> {
        match self.writer.acknowledge(offset) {
            Acknowledged::Contiguous { .. } => Ok(()),
            Acknowledged::Gap => Err(TaskError::Restart(format!(
                "somebody else writes into {}: end the other one, then go on with --resume",
                self.place
            ))),
        }
    }

    pub(super) const fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Says that all facts are here, if that was not said already.
    pub(super) fn seal(&mut self, at: Timestamp) {
        if std::mem::replace(&mut self.is_sealed, true) {
            return;
        }
        let (mut value, mut headers) = (Vec::new(), HeadersBuilder::default());
        encode_link(None, &[], None, at, &mut value);
        self.writer.seal(&value, &mut headers);
        self.outbox.push(outgoing(None, value, headers));
    }
}

fn begin(
    source: &Source,
    target: &Target,
    place: &TopicPartition,
    producer: &mut dyn Producer,
) -> Result<(), TaskError> {
    let commands = TopicPartition::new(target.commands.clone(), place.partition);
    if source.log.watermarks(&commands)?.low > 0 {
        return Err(TaskError::Stop(format!(
            "{commands} does not begin with its first command: carry the facts into topics that \
             nobody uses"
        )));
    }
    let topic_id = source.log.describe(&target.commands)?.id;
    let (mut value, mut headers) = (Vec::new(), HeadersBuilder::default());
    let genesis = Genesis { topic_id: topic_id.clone(), first_offset: 0 };
    encode_link(None, &[], Some(&genesis), Timestamp::from_millis(0), &mut value);
    ChainWriter::genesis_to_carry(&topic_id, &value, &mut headers);
    append(producer, place, vec![outgoing(None, value, headers)]).map(drop)
}
