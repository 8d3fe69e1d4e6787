//! What the runtime asks of a topology: everything about a record but where it stands.

use bytes::Bytes;

use crate::log::{Headers, Record};

/// A command as the log holds it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Its place in the command topic.
    pub offset: u64,
    /// When the log took it, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// What it says.
    pub value: &'a [u8],
    /// Names and values beside it.
    pub headers: &'a Headers,
}

/// A link to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkDraft {
    /// What it is about; `None` for one that only closes.
    pub key: Option<Bytes>,
    /// What it says.
    pub value: Bytes,
    /// Names and values beside it, without the link's own header.
    pub headers: Headers,
}

/// What became of one command.
#[derive(Debug)]
pub struct Decision<A> {
    /// The fact, if there is one: it closes this command and all that were closed without a fact
    /// since the last link.
    pub link: Option<LinkDraft>,
    /// What the caller is told once a link at or behind the command is acknowledged.
    pub answer: A,
    /// What it came to, as a bounded label for metrics.
    pub label: &'static str,
}

/// A record that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    /// Bounded label.
    pub class: &'static str,
    /// What is wrong with it.
    pub reason: String,
    /// Nothing is wrong with it, as far as is known: what is needed to read it is away. Whoever
    /// reads it waits and tries again, and never passes it.
    pub is_temporary: bool,
}

/// Why a command was not decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// It cannot be read: it becomes a dead letter, if trying again cannot help.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// Deciding it would break a promise: the partition stops, since state or rules are wrong.
    #[error("{0}")]
    PromiseBroken(String),
}

/// A deadline that has passed by the caller's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What it is about: the key of the tick's command.
    pub key: Bytes,
    /// Milliseconds since 1970.
    pub deadline_ms: i64,
    /// The command that says so.
    pub command: Bytes,
    /// Names and values beside it.
    pub headers: Headers,
}

/// Where a link stands, for answers that promise read-your-writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkPosition {
    /// Partition of the chained topic.
    pub partition: u32,
    /// Offset in it.
    pub offset: u64,
}

/// Decides the commands of one partition and folds its facts.
///
/// `decide` is deterministic in the state and the input: it reads no clock, no chance and no
/// configuration. What it changes in its state is exactly what [`Topology::fold`] of the link that
/// it returns would change.
pub trait Topology: Send {
    /// What a caller is told.
    type Answer: Send;

    /// Raised with any change of what `fold` makes of a link; snapshots of another version are
    /// not read.
    fn fold_version(&self) -> u32;

    /// Folds a link that counts.
    ///
    /// # Errors
    /// When the value cannot be read: the reader stops, since passing it would fork the state.
    fn fold(&mut self, value: &[u8]) -> Result<(), Undecodable>;

    /// Whether a link can be read, without folding it.
    ///
    /// # Errors
    /// When it cannot.
    fn check(&self, value: &[u8]) -> Result<(), Undecodable>;

    /// Looks at commands that come next, in order, to have at hand what their decisions need.
    /// Decides nothing and changes nothing that a decision sees.
    fn look_ahead(&mut self, _commands: &[Record]) {}

    /// Decides a command, and changes the state at once if it makes a fact.
    ///
    /// # Errors
    /// When the command cannot be read, or the state is wrong. Nothing has changed then. A record
    /// that cannot be read is kept as a dead letter, and the runtime comes back with
    /// [`Topology::close_undecodable`].
    fn decide(&mut self, input: &Input<'_>) -> Result<Decision<Self::Answer>, DecideError>;

    /// Closes a command that cannot be read, like a refusal, so that it has one verdict for ever.
    fn close_undecodable(&mut self, input: &Input<'_>) -> Self::Answer;

    /// About how many bytes the commands take in the next link that were closed without a fact
    /// since the last one; 0 when there are none.
    fn unlinked_bytes(&self) -> usize;

    /// A link that only closes what was closed without a fact since the last one.
    fn closing_link(&mut self) -> LinkDraft;

    /// The link that begins a chain.
    fn genesis(&self, command_topic_id: &str, first_offset: u64) -> LinkDraft;

    /// The answer as bytes, and the headers beside it.
    fn encode_answer(&self, answer: &Self::Answer, link: LinkPosition) -> (Bytes, Headers);

    /// Deadlines that have passed at `now_ms`, the earliest first, at most `limit`.
    fn due(&self, now_ms: i64, limit: usize) -> Vec<Due>;

    /// The state as bytes, the same for the same state on every machine.
    fn encode_state(&self) -> Vec<u8>;

    /// Takes a state back.
    ///
    /// # Errors
    /// When the bytes are no state.
    fn decode_state(&mut self, state: &[u8]) -> Result<(), Undecodable>;
}
