//! Chained facts: which records of a partition count.
//!
//! Every record of a chained topic is a *link*: it closes the commands `(previous, offset]` and
//! carries a digest of the digest before and of everything it says. A reader keeps one [`Cursor`]
//! and accepts a record iff it continues exactly there; whatever else lies in the partition (a
//! zombie's late append, the rest of a torn burst, a history by another program version) is
//! dropped and counted. So the first linked record wins for every reader, for ever, and no broker
//! transaction is needed.
//!
//! A chain may begin with facts that were decided in other topics and *carried* here, with another
//! number of partitions perhaps. Carried links close no command; they stand behind a genesis that says
//! so, and a last one *seals* them: only then may commands be decided. The chain that they come from
//! ends with a link behind which nothing can stand.
//!
//! This is the only file that knows the rule. Restore, standby, projection, publisher, replay and
//! audit all read through [`ChainReader`]; only [`ChainWriter`] makes links.

use std::collections::VecDeque;
use std::fmt;

use crate::log::{Record, headers::HeadersBuilder};

/// Name of the header that makes a record a link.
pub const LINK_HEADER: &str = "link";
/// First byte of the header.
const LINK_VERSION: u8 = 1;
/// Bytes of the header: version, kind, offset, previous, digest.
const LINK_BYTES: usize = 34;

/// The offset of a chain whose facts are still being carried here.
const CARRYING: i64 = -2;
/// The offset of a chain whose facts were carried into other topics and which goes on there.
const ENDED: i64 = i64::MAX - 1;

/// Where a chain stands: everything up to command `offset` is closed, and `digest` stands for the
/// whole history until there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The last command closed; −1 before the first. See [`Cursor::is_carrying`] and
    /// [`Cursor::is_ended`] for two that are no commands.
    pub offset: i64,
    /// 128 bits of BLAKE3 over the digest before and the link.
    pub digest: [u8; 16],
}

impl Cursor {
    /// The next command to decide.
    pub const fn next_command(&self) -> u64 {
        if self.is_carrying() { 0 } else { (self.offset + 1) as u64 }
    }

    /// Whether facts are still being carried here from other topics: nothing may be decided yet.
    pub const fn is_carrying(&self) -> bool {
        self.offset == CARRYING
    }

    /// Whether the chain has ended: its facts go on in other topics.
    pub const fn is_ended(&self) -> bool {
        self.offset == ENDED
    }

    /// The cursor as text, for the metadata of a committed offset.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}:", self.offset);
        for byte in self.digest {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// Reads [`Cursor::to_text`] back.
    pub fn parse(text: &str) -> Option<Self> {
        let (offset, digest) = text.split_once(':')?;
        if digest.len() != 32 || !digest.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digest.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        // Behind the last offset there would be no next command.
        let offset = offset.parse().ok().filter(|offset| (CARRYING..i64::MAX).contains(offset))?;
        Some(Self { offset, digest: bytes })
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_text())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Link = 0,
    Genesis = 1,
    Carried = 2,
}

/// The header of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    kind: Kind,
    previous: i64,
    cursor: Cursor,
}

impl Link {
    fn new(kind: Kind, before: &Cursor, offset: i64, value: &[u8]) -> Self {
        // One piece: each update costs as much as hashing a few bytes more.
        let mut head = [0; LINK_BYTES];
        head[..16].copy_from_slice(&before.digest);
        head[16..18].copy_from_slice(&[LINK_VERSION, kind as u8]);
        head[18..26].copy_from_slice(&offset.to_be_bytes());
        head[26..].copy_from_slice(&before.offset.to_be_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head);
        hasher.update(value);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self { kind, previous: before.offset, cursor: Cursor { offset, digest } }
    }

    fn encode(&self) -> [u8; LINK_BYTES] {
        let mut bytes = [0; LINK_BYTES];
        bytes[0] = LINK_VERSION;
        bytes[1] = self.kind as u8;
        bytes[2..10].copy_from_slice(&self.cursor.offset.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.previous.to_be_bytes());
        bytes[18..].copy_from_slice(&self.cursor.digest);
        bytes
    }

    /// That of a record, if it is a link.
    fn of(record: &Record) -> Option<Self> {
        record.headers.get(LINK_HEADER).and_then(Self::decode)
    }

    fn decode(header: &[u8]) -> Option<Self> {
        let bytes: &[u8; LINK_BYTES] = header.try_into().ok()?;
        let kind = match bytes[1] {
            0 => Kind::Link,
            1 => Kind::Genesis,
            2 => Kind::Carried,
            _ => return None,
        };
        let number =
            |range: std::ops::Range<usize>| bytes[range].try_into().ok().map(i64::from_be_bytes);
        let mut digest = [0; 16];
        digest.copy_from_slice(&bytes[18..]);
        let cursor = Cursor { offset: number(2..10)?, digest };
        (bytes[0] == LINK_VERSION).then_some(Self { kind, previous: number(10..18)?, cursor })
    }
}

/// Whether a record is of a chain into which facts are being carried, before the link that seals it. To
/// look at the last one is no proof, and costs no more than a read.
pub fn is_before_seal(record: &Record) -> bool {
    Link::of(record).is_some_and(|link| link.cursor.is_carrying())
}

/// Whether a record is the link at which a chain stands. To look at it alone is no proof that it counts: a
/// cursor that was kept is.
pub fn is_last(record: &Record, cursor: &Cursor) -> bool {
    Link::of(record).is_some_and(|link| link.cursor == *cursor)
}

/// What every chain starts from, before its genesis.
const NOTHING: Cursor = Cursor { offset: -1, digest: [0; 16] };

/// Why a record does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// It has no link header, or none that can be read.
    NoLink,
    /// It continues from somewhere before the cursor: a late or repeated append.
    Behind,
    /// It continues from somewhere beyond the cursor: links are missing before it.
    Ahead,
    /// It continues from the cursor's offset, but from another history, or its digest is wrong.
    OtherHistory,
}

impl DropReason {
    /// Label for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoLink => "no_link",
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::OtherHistory => "other_history",
        }
    }
}

/// What the rule says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// It counts, and it is the one that begins the chain.
    Genesis,
    /// It counts.
    Link,
    /// It counts, and was decided in other topics: it closes no command here.
    Carried,
    /// It does not count.
    Dropped(DropReason),
}

/// Name of the header of a genesis: the id of the command topic that the chain belongs to.
pub const COMMANDS_HEADER: &str = "chain-commands";

/// A rule left out on purpose: the simulator's negative controls, which must fail.
#[cfg(feature = "testing")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenRule {
    /// Readers do not look at digests.
    Digest,
    /// The writer takes every offset for its own.
    GapCheck,
    /// The writer takes the first offset it is told for the one it expects.
    FirstAcknowledgement,
    /// Answers do not wait for a link at or behind their command.
    ClosingLinks,
}

/// The reader rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainReader {
    cursor: Option<Cursor>,
    #[cfg(feature = "testing")]
    ignores_digest: bool,
}

impl ChainReader {
    /// From a stored cursor, or from the beginning of the partition (`None`); nowhere else.
    pub const fn new(cursor: Option<Cursor>) -> Self {
        Self {
            cursor,
            #[cfg(feature = "testing")]
            ignores_digest: false,
        }
    }

    /// A reader that breaks the rule by not looking at digests: the simulator's negative control.
    #[cfg(feature = "testing")]
    pub const fn without_digest(cursor: Option<Cursor>) -> Self {
        Self { cursor, ignores_digest: true }
    }

    /// Where the chain stands; `None` before its genesis.
    pub const fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// Looks at the next record of the partition and moves on if it counts.
    pub fn accept(&mut self, record: &Record) -> Linked {
        let Some(link) = Link::of(record) else {
            return Linked::Dropped(DropReason::NoLink);
        };
        let value = record.value.as_deref().unwrap_or_default();
        let before = match (self.cursor, link.kind) {
            (None, Kind::Genesis) => NOTHING,
            (None, Kind::Link | Kind::Carried) => return Linked::Dropped(DropReason::Ahead),
            (Some(_), Kind::Genesis) => return Linked::Dropped(DropReason::Behind),
            (Some(cursor), Kind::Link | Kind::Carried) => cursor,
        };
        if link.previous != before.offset {
            let is_behind = link.previous < before.offset;
            let reason = if is_behind { DropReason::Behind } else { DropReason::Ahead };
            return Linked::Dropped(reason);
        }
        let goes_on = match link.kind {
            Kind::Genesis => true,
            Kind::Link => !before.is_carrying() && link.cursor.offset > before.offset,
            Kind::Carried => before.is_carrying() && link.cursor.offset <= NOTHING.offset,
        };
        let follows = Link::new(link.kind, &before, link.cursor.offset, value) == link;
        #[cfg(feature = "testing")]
        let follows = follows || self.ignores_digest;
        if !goes_on || !follows {
            return Linked::Dropped(DropReason::OtherHistory);
        }
        self.cursor = Some(link.cursor);
        match link.kind {
            Kind::Genesis => Linked::Genesis,
            Kind::Link => Linked::Link,
            Kind::Carried => Linked::Carried,
        }
    }
}

/// What an acknowledgement says to the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// In sequence: everything up to this cursor is real.
    Contiguous {
        /// Where the chain stands.
        cursor: Cursor,
        /// The link's own offset in the chained topic.
        link_offset: u64,
    },
    /// Somebody else wrote, or the log does not know where this one stands: nothing may be
    /// answered until the partition was read.
    Gap,
}

/// Makes links, and notices when it is not alone.
///
/// The first acknowledged offset must be the high watermark that the restore has read up to, each
/// later one the one before plus one.
#[derive(Debug)]
pub struct ChainWriter {
    tip: Cursor,
    acknowledged: Cursor,
    expected_offset: u64,
    in_flight: VecDeque<Cursor>,
    has_gap: bool,
    #[cfg(feature = "testing")]
    broken: Option<BrokenRule>,
}

impl ChainWriter {
    /// Goes on from a cursor that was read, with everything below `high_watermark` read.
    pub const fn new(cursor: Cursor, high_watermark: u64) -> Self {
        Self {
            tip: cursor,
            acknowledged: cursor,
            expected_offset: high_watermark,
            in_flight: VecDeque::new(),
            has_gap: false,
            #[cfg(feature = "testing")]
            broken: None,
        }
    }

    /// Leaves a rule out.
    #[cfg(feature = "testing")]
    pub const fn break_rule(&mut self, rule: BrokenRule) {
        self.broken = Some(rule);
    }

    /// The header of the link that begins a chain whose first command is `first_offset`.
    pub fn genesis(
        command_topic_id: &str,
        first_offset: u64,
        value: &[u8],
        headers: &mut HeadersBuilder,
    ) {
        let link = Link::new(Kind::Genesis, &NOTHING, first_offset as i64 - 1, value);
        headers.push(COMMANDS_HEADER, command_topic_id.as_bytes());
        headers.push(LINK_HEADER, &link.encode());
    }

    /// The header of the link that begins a chain into which facts of other topics are carried.
    pub fn genesis_to_carry(command_topic_id: &str, value: &[u8], headers: &mut HeadersBuilder) {
        let link = Link::new(Kind::Genesis, &NOTHING, CARRYING, value);
        headers.push(COMMANDS_HEADER, command_topic_id.as_bytes());
        headers.push(LINK_HEADER, &link.encode());
    }

    /// Makes the next link: it closes everything up to command `offset`.
    pub fn link(&mut self, offset: u64, value: &[u8], headers: &mut HeadersBuilder) {
        self.make(Kind::Link, offset as i64, value, headers);
    }

    /// Makes the next link of a fact that was decided in other topics.
    pub fn carry(&mut self, value: &[u8], headers: &mut HeadersBuilder) {
        self.make(Kind::Carried, CARRYING, value, headers);
    }

    /// Makes the link that says that all facts are carried: from here on commands are decided.
    pub fn seal(&mut self, value: &[u8], headers: &mut HeadersBuilder) {
        self.make(Kind::Carried, NOTHING.offset, value, headers);
    }

    /// Makes the last link of a chain whose facts were carried into other topics.
    pub fn end(&mut self, value: &[u8], headers: &mut HeadersBuilder) {
        self.make(Kind::Link, ENDED, value, headers);
    }

    fn make(&mut self, kind: Kind, offset: i64, value: &[u8], headers: &mut HeadersBuilder) {
        let link = Link::new(kind, &self.tip, offset, value);
        headers.push(LINK_HEADER, &link.encode());
        self.tip = link.cursor;
        self.in_flight.push_back(link.cursor);
    }

    /// Takes the acknowledgement of the oldest link in flight.
    pub fn acknowledge(&mut self, offset: Option<u64>) -> Acknowledged {
        let Some(cursor) = self.in_flight.pop_front() else {
            return Acknowledged::Gap;
        };
        #[cfg(feature = "testing")]
        match (self.broken, offset) {
            (Some(BrokenRule::GapCheck), _) => {
                self.expected_offset = offset.unwrap_or(self.expected_offset);
                let link_offset = self.expected_offset;
                self.expected_offset += 1;
                self.acknowledged = cursor;
                return Acknowledged::Contiguous { cursor, link_offset };
            }
            (Some(BrokenRule::FirstAcknowledgement), Some(first)) => {
                self.broken = None;
                self.expected_offset = first;
            }
            _ => {}
        }
        match offset {
            Some(offset) if offset == self.expected_offset && !self.has_gap => {
                self.expected_offset += 1;
                self.acknowledged = cursor;
                Acknowledged::Contiguous { cursor, link_offset: offset }
            }
            _ => {
                self.has_gap = true;
                Acknowledged::Gap
            }
        }
    }

    /// Where the chain stands with everything that was made.
    pub const fn tip(&self) -> Cursor {
        self.tip
    }

    /// Where the chain stands with everything that is real.
    pub const fn acknowledged(&self) -> Cursor {
        self.acknowledged
    }

    /// The offset in the chained topic that comes next if nobody else writes.
    pub const fn expected_offset(&self) -> u64 {
        self.expected_offset
    }

    /// Links that have no acknowledgement yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether an acknowledgement was out of sequence.
    pub const fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// After a gap was read through the reader rule up to `high_watermark` and ended at this
    /// writer's own tip: its links are the ones that count, and it may go on.
    pub fn reconcile(&mut self, cursor: Cursor, high_watermark: u64) -> bool {
        if cursor != self.tip || !self.in_flight.is_empty() {
            return false;
        }
        self.acknowledged = cursor;
        self.expected_offset = high_watermark;
        self.has_gap = false;
        true
    }
}

#[cfg(test)]
mod tests;
