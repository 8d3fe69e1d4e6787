//! Requests for mails with links, appended to the mails to be sent by a thread of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_api::identity::{LinkMail, LinkMailError, LinkPurpose, RequestLinkMails};
use cityevents_processors::emails;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Delivery, Log, LogError, LogErrorKind, Outgoing, Producer, TopicPartition,
};
use cityevents_schemas::message::EmailContent;
use cityevents_trace::{Scope, Span, SpanKind, Tracer};
use cityevents_views::BoxFuture;
use tokio::sync::{mpsc, oneshot};

/// Who says so.
const SOURCE: &str = "/cityevents/api";
/// Most requests that wait; beyond it they are refused.
const WAITING_MAX: usize = 4_096;
/// Most that are appended together.
const BATCH_MAX: usize = 512;
/// Longest wait for the log to acknowledge a batch.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(10);
/// One wait for deliveries.
const POLL_WAIT: Duration = Duration::from_millis(100);

struct Job {
    record: Outgoing,
    span: Option<Span>,
    done: oneshot::Sender<Result<(), LogError>>,
}

/// Appends requests. The thread ends with this.
pub(crate) struct Requests {
    jobs: mpsc::Sender<Job>,
    tracer: Tracer,
}

impl Requests {
    /// Starts the thread. Blocks while it asks how many partitions the topic has.
    ///
    /// # Errors
    /// When the topic is not there, the log cannot be reached, or no thread can be made.
    pub(crate) fn start(
        log: Arc<dyn Log>,
        topic: Arc<str>,
        tracer: Tracer,
    ) -> Result<Self, LogError> {
        let partitions = log.describe(&topic)?.spec.partitions;
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let worker = Worker { log, topic, partitions, producer: None };
        std::thread::Builder::new()
            .name("mail-requests".to_owned())
            .spawn(move || worker.run(waiting))
            .map_err(|error| {
                let message = format!("no thread mail-requests can be made: {error}");
                LogError::new(LogErrorKind::Unavailable, message)
            })?;
        Ok(Self { jobs, tracer })
    }
}

impl RequestLinkMails for Requests {
    fn request(&self, mail: LinkMail) -> BoxFuture<'_, Result<(), LinkMailError>> {
        Box::pin(async move {
            let failed = |reason: String| LinkMailError { reason };
            let token = mail.token;
            let content = match mail.purpose {
                LinkPurpose::VerifyAddress => EmailContent::VerifyAddress { token },
                LinkPurpose::ResetPassword => EmailContent::ResetPassword { token },
            };
            let email = emails::about_token(mail.account, mail.at, content);
            let caused_by = Scope::current_trace();
            let span = caused_by
                .and_then(|trace| self.tracer.child(&trace, "mail request", SpanKind::Producer));
            let trace = span.as_ref().map(Span::context).or(caused_by);
            let trace = trace.as_ref().map(emails::trace_headers);
            let record = emails::outgoing(&email, SOURCE, trace.as_ref());
            let (done, answer) = oneshot::channel();
            let job = Job { record, span, done };
            self.jobs.try_send(job).map_err(|error| failed(error.to_string()))?;
            let appended = answer.await.map_err(|_| failed("the instance stops".to_owned()))?;
            appended.map_err(|error| failed(error.to_string()))
        })
    }
}

/// Where nobody can be sent a mail: beside an instance.
pub struct NoMails;

impl RequestLinkMails for NoMails {
    fn request(&self, _mail: LinkMail) -> BoxFuture<'_, Result<(), LinkMailError>> {
        let reason = "this process sends none".to_owned();
        Box::pin(async move { Err(LinkMailError { reason }) })
    }
}

struct Worker {
    log: Arc<dyn Log>,
    topic: Arc<str>,
    partitions: u32,
    producer: Option<Box<dyn Producer>>,
}

impl Worker {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            let (records, waiting): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|job| (job.record, (job.span, job.done))).unzip();
            let appended = self.append(records);
            if appended.is_err() {
                // A producer that failed once fails for ever.
                self.producer = None;
            }
            for (span, done) in waiting {
                if let Some(span) = span.filter(|_| appended.is_ok()) {
                    span.end();
                }
                // Who asked may have gone, which changes nothing.
                let _gone = done.send(appended.clone());
            }
        }
    }

    fn append(&mut self, records: Vec<Outgoing>) -> Result<(), LogError> {
        let producer = match &mut self.producer {
            Some(producer) => producer,
            None => self.producer.insert(self.log.producer("mail-requests")?),
        };
        let count = records.len() as u64;
        for record in records {
            let key = record.key.as_deref().unwrap_or_default();
            let number = partition_of(key, self.partitions);
            let place = TopicPartition::new(Arc::clone(&self.topic), number);
            producer.append(&place, vec![record])?;
        }
        let deadline = Instant::now() + ACKNOWLEDGE_MAX;
        let mut deliveries: Vec<Delivery> = Vec::new();
        let mut acknowledged = 0;
        while acknowledged < count {
            if Instant::now() >= deadline {
                let message = "the log does not acknowledge requests for mails";
                return Err(LogError::new(LogErrorKind::TimedOut, message));
            }
            producer.poll(POLL_WAIT, &mut deliveries)?;
            for delivery in deliveries.drain(..) {
                delivery.result?;
                acknowledged += delivery.count;
            }
        }
        Ok(())
    }
}
