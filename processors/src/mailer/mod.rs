//! Mails to be sent → mails.
//!
//! A mail is looked up (who, which event, why), written, claimed in the [`ledger`], handed over and
//! remembered as sent. What happens when that fails is a verdict for the tiers of
//! [`cityevents_runtime::retry`]: another try later, or a dead letter. While the mail server or the
//! tables are away nothing is moved: mails wait where they are, behind a circuit breaker. A server
//! that puts everybody off counts as away.
//!
//! Invariant: an address, a name or a token is in no log and no ledger, because they are looked up,
//! or derived, for the moment of writing only.

mod deferrals;
mod deliver;
pub mod directory;
mod gate;
mod hold;
pub mod ledger;
mod letter;
mod metrics;
mod pace;

use std::sync::Arc;

use cityevents_kit::breaker::Breaker;
use cityevents_mail::{Transport, Writer};
use cityevents_runtime::log::Record;
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::retry::{
    Attempt, Completion, Failure, Handler, Happened, OrderKey, Verdict,
};
use cityevents_trace::{Scope, Span, SpanKind, TRACE_PARENT, TraceParent, Tracer};
use cityevents_views::Views;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::deferrals::Deferrals;
pub use self::directory::{Addressee, Directory, DirectoryError, DropReason};
pub use self::ledger::Ledger;
pub use self::metrics::MailerMetrics;
pub use self::pace::Pace;
use crate::emails;

/// Names this topology in groups, logs and metrics.
pub const NAME: &str = "mailer";
/// Mails of one partition that may be in work, most of them waiting for their turn.
pub const IN_WORK_MAX: usize = 1_024;
/// Of those that tell many the same: as many as a process hands over at the same time, and some in
/// preparation.
pub const BULK_IN_WORK_MAX: usize = 128;

/// What mailers are made of. Shared by all partitions of a process.
pub struct Parts {
    /// Who people are.
    pub directory: Arc<dyn Directory>,
    /// The tables: events, and the keys of persons.
    pub views: Views,
    /// Writes mails.
    pub writer: Writer,
    /// Hands them over.
    pub transport: Arc<dyn Transport>,
    /// What became of them.
    pub ledger: Ledger,
    /// How fast.
    pub pace: Pace,
    /// Of whoever takes mails.
    pub breaker: Breaker,
    /// Who was put off lately.
    pub deferrals: Deferrals,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Figures.
    pub metrics: MailerMetrics,
    /// Gives spans of mails whose traces are kept.
    pub tracer: Tracer,
}

/// Handles the mails of one partition, on the threads of a tokio runtime.
pub struct Mailer {
    parts: Arc<Parts>,
    runtime: Handle,
    /// Ended when this is dropped, also in the middle of a delivery: the ledger knows of it.
    under_way: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Mailer {
    /// One for a partition.
    pub fn new(parts: Arc<Parts>, runtime: Handle) -> Self {
        Self { parts, runtime, under_way: JoinSet::new(), stop: watch::Sender::new(false) }
    }
}

fn end(span: Option<Span>, verdict: &Verdict) {
    let Some(mut span) = span else { return };
    match verdict {
        Verdict::Done => {}
        Verdict::Retry(failure) | Verdict::Refused(failure) | Verdict::Poison(failure) => {
            span.fail(failure.class);
        }
    }
    span.end();
}

impl Handler for Mailer {
    fn order(&self, record: &Record) -> Option<OrderKey> {
        emails::order_of(record)
    }

    fn begin(&mut self, attempt: Attempt, completion: Completion) {
        while self.under_way.try_join_next().is_some() {}
        let parts = Arc::clone(&self.parts);
        let mut stopped = self.stop.subscribe();
        let headers = &attempt.record.headers;
        let caused_by = headers.get_text(TRACE_PARENT).and_then(TraceParent::parse);
        let turn = u64::from(attempt.tries.attempt);
        let send =
            |parent| parts.tracer.child_again(parent, "mailer send", SpanKind::Consumer, turn);
        let span = caused_by.as_ref().and_then(send);
        let trace = span.as_ref().map(Span::context).or(caused_by);
        let handle = async move {
            let Some(value) = attempt.record.value else {
                let failure = Failure::new("undecodable", "the record has no value");
                completion.tell(Verdict::Poison(failure));
                return;
            };
            // Without a verdict whoever goes on handles it again.
            if let Some(verdict) = parts.handle(&value, trace.as_ref(), &mut stopped).await {
                end(span, &verdict);
                completion.tell(verdict);
            }
        };
        match trace {
            Some(trace) => {
                let scope = Scope::of(Arc::new(trace));
                self.under_way.spawn_on(scope.around(handle), &self.runtime)
            }
            None => self.under_way.spawn_on(handle, &self.runtime),
        };
    }

    fn stop(&mut self) {
        self.stop.send_replace(true);
    }

    fn happened(&self, what: Happened<'_>) {
        let metrics = &self.parts.metrics;
        match what {
            Happened::Waits { tier, class } => {
                metrics.count_wait(tier);
                if class == Some("not_yet") {
                    metrics.count_failure("not_yet");
                }
            }
            Happened::GivenUp { class } => metrics.count_dead_letter(class),
            Happened::Taken { tier, late } => metrics.count_taken(tier, late),
        }
    }
}
