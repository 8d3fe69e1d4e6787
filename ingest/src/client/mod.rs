//! The way into the log for commands: append durably, wait for the decision.

pub(crate) mod appender;
pub(crate) mod batch;
mod chunk;
mod pending;
mod record;
mod replies;
mod submitted;
mod waiters;

use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::command::Command;
use cityevents_domain::ids::{CommandId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::clock::{Clock, SystemClock};
use cityevents_runtime::log::{Log, LogError, LogErrorKind, Outgoing, TopicPartition};
use cityevents_runtime::replies::ReplyTo;
use cityevents_schemas::message::{ReplyVerdict, decode_reply};
use cityevents_schemas::topic;
use cityevents_trace::{Scope, Span, SpanKind, TraceParent, Tracer};
use tokio::sync::Semaphore;

use self::appender::{Appender, HandOverError, Job};
use self::batch::{Batch, Line, Until};
pub(crate) use self::chunk::Chunk;
use self::pending::Pending;
use self::record::to_record;
use self::replies::Replies;
use self::submitted::RECORD_BYTES_MAX;
pub use self::submitted::{SubmitError, Submitted};
use self::waiters::{Place, Waiters};
use crate::admission::{Admission, LIMIT_MAX, Shed};
use crate::metrics::{CommandOutcome, IngestMetrics};

/// How long the log may take to say whether it has a command, beyond the caller's wait.
const APPEND_WAIT_MAX: Duration = Duration::from_secs(10);
/// Chunks of bulk uploads on their way, of all requests together.
const BULK_CHUNKS_MAX: usize = 64;
/// When a caller should come again while the log is away.
const RETRY_AFTER_AWAY: Duration = Duration::from_secs(2);

/// How a client is to be.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Put in front of every topic name.
    pub prefix: String,
    /// Names this instance: picks its partition of the replies.
    pub instance: String,
    /// Longest wait for a decision that is still good; see [`Admission`].
    pub queue_delay_target: Duration,
    /// Most bytes of commands appended and not yet answered.
    pub in_flight_bytes_max: usize,
    /// Gives spans of commands whose traces are kept.
    pub tracer: Tracer,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            instance: "local".to_owned(),
            queue_delay_target: Duration::from_millis(100),
            in_flight_bytes_max: 64 << 20,
            tracer: Tracer::off(),
        }
    }
}

/// Appends commands and waits for their decisions. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct CommandClient {
    shared: Arc<Shared>,
}

struct Shared {
    admission: Admission,
    metrics: IngestMetrics,
    waiters: Arc<Waiters>,
    pending: Pending,
    partitions: u32,
    reply_partition: u32,
    clock: SystemClock,
    tracer: Tracer,
    /// Commands of people.
    single: Appender,
    /// Commands of programs: a producer of their own, so that a million lines do not stand in
    /// front of one person.
    bulk: Appender,
    bulk_chunks: Arc<Semaphore>,
    replies: Replies,
}

impl CommandClient {
    /// Starts a client on a log that has the topics of commands and replies.
    ///
    /// # Errors
    /// When the log cannot be reached, or a topic is missing.
    pub fn start(
        log: &Arc<dyn Log>,
        options: &ClientOptions,
        metrics: IngestMetrics,
    ) -> Result<Self, LogError> {
        let commands = topic::EVENT_COMMANDS.full_name(&options.prefix);
        let replies = topic::COMMAND_REPLIES.full_name(&options.prefix);
        let partitions = log.describe(&commands)?.spec.partitions.max(1);
        let reply_partitions = log.describe(&replies)?.spec.partitions.max(1);
        let hash = blake3::hash(options.instance.as_bytes());
        let [a, b, c, d, ..] = *hash.as_bytes();
        let reply_partition = u32::from_be_bytes([a, b, c, d]) % reply_partitions;
        let mut nonce = [0; 4];
        getrandom::fill(&mut nonce).map_err(|error| {
            let message = format!("the operating system gives no random numbers: {error}");
            LogError::new(LogErrorKind::Configuration, message)
        })?;
        let waiters = Waiters::new(nonce);
        let place = TopicPartition::new(replies, reply_partition);
        let places: Vec<_> = (0..partitions)
            .map(|partition| TopicPartition::new(commands.as_str(), partition))
            .collect();
        let replies =
            Replies::start(Arc::clone(log), place, Arc::clone(&waiters), metrics.clone())?;
        let appender = |name, places, capacity| {
            Appender::start(name, Arc::clone(log), places, capacity, metrics.clone())
        };
        let admission = Admission::new(
            options.queue_delay_target,
            options.in_flight_bytes_max,
            metrics.in_flight.clone(),
            metrics.admission_limit.clone(),
        );
        Ok(Self {
            shared: Arc::new(Shared {
                admission,
                waiters,
                pending: Pending::new(),
                partitions,
                reply_partition,
                clock: SystemClock,
                tracer: options.tracer.clone(),
                single: appender("ingest", places.clone(), LIMIT_MAX)?,
                bulk: appender("ingest-bulk", places, BULK_CHUNKS_MAX + 1)?,
                bulk_chunks: Arc::new(Semaphore::new(BULK_CHUNKS_MAX)),
                replies,
                metrics,
            }),
        })
    }

    /// Appends a command and waits for its decision up to `wait`; with a `wait` of zero only until
    /// it is durable.
    ///
    /// # Errors
    /// When the command is not known to be in the log.
    pub async fn submit(&self, command: Command, wait: Duration) -> Result<Submitted, SubmitError> {
        self.submit_traced(command, wait, None).await
    }

    /// Whether there is room for another command, asked before any work is done for it.
    ///
    /// # Errors
    /// When there is none, or the process is stopping.
    pub fn check(&self) -> Result<(), SubmitError> {
        self.shared.admission.check().map_err(|shed| {
            self.shared.metrics.shed.inc();
            shed.into()
        })
    }

    /// [`CommandClient::submit`] with the trace that the command belongs to.
    ///
    /// # Errors
    /// When the command is not known to be in the log.
    pub async fn submit_traced(
        &self,
        command: Command,
        wait: Duration,
        trace: Option<TraceParent>,
    ) -> Result<Submitted, SubmitError> {
        let kind = command.kind.as_str();
        let result = self.append_one(&command, wait, trace).await;
        let outcome = match &result {
            Ok(Submitted::Decided(reply)) => match reply.verdict {
                ReplyVerdict::Accepted(_) => CommandOutcome::Accepted,
                ReplyVerdict::Unchanged(_) => CommandOutcome::Unchanged,
                ReplyVerdict::Refused(_) => CommandOutcome::Refused,
                ReplyVerdict::Undecodable => CommandOutcome::Undecodable,
            },
            Ok(Submitted::Pending(id)) => {
                self.shared.pending.remember(*id, command.actor.user());
                CommandOutcome::Pending
            }
            Err(SubmitError::Unavailable { .. }) => CommandOutcome::Unavailable,
            Err(_) => CommandOutcome::Shed,
        };
        self.shared.metrics.count(kind, outcome);
        result
    }

    async fn append_one(
        &self,
        command: &Command,
        wait: Duration,
        trace: Option<TraceParent>,
    ) -> Result<Submitted, SubmitError> {
        let shared = &self.shared;
        let mut permit = shared.admission.admit()?;
        let span = trace.and_then(|trace| self.append_span(&trace));
        let trace = span.as_ref().map(Span::context).or(trace);
        let batch = Arc::new(Batch::new(1).traced(span));
        // Given back when this future ends or is dropped: then nobody waits any more.
        let place = (!wait.is_zero()).then(|| shared.waiters.add(&batch));
        let (partition, record) = self.record(command, place.as_ref(), 0, trace, self.now());
        let bytes = record.size_bytes();
        if bytes > RECORD_BYTES_MAX {
            return Err(SubmitError::TooLarge { bytes });
        }
        permit.take_bytes(bytes)?;
        let job = Job::One(Arc::clone(&batch), partition, record);
        shared.single.hand_over(job).map_err(hand_over_error)?;
        if !wait.is_zero() {
            let decided = tokio::time::timeout(wait, batch.reached(Until::Decided)).await;
            // Not when this task got to run: a busy machine would look like slow decisions, and
            // letting fewer in would not help it.
            let waited = batch.waited();
            shared.admission.record(waited);
            if decided.is_ok() {
                shared.metrics.reply_seconds.observe(waited.as_secs_f64());
            }
        }
        if batch.first() == Line::Queued {
            let durable = batch.reached(Until::Durable);
            // A log that does not say so in time is dealt with by the line's state below.
            let _elapsed = tokio::time::timeout(APPEND_WAIT_MAX, durable).await;
        }
        Self::submitted(command.id, &batch.first())
    }

    fn append_span(&self, trace: &TraceParent) -> Option<Span> {
        self.shared.tracer.child(trace, "ingest append", SpanKind::Producer)
    }

    fn record(
        &self,
        command: &Command,
        place: Option<&Place>,
        line: u32,
        trace: Option<TraceParent>,
        now: Timestamp,
    ) -> (u32, Outgoing) {
        let partition = self.shared.reply_partition;
        let reply_to = place.map(|place| ReplyTo { partition, attempt: place.attempt(line) });
        to_record(command, self.shared.partitions, reply_to, trace, now)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.shared.clock.now_ms())
    }

    fn submitted(command: CommandId, line: &Line) -> Result<Submitted, SubmitError> {
        let unavailable =
            |kind| Err(SubmitError::Unavailable { kind, retry_after: RETRY_AFTER_AWAY });
        match line {
            Line::Queued => unavailable(LogErrorKind::TimedOut),
            Line::Failed(kind) => unavailable(*kind),
            Line::Durable => Ok(Submitted::Pending(command)),
            Line::Replied(reply) => match decode_reply(reply) {
                Ok(reply) if reply.command == command => Ok(Submitted::Decided(reply)),
                Ok(_) => Ok(Submitted::Pending(command)),
                Err(error) => {
                    // It is decided, and its outcome is in the links.
                    tracing::error!(%error, "a reply cannot be read: {error}");
                    Ok(Submitted::Pending(command))
                }
            },
        }
    }

    /// Appends many commands together, from programs; waits for all decisions up to `wait`, with a
    /// `wait` of zero until all are durable. Bounded by how many chunks are on their way, and waits
    /// while there are too many, so callers should keep a chunk to a few thousand commands.
    ///
    /// The results are in the order of the commands.
    pub async fn submit_all(
        &self,
        commands: &[Command],
        wait: Duration,
    ) -> Vec<Result<Submitted, SubmitError>> {
        match self.begin_chunk(commands, !wait.is_zero()).await {
            Ok(chunk) => chunk.finish(wait).await,
            Err(error) => commands.iter().map(|_| Err(error)).collect(),
        }
    }

    /// Hands a chunk over; it is waited for by [`Chunk::finish`].
    pub(crate) async fn begin_chunk(
        &self,
        commands: &[Command],
        replies: bool,
    ) -> Result<Chunk, SubmitError> {
        let shared = &self.shared;
        if shared.admission.is_closed() {
            return Err(SubmitError::Stopping);
        }
        let permit = Arc::clone(&shared.bulk_chunks).acquire_owned().await;
        let permit = permit.map_err(|_| SubmitError::Stopping)?;
        let mut span = Scope::current_trace().and_then(|trace| self.append_span(&trace));
        if let Some(span) = &mut span {
            span.set("messaging.batch.message_count", commands.len() as u64);
        }
        let trace = span.as_ref().map(Span::context);
        let batch = Arc::new(Batch::new(commands.len()).traced(span));
        let place = replies.then(|| shared.waiters.add(&batch));
        let now = self.now();
        let mut records = Vec::with_capacity(commands.len());
        for (line, command) in (0..).zip(commands) {
            let (partition, record) = self.record(command, place.as_ref(), line, trace, now);
            let bytes = record.size_bytes();
            if bytes > RECORD_BYTES_MAX {
                return Err(SubmitError::TooLarge { bytes });
            }
            records.push((partition, record));
        }
        let job = Job::Many(Arc::clone(&batch), records);
        shared.bulk.hand_over(job).map_err(hand_over_error)?;
        shared.metrics.bulk_lines.inc_by(commands.len() as u64);
        let commands = commands.iter().map(|command| command.id).collect();
        Ok(Chunk { batch, commands, _place: place, _permit: permit })
    }

    /// Whether a person was given the id of a command of theirs that was not decided then. True for
    /// a while after the decision too: whoever asks looks for an outcome first.
    pub fn is_pending(&self, command: &CommandId, user: &UserId) -> bool {
        self.shared.pending.contains(command, user)
    }

    /// The figures.
    pub fn metrics(&self) -> &IngestMetrics {
        &self.shared.metrics
    }

    /// Who is let in.
    pub fn admission(&self) -> &Admission {
        &self.shared.admission
    }

    /// Lets nothing more in, waits up to `deadline` until everybody was answered, and ends the
    /// threads. Returns whether everybody was.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        self.shared.admission.close();
        let idle = async {
            self.shared.admission.idle().await;
            let chunks = self.shared.bulk_chunks.acquire_many(BULK_CHUNKS_MAX as u32).await;
            drop(chunks);
        };
        let answered = tokio::time::timeout(deadline, idle).await.is_ok();
        self.shared.bulk_chunks.close();
        let own = Arc::clone(&self.shared);
        let ended = tokio::task::spawn_blocking(move || own.stop()).await;
        answered && ended.is_ok()
    }
}

impl Shared {
    fn stop(&self) {
        self.single.stop();
        self.bulk.stop();
        self.replies.stop();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

fn hand_over_error(error: HandOverError) -> SubmitError {
    match error {
        HandOverError::Full => Shed::Busy.into(),
        HandOverError::Ended => SubmitError::Stopping,
    }
}
