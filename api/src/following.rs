//! Threads that read the partitions of a topic for ever, one each: how they start, begin anew after
//! a failure, tell how they stand, and end.

use std::panic::AssertUnwindSafe;
use std::thread::JoinHandle;
use std::time::Duration;

use cityevents_runtime::log::{LogError, LogErrorKind, PollLimit};
use cityevents_schemas::ErrorClass;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

/// How much one poll may bring.
pub(crate) const POLL_LIMIT: PollLimit = PollLimit { records: 4_096, bytes: 4 << 20 };
/// How long one poll waits; also how long a thread takes to notice that it is to stop.
pub(crate) const POLL_WAIT: Duration = Duration::from_millis(100);
/// First wait before a partition is read anew after a failure; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a partition is read anew.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The threads decode and fold; they do not recurse.
const STACK_BYTES: usize = 512 * 1024;

/// How the reading of a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not reached the end that the partition had when the reading began.
    CatchingUp,
    /// It is there.
    Following,
    /// Records lie ahead and nothing links to them.
    Stuck,
    /// It failed, and is tried again.
    Failed(String),
    /// It is not tried again.
    Stopped(String),
}

/// The state of a partition's reading, as others see it.
#[derive(Debug)]
pub(crate) struct Shown(Mutex<State>);

impl Default for Shown {
    fn default() -> Self {
        Self(Mutex::new(State::CatchingUp))
    }
}

impl Shown {
    pub(crate) fn set(&self, state: State) {
        let mut shown = self.0.lock();
        if *shown != state {
            *shown = state;
        }
    }

    pub(crate) fn is(&self, state: &State) -> bool {
        *self.0.lock() == *state
    }

    /// Why what was read is not to be relied on, if so. `so_far` says where a reading is that has
    /// not caught up.
    pub(crate) fn problem(&self, so_far: impl FnOnce() -> String) -> Option<String> {
        match &*self.0.lock() {
            State::Following => None,
            State::CatchingUp => Some(so_far()),
            State::Stuck => Some("records lie ahead that nothing links to".to_owned()),
            State::Failed(reason) => Some(format!("failed and is tried again: {reason}")),
            State::Stopped(reason) => Some(format!("stopped: {reason}")),
        }
    }
}

/// Why the reading of a partition ends.
pub(crate) enum Failure {
    /// Trying again can help.
    Again(String),
    /// It cannot.
    Stop(String),
}

impl Failure {
    /// Of a record that does not decode.
    pub(crate) fn unreadable(class: ErrorClass, reason: String) -> Self {
        match class {
            ErrorClass::Retry => Self::Again(reason),
            ErrorClass::Reject => Self::Stop(reason),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        if error.kind().is_transient() {
            Self::Again(error.to_string())
        } else {
            Self::Stop(error.to_string())
        }
    }
}

/// What tells a thread to end.
#[derive(Clone)]
pub(crate) struct Stop(Receiver<()>);

impl Stop {
    /// Waits for it so long at most, and says whether it came.
    pub(crate) fn comes_within(&self, timeout: Duration) -> bool {
        self.0.recv_timeout(timeout) != Err(RecvTimeoutError::Timeout)
    }
}

/// The threads. Dropping this ends them.
pub(crate) struct Threads {
    stop: Option<Sender<()>>,
    stopped: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Default for Threads {
    fn default() -> Self {
        let (stop, stopped) = bounded(0);
        Self { stop: Some(stop), stopped: Stop(stopped), threads: Vec::new() }
    }
}

impl Threads {
    /// Starts one more.
    pub(crate) fn start(
        &mut self,
        name: String,
        run: impl FnOnce(&Stop) + Send + 'static,
    ) -> Result<(), LogError> {
        let stop = self.stopped.clone();
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .stack_size(STACK_BYTES)
            .spawn(move || run(&stop))
            .map_err(|error| {
                let message = format!("no thread {name} can be made: {error}");
                LogError::new(LogErrorKind::Unavailable, message)
            })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Disconnecting the channel is the signal.
        self.stop = None;
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!("the thread {name} panicked");
            }
        }
    }
}

/// One partition's reading, watched over.
pub(crate) struct Supervision<'a> {
    /// What is read, for the log: `the lines of facts/3`.
    pub(crate) what: &'a str,
    pub(crate) shown: &'a Shown,
    pub(crate) restarts: &'a Counter,
    pub(crate) stop: &'a Stop,
}

impl Supervision<'_> {
    /// Reads until told to stop, or until trying again cannot help. `read` begins anew each time;
    /// `has_advanced` says whether it came further since it was asked last, after which the next
    /// failure is a first one again.
    pub(crate) fn run(
        &self,
        read: impl Fn() -> Result<(), Failure>,
        mut has_advanced: impl FnMut() -> bool,
    ) {
        let what = self.what;
        let mut backoff = BACKOFF_MIN;
        loop {
            let reason = match std::panic::catch_unwind(AssertUnwindSafe(&read)) {
                Ok(Ok(())) => return,
                Ok(Err(Failure::Stop(reason))) => {
                    tracing::error!("{what} stopped: {reason}");
                    self.shown.set(State::Stopped(reason));
                    return;
                }
                Ok(Err(Failure::Again(reason))) => reason,
                Err(_) => "the thread panicked".to_owned(),
            };
            tracing::warn!("{what} are read anew: {reason}");
            self.restarts.inc();
            if has_advanced() {
                backoff = BACKOFF_MIN;
            }
            self.shown.set(State::Failed(reason));
            if self.stop.comes_within(backoff) {
                return;
            }
            backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
        }
    }
}
