//! A city in memory: commands are decided and projected for real, accounts are a list.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_kit::breaker::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_kit::config::Secret;
use cityevents_mail::{CaptureTransport, Recipient, Site, Transport, Writer};
use cityevents_processors::emails;
use cityevents_processors::mailer::{
    Addressee, Deferrals, Directory, DirectoryError, DropReason, Ledger, Mailer, MailerMetrics,
    Pace, Parts,
};
use cityevents_processors::notifier::{self, Notifier, NotifierParts};
use cityevents_processors::projection::{self, Projection};
use cityevents_processors::registration::Registration;
use cityevents_runtime::consumer::FactConsumer;
use cityevents_runtime::dead_letter::CircuitPolicy;
use cityevents_runtime::host::{Ownership, Task as _, TaskError};
use cityevents_runtime::log::clock::{Clock as _, ManualClock};
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{
    Cleanup, Committed, Isolation, Log as _, Outgoing, Record, TimestampKind, TopicPartition,
    TopicSpec,
};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::retry::{Bulk, RetryConsumer, RetryOptions, Tier};
use cityevents_runtime::spans::Spans;
use cityevents_runtime::standby::{Source, Standby};
use cityevents_runtime::worker::{Worker, WorkerOptions};
use cityevents_schemas::catalog::catalog;
use cityevents_schemas::message::{Email, EmailContent, decode_email, encode_command};
use cityevents_schemas::topic;
use cityevents_trace::{TraceParent, Tracer};
use cityevents_views::{BoxFuture, Views};
use parking_lot::Mutex;

pub const START_MS: i64 = 1_790_000_000_000;
pub const OWNER: UserId = UserId::from_bytes([0xaa; 16]);
/// How long a test waits for what other threads do, which may be hundreds of mails on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
const STEPS_MAX: usize = 2_000;
/// Steps without a mail after which nothing is left to tell.
const QUIET_STEPS: u32 = 12;

pub fn person(number: u32) -> UserId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[15] = 1;
    UserId::from_bytes(bytes)
}

/// Decides everything in a partition, ticks included.
pub fn decide(source: &Source, partition: u32, options: WorkerOptions) {
    let standby = Standby::restore(source, partition, Registration::default).unwrap();
    let mut worker = Worker::take_over(standby, options, Ownership::new()).unwrap();
    let mut quiet = 0;
    for _ in 0..STEPS_MAX {
        worker.step(Duration::ZERO).unwrap();
        quiet = if worker.lag_records() == Some(0) { quiet + 1 } else { 0 };
        if quiet > 2 {
            return;
        }
    }
    panic!("the worker does not come to rest");
}

/// Who is not what everybody is: there, with an address.
#[derive(Default)]
pub struct People(pub Mutex<BTreeMap<UserId, DropReason>>);

impl Directory for People {
    fn addressee<'a>(
        &'a self,
        email: &'a Email,
    ) -> BoxFuture<'a, Result<Addressee, DirectoryError>> {
        Box::pin(async move {
            if let Some(reason) = self.0.lock().get(&email.recipient) {
                return Ok(Addressee::Nobody(*reason));
            }
            let address = format!("{}@example.org", email.recipient);
            let recipient = Recipient { address, name: None, language: None, unsubscribe: None };
            let token = match &email.content {
                EmailContent::VerifyAddress { token } | EmailContent::ResetPassword { token } => {
                    Some(Secret::new(format!("token-{:02x}", token[0])))
                }
                _ => None,
            };
            Ok(Addressee::Person { recipient, destination: "example.org".to_owned(), token })
        })
    }
}

pub struct World {
    pub log: MemoryLog,
    pub clock: ManualClock,
    pub views: Views,
    pub people: Arc<People>,
    pub transport: Arc<CaptureTransport>,
    pub metrics: MailerMetrics,
    pub tracer: Tracer,
    /// Which trace the commands belong to that are given from now on.
    pub trace: std::cell::Cell<Option<TraceParent>>,
    pub source: Source,
    commands: std::cell::Cell<u64>,
}

impl World {
    pub fn new() -> Self {
        let clock = ManualClock::new(START_MS);
        let log = MemoryLog::new(clock.clone());
        for topic in catalog().topics() {
            log.create_topic(&TopicSpec {
                name: topic.name.into(),
                partitions: 1,
                cleanup: Cleanup::Delete { retention: None },
                timestamps: TimestampKind::LogAppend,
                durable: true,
            })
            .unwrap();
        }
        let source = Source {
            topology: "registration",
            log: Arc::new(log.clone()),
            commands: topic::EVENT_COMMANDS.name.into(),
            facts: topic::EVENT_FACTS.name.into(),
            snapshots: None,
            clock: Arc::new(clock.clone()),
            metrics: RuntimeMetrics::unregistered(),
        };
        Self {
            log,
            clock,
            views: Views::memory(),
            people: Arc::default(),
            transport: Arc::new(CaptureTransport::new()),
            metrics: MailerMetrics::default(),
            tracer: Tracer::off(),
            trace: std::cell::Cell::new(None),
            source,
            commands: std::cell::Cell::new(0),
        }
    }

    pub fn place(topic: &str) -> TopicPartition {
        TopicPartition::new(topic, 0)
    }

    pub fn records(&self, topic: &str) -> Vec<Record> {
        self.log.records(&Self::place(topic), Isolation::Committed).unwrap()
    }

    pub fn append(&self, topic: &str, record: Outgoing) {
        let mut producer = self.log.producer("test").unwrap();
        producer.append(&Self::place(topic), vec![record]).unwrap();
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// Gives a command; returns its id.
    pub fn give(&self, actor: UserId, role: Role, event: EventId, kind: CommandKind) -> CommandId {
        let number = self.commands.get() + 1;
        self.commands.set(number);
        let id = CommandId::derive(&actor, "POST", "/test", &number.to_string());
        self.give_as(id, actor, role, event, kind);
        id
    }

    fn give_as(&self, id: CommandId, user: UserId, role: Role, event: EventId, kind: CommandKind) {
        let actor = Actor::Person { user, role };
        let command = Command { id, digest: 0, event, actor, kind };
        let mut value = Vec::new();
        encode_command(&command, &mut value);
        let key = Some(event.to_string().into());
        let headers = self.trace.get().as_ref().map(emails::trace_headers).unwrap_or_default();
        let record = Outgoing { key, value: Some(value.into()), headers, timestamp_ms: None };
        self.append(topic::EVENT_COMMANDS.name, record);
    }

    /// A published event of the owner.
    pub fn event(&self, capacity: u32) -> EventId {
        let number = self.commands.get() + 1;
        self.commands.set(number);
        let id = CommandId::derive(&OWNER, "POST", "/create", &number.to_string());
        let event = EventId::of_create(&id);
        let start_time = self.now() + Millis::hours(48);
        let fields = EventFields {
            title: "Night walk".into(),
            description: "Along the river".into(),
            city: "Vienna".into(),
            category: "outdoors".into(),
            location: "Schwedenplatz".into(),
            start_time,
            end_time: start_time + Millis::hours(2),
            capacity: Capacity::Limited(capacity),
            waitlist_limit: Some(100_000),
            opens_at: None,
            cover_image_ids: Vec::new(),
        };
        self.give_as(id, OWNER, Role::User, event, CommandKind::Create(Box::new(fields)));
        self.give(OWNER, Role::User, event, CommandKind::Publish);
        event
    }

    pub fn join(&self, event: EventId, people: std::ops::Range<u32>) {
        for number in people {
            self.give(person(number), Role::User, event, CommandKind::Join);
        }
    }

    /// Decides everything, ticks included.
    pub fn decide(&self) {
        let mut options =
            WorkerOptions::new(topic::COMMAND_REPLIES.name, topic::EVENT_COMMANDS_DLQ.name);
        options.spans =
            Spans::new(self.tracer.clone(), "registration decide", "registration burst");
        decide(&self.source, 0, options);
    }

    pub fn project(&self) {
        let source = Source { topology: projection::NAME, ..self.source.clone() };
        let projection = Projection::new(self.views.clone(), 0, Arc::new(|_, _| {}));
        let projection = projection.traced(self.tracer.clone());
        let mut projecting = FactConsumer::start(&source, 0, projection).unwrap();
        while projecting.lag_records() != Some(0) {
            projecting.step(Duration::ZERO).unwrap();
        }
    }

    pub fn notifier(&self) -> FactConsumer<Notifier> {
        self.try_notifier().unwrap()
    }

    fn try_notifier(&self) -> Result<FactConsumer<Notifier>, TaskError> {
        let source = Source { topology: notifier::NAME, ..self.source.clone() };
        let parts = NotifierParts {
            log: Arc::new(self.log.clone()),
            views: self.views.clone(),
            facts: topic::EVENT_FACTS.name.into(),
            emails: topic::EMAILS.name.into(),
            bulk: topic::EMAILS_BULK.name.into(),
            partitions: 1,
            group: notifier::NAME.to_owned(),
            projection: projection::NAME.to_owned(),
            clock: Arc::new(self.clock.clone()),
            tracer: self.tracer.clone(),
        };
        FactConsumer::start(&source, 0, Notifier::new(parts, 0)?)
    }

    /// What the member of a group does with the progress of a task.
    pub fn commit(&self, group: &str, progress: &[(TopicPartition, Committed)]) {
        let topics: Vec<_> = progress.iter().map(|(place, _)| place.topic.clone()).collect();
        let mut member = self.log.join(group, &topics, "one").unwrap();
        while member.poll(Duration::ZERO).unwrap().is_some() {}
        member.commit(progress).unwrap();
    }

    /// Decides, projects, tells: until nothing is left to tell.
    pub fn settle(&self) {
        self.decide();
        self.project();
        let mut notifier = self.notifier();
        let (mut quiet, mut before) = (0, 0);
        for _ in 0..STEPS_MAX {
            notifier.step(Duration::ZERO).unwrap();
            let now = self.mails().len();
            // A page of people may have nobody in it who is meant.
            let is_quiet = notifier.lag_records() == Some(0) && now == before;
            (quiet, before) = (if is_quiet { quiet + 1 } else { 0 }, now);
            if quiet == QUIET_STEPS {
                self.commit(notifier::NAME, &notifier.all_progress());
                return;
            }
        }
        panic!("the notifier does not come to rest");
    }

    /// As [`World::settle`]; so many records before are nothing that anybody can read.
    pub fn settle_behind(&self, junk: usize) {
        assert_eq!(self.mails().len(), junk);
        self.settle();
    }

    /// Records of mails to be sent, bulk behind the others.
    pub fn mails(&self) -> Vec<Record> {
        [topic::EMAILS, topic::EMAILS_BULK]
            .iter()
            .flat_map(|from| self.records(from.name))
            .collect()
    }

    /// The mails to be sent, in the order in which one person gets them.
    pub fn emails(&self) -> Vec<Email> {
        self.mails()
            .iter()
            .map(|record| decode_email(record.value.as_deref().unwrap()).unwrap())
            .collect()
    }

    /// Templates of the mails to be sent to somebody, in order.
    pub fn told(&self, user: UserId) -> Vec<&'static str> {
        let emails = self.emails();
        let of = emails.iter().filter(|email| email.recipient == user);
        of.map(|email| email.content.template()).collect()
    }

    /// A process that sends mails. To be called within a tokio runtime.
    pub fn parts(&self, member: &str) -> Arc<Parts> {
        self.parts_with(member, self.transport.clone(), None)
    }

    /// One with a way of its own to hand mails over, and templates of its own.
    pub fn parts_with(
        &self,
        member: &str,
        transport: Arc<dyn Transport>,
        templates: Option<&Path>,
    ) -> Arc<Parts> {
        let config = cityevents_kit::Config::load(cityevents_kit::config::Sources::default());
        let site = Site::of(&config.unwrap().config).unwrap();
        let options = BreakerOptions { open_for: Duration::from_millis(20), ..Default::default() };
        let records = self.views.records.clone();
        Arc::new(Parts {
            directory: self.people.clone(),
            views: self.views.clone(),
            writer: Writer::new(site, templates).unwrap(),
            transport,
            ledger: Ledger::start(records, Arc::new(self.clock.clone()), member).unwrap(),
            pace: Pace::new(64, 64, 1_000_000),
            breaker: Breaker::new("mail", options, &BreakerMetrics::default()),
            deferrals: Deferrals::default(),
            clock: Arc::new(self.clock.clone()),
            metrics: self.metrics.clone(),
            tracer: self.tracer.clone(),
        })
    }

    pub fn mailer(&self, member: &str) -> RetryConsumer<Mailer> {
        self.mailer_of(self.parts(member))
    }

    pub fn mailer_of(&self, parts: Arc<Parts>) -> RetryConsumer<Mailer> {
        let tiers = catalog().retry_tiers(&topic::EMAILS);
        let tier = |tier: &&cityevents_schemas::catalog::Topic| Tier {
            topic: tier.name.into(),
            delay: Duration::from_millis(tier.delay_ms.unwrap()),
        };
        let options = RetryOptions {
            name: "mailer",
            log: Arc::new(self.log.clone()),
            group: "mailer".to_owned(),
            source: topic::EMAILS.name.into(),
            bulk: Some(Bulk { topic: topic::EMAILS_BULK.name.into(), in_work_max: 32 }),
            tiers: tiers.iter().map(tier).collect(),
            dead_letters: (topic::EMAILS_DLQ.name.into(), 1),
            in_work_max: 256,
            poison: CircuitPolicy::default(),
            refused: CircuitPolicy::default(),
            clock: Arc::new(self.clock.clone()),
        };
        let mailer = Mailer::new(parts, tokio::runtime::Handle::current());
        RetryConsumer::start(options, 0, mailer).unwrap()
    }

    /// Steps until everything that is due is handled. What waits for another try in work does so by
    /// a clock that stands still meanwhile.
    pub fn send(&self, mailer: &mut RetryConsumer<Mailer>) {
        let started = Instant::now();
        let mut quiet = 0;
        while quiet < 3 {
            assert!(started.elapsed() < PATIENCE, "the mailer does not come to rest");
            mailer.step(Duration::from_millis(2)).unwrap();
            quiet = if mailer.is_at_rest() { quiet + 1 } else { 0 };
        }
    }
}
