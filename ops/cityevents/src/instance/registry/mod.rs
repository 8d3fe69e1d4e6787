//! Schema ids from a registry: any that speaks Confluent's protocol.
//!
//! At the start the current schema of every topic is registered, or only looked for, and all older
//! versions are read. Ids never change, so what is known stays known, without end and through every
//! outage; a failure is never remembered. An id that is met later is asked for once, however many
//! readers wait for it, on a thread of its own: who waits may not be an async task, so there a
//! lookup only begins, and the caller comes back for the answer.
//!
//! Invariant: an id is called unknown only when the registry itself says so (404 with code 40403).
//! Its records are poison then; everything else is an error, and readers wait.

mod client;
mod subjects;

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cityevents_kit::breaker::{Breaker, BreakerError};
use cityevents_schemas::{Record, SchemaIds, SchemaLookupError};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use self::client::{Client, Failure};
pub use self::subjects::RegistryError;

/// Schemas that are kept; ids beyond are asked for each time.
const KNOWN_MAX: usize = 4_096;
/// What a reader waits longer than the request may take.
const WAIT_MARGIN: Duration = Duration::from_secs(1);

/// Where the registry is, and what may be done to it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its address, up to where `/subjects` would follow. May have a user and a password in it.
    pub url: String,
    /// Registers what is missing; otherwise a missing schema stops the start.
    pub register: bool,
    /// Longest wait for one answer.
    pub request_timeout: Duration,
    /// Of the topics, and so of the subjects.
    pub prefix: String,
}

type Answer = Result<Option<Arc<str>>, SchemaLookupError>;

/// Readers that wait for an id.
type Waiting = Mutex<BTreeMap<u32, Vec<SyncSender<Answer>>>>;

/// The ids that a registry gave.
pub struct RegistryIds {
    current: [u32; Record::ALL.len()],
    asked: Arc<Asked>,
    patience: Duration,
    thread: Thread,
}

/// What lookups share with those who wait for them.
struct Asked {
    client: Client,
    breaker: Breaker,
    known: RwLock<BTreeMap<u32, Arc<str>>>,
    waiting: Waiting,
}

/// The thread that speaks with the registry. Ends without waiting, so that it may be dropped
/// anywhere, inside another runtime too.
struct Thread(Option<Runtime>);

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a look at a registry found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looked {
    /// Subjects without their current schema.
    pub missing: Vec<String>,
    /// Subjects that take schemas which this program could not read.
    pub loose: Vec<String>,
    /// What its clock says, in milliseconds since 1970, if it tells.
    pub told_ms: Option<i64>,
}

/// Looks at a registry and changes nothing. Blocks.
///
/// # Errors
/// When it does not answer.
pub fn look(options: &Options) -> Result<Looked, RegistryError> {
    let client = Client::new(&options.url, options.request_timeout)
        .map_err(|reason| RegistryError::Address { reason })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RegistryError::Thread { reason: error.to_string() })?;
    runtime.block_on(subjects::look(&client, &options.prefix))
}

impl RegistryIds {
    /// Registers or finds the current schemas and learns the ids of all versions. Blocks for as
    /// many requests as there are versions; the network is served by a thread of its own.
    ///
    /// # Errors
    /// When the registry does not answer, lacks a schema that may not be registered, or refuses
    /// one: each with what to do.
    pub fn connect(options: &Options, breaker: Breaker) -> Result<Self, RegistryError> {
        let client = Client::new(&options.url, options.request_timeout)
            .map_err(|reason| RegistryError::Address { reason })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("schema-registry")
            .enable_all()
            .build()
            .map_err(|error| RegistryError::Thread { reason: error.to_string() })?;
        let thread = Thread(Some(runtime));
        let (sender, receiver) = mpsc::sync_channel(1);
        let (register, prefix) = (options.register, options.prefix.clone());
        thread.spawn(async move {
            let found = subjects::prepare(&client, register, &prefix).await;
            let _nobody_waits_any_more = sender.send(found.map(|found| (client, found)));
        });
        let stopped = || RegistryError::Thread { reason: "it ended without a word".to_owned() };
        let (client, found) = receiver.recv().map_err(|_| stopped())??;
        let asked = Arc::new(Asked {
            client,
            breaker,
            known: RwLock::new(found.known),
            waiting: Waiting::default(),
        });
        let patience = options.request_timeout.saturating_add(WAIT_MARGIN);
        Ok(Self { current: found.current, asked, patience, thread })
    }

    /// Begins a lookup, or joins the one that runs already.
    fn ask(&self, id: u32) -> mpsc::Receiver<Answer> {
        let (sender, answer) = mpsc::sync_channel(1);
        let mut waiting = self.asked.waiting.lock();
        let others = waiting.entry(id).or_default();
        others.push(sender);
        if others.len() == 1 {
            let asked = Arc::clone(&self.asked);
            self.thread.spawn(async move { asked.look_up(id).await });
        }
        answer
    }
}

impl Thread {
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(work);
        }
    }
}

impl Asked {
    fn known(&self, id: u32) -> Option<Arc<str>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    async fn look_up(&self, id: u32) {
        let result = self.breaker.call(self.client.schema(id), |failure| {
            !matches!(failure, Failure::NotFound { .. } | Failure::Refused { .. })
        });
        let answer = match result.await {
            Ok(source) => {
                let source = Arc::<str>::from(source);
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                if known.len() < KNOWN_MAX {
                    known.insert(id, Arc::clone(&source));
                }
                Ok(Some(source))
            }
            Err(BreakerError::Failed(Failure::NotFound { .. })) => Ok(None),
            Err(BreakerError::Failed(failure)) => {
                Err(SchemaLookupError { reason: self.client.describe(&failure) })
            }
            Err(BreakerError::Open(open)) => Err(SchemaLookupError { reason: open.to_string() }),
        };
        let waiting = self.waiting.lock().remove(&id).unwrap_or_default();
        for sender in waiting {
            // Who does not wait any more comes back and asks again.
            let _gone = sender.try_send(answer.clone());
        }
    }
}

impl SchemaIds for RegistryIds {
    fn current(&self, record: Record) -> Result<u32, SchemaLookupError> {
        let place = Record::ALL.iter().position(|one| *one == record);
        place.and_then(|place| self.current.get(place)).copied().ok_or_else(|| SchemaLookupError {
            reason: format!("{} was not looked for at the start", record.name()),
        })
    }

    fn writer(&self, id: u32) -> Answer {
        if let Some(source) = self.asked.known(id) {
            return Ok(Some(source));
        }
        let answer = self.ask(id);
        if tokio::runtime::Handle::try_current().is_ok() {
            // Waiting here would hold up every task of this thread.
            return Err(SchemaLookupError { reason: "it has just been asked".to_owned() });
        }
        answer.recv_timeout(self.patience).unwrap_or_else(|error| {
            let reason = match error {
                RecvTimeoutError::Timeout => format!("no answer within {:?}", self.patience),
                RecvTimeoutError::Disconnected => "its thread has ended".to_owned(),
            };
            Err(SchemaLookupError { reason })
        })
    }
}
