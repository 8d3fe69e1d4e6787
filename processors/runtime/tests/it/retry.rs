//! Records that fail for a while: they wait, never too short, in order, and nothing is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::dead_letter::CircuitPolicy;
use cityevents_runtime::host::{Task as _, TaskError};
use cityevents_runtime::log::clock::{Clock as _, ManualClock};
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{
    Committed, Isolation, Log as _, LogErrorKind, Outgoing, Record, TopicPartition,
};
use cityevents_runtime::retry::{
    Attempt, Completion, DUE_HEADER, Failure, Handler, OrderKey, RetryConsumer, RetryOptions, Tier,
    Verdict,
};
use parking_lot::Mutex;

use super::fixture::{NOW_MS, restart_reason, spec, stop_reason, text, text_of};

pub(super) const SOURCE: &str = "things";
const GROUP: &str = "handlers";
const TIERS: [(&str, u64); 2] = [("things-retry-10s", 10), ("things-retry-1m", 60)];
/// A second source, of a consumer that has one.
pub(super) const BULK: &str = "things-bulk";
pub(super) const DEAD: &str = "things-dlq";
const STEPS_MAX: usize = 10_000;

/// What is to come of each try, by what the record says; without a word: done.
type Script = BTreeMap<String, VecDeque<Verdict>>;

#[derive(Default)]
pub(super) struct Book {
    script: Script,
    /// What was begun, and when.
    pub(super) begun: Vec<(String, i64)>,
    /// What ended well, in order.
    done: Vec<String>,
    /// Not told before somebody does.
    pub(super) held: Vec<Completion>,
    pub(super) holds: bool,
}

/// Does as the script says. Clones share the book.
#[derive(Clone)]
pub(super) struct Actor {
    book: Arc<Mutex<Book>>,
    clock: ManualClock,
}

impl Handler for Actor {
    /// `key/anything` is in order with what has the same key.
    fn order(&self, record: &Record) -> Option<OrderKey> {
        let said = text_of(record);
        let (key, _) = said.split_once('/')?;
        Some(OrderKey(key.bytes().fold(0, |hash, byte| hash * 257 + u128::from(byte))))
    }

    fn begin(&mut self, attempt: Attempt, completion: Completion) {
        let said = text_of(&attempt.record);
        let mut book = self.book.lock();
        book.begun.push((said.clone(), self.clock.now_ms()));
        let headers = &attempt.record.headers;
        let due_ms = headers.get_text(DUE_HEADER).map_or(0, |due| due.parse().unwrap());
        assert!(self.clock.now_ms() >= due_ms, "{said} was taken early");
        if book.holds {
            book.held.push(completion);
            return;
        }
        let verdict = book.script.get_mut(&said).and_then(VecDeque::pop_front);
        let verdict = verdict.unwrap_or(Verdict::Done);
        if verdict == Verdict::Done {
            book.done.push(said);
        }
        completion.tell(verdict);
    }
}

pub(super) struct World {
    pub(super) log: MemoryLog,
    pub(super) clock: ManualClock,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) options: RetryOptions,
}

pub(super) fn busy() -> Verdict {
    Verdict::Retry(Failure::new("transient", "busy"))
}

pub(super) fn poison() -> Verdict {
    Verdict::Poison(Failure::new("undecodable", "makes no sense"))
}

impl World {
    pub(super) fn new() -> Self {
        let clock = ManualClock::new(NOW_MS);
        let log = MemoryLog::new(clock.clone());
        for name in [SOURCE, BULK, TIERS[0].0, TIERS[1].0, DEAD] {
            log.create_topic(&spec(name, 1)).unwrap();
        }
        let circuit = CircuitPolicy { run_max: 3, window_failures_max: 5, window_records: 20 };
        let tier = |(topic, seconds): (&str, u64)| Tier {
            topic: topic.into(),
            delay: Duration::from_secs(seconds),
        };
        let options = RetryOptions {
            name: "handler",
            log: Arc::new(log.clone()),
            group: GROUP.into(),
            source: SOURCE.into(),
            bulk: None,
            tiers: TIERS.into_iter().map(tier).collect(),
            dead_letters: (DEAD.into(), 1),
            in_work_max: 8,
            poison: circuit,
            refused: circuit,
            clock: Arc::new(clock.clone()),
        };
        Self { log, clock, book: Arc::default(), options }
    }

    pub(super) fn say(&self, words: &[&str]) {
        self.say_in(SOURCE, words);
    }

    pub(super) fn say_in(&self, topic: &str, words: &[&str]) {
        for word in words {
            // A failure that was meant for the consumer may still be there, and is used up here.
            while !self.try_say(topic, word) {}
        }
    }

    fn try_say(&self, topic: &str, word: &str) -> bool {
        let mut producer = self.log.producer("test").unwrap();
        let record = Outgoing { key: Some("k".into()), ..text(word) };
        producer.append(&TopicPartition::new(topic, 0), vec![record]).unwrap();
        let mut deliveries = Vec::new();
        producer.poll(Duration::ZERO, &mut deliveries).unwrap();
        deliveries.iter().all(|delivery| delivery.result.is_ok())
    }

    pub(super) fn script(&self, said: &str, verdicts: impl IntoIterator<Item = Verdict>) {
        self.book.lock().script.insert(said.to_owned(), verdicts.into_iter().collect());
    }

    pub(super) fn actor(&self) -> Actor {
        Actor { book: self.book.clone(), clock: self.clock.clone() }
    }

    pub(super) fn consumer(&self) -> RetryConsumer<Actor> {
        RetryConsumer::start(self.options.clone(), 0, self.actor()).unwrap()
    }

    /// A consumer that has all of this in work, since nobody says what came of it.
    fn holding(&self, said: &[&str]) -> RetryConsumer<Actor> {
        self.book.lock().holds = true;
        self.say(said);
        let mut consumer = self.consumer();
        run(&mut consumer).unwrap();
        consumer
    }

    /// What the group's member does with the progress of a task.
    pub(super) fn commit(&self, progress: &[(TopicPartition, Committed)]) {
        let topics: Vec<_> = progress.iter().map(|(place, _)| place.topic.clone()).collect();
        let mut member = self.log.join(GROUP, &topics, "one").unwrap();
        while member.poll(Duration::ZERO).unwrap().is_some() {}
        member.commit(progress).unwrap();
    }

    pub(super) fn records(&self, topic: &str) -> Vec<Record> {
        self.log.records(&TopicPartition::new(topic, 0), Isolation::Committed).unwrap()
    }

    pub(super) fn done(&self) -> Vec<String> {
        self.book.lock().done.clone()
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.clock.advance(seconds * 1_000);
    }
}

/// Steps until nothing can be done before time passes.
pub(super) fn run(consumer: &mut RetryConsumer<Actor>) -> Result<(), TaskError> {
    let mut before = None;
    for _ in 0..STEPS_MAX {
        consumer.step(Duration::ZERO)?;
        let now = (consumer.all_progress(), consumer.lag_records());
        if before.replace(now.clone()) == Some(now) {
            // Once more: an append may have been acknowledged without anything else to see.
            consumer.step(Duration::ZERO)?;
            return Ok(());
        }
    }
    panic!("it does not come to rest");
}

pub(super) fn frontiers(consumer: &RetryConsumer<Actor>) -> Vec<u64> {
    consumer.all_progress().iter().map(|(_, committed)| committed.offset).collect()
}

#[test]
fn a_failed_record_waits_in_each_tier_for_its_time_and_then_is_a_dead_letter() {
    let world = World::new();
    world.script("a", [busy(), busy(), busy()]);
    world.say(&["a", "b"]);
    let mut consumer = world.consumer();
    run(&mut consumer).unwrap();
    assert_eq!(world.done(), ["b"], "others go on");
    assert_eq!(frontiers(&consumer), [2, 0, 0]);
    for (waits, seconds) in [(1, 10), (2, 60)] {
        world.clock.advance(seconds * 1_000 - 1);
        run(&mut consumer).unwrap();
        assert_eq!(world.book.lock().begun.len(), waits + 1, "not a millisecond early");
        world.clock.advance(1);
        run(&mut consumer).unwrap();
        assert_eq!(world.book.lock().begun.len(), waits + 2);
    }
    let letters = world.records(DEAD);
    assert_eq!(letters.len(), 1);
    assert_eq!(text_of(&letters[0]), "a");
    let header = |name| letters[0].headers.get_text(name).unwrap().to_owned();
    assert_eq!(header("__connect.errors.topic"), TIERS[1].0);
    assert_eq!(header("__connect.errors.exception.class.name"), "transient");
    assert_eq!(header("__connect.errors.exception.message"), "busy");
    assert_eq!(header("attempt"), "3");
    assert_eq!(header("first-failed-at"), NOW_MS.to_string());
    assert_eq!(header("redrive-count"), "0");
    assert!(letters[0].headers.get(DUE_HEADER).is_none());
    assert_eq!(frontiers(&consumer), [2, 1, 1]);
}

#[test]
fn what_belongs_together_keeps_its_order_across_tiers_and_overtakes_nobody() {
    let world = World::new();
    world.script("ada/1", [busy(), busy()]);
    world.say(&["ada/1", "ada/2", "eve/1", "alone"]);
    let mut consumer = world.consumer();
    run(&mut consumer).unwrap();
    assert_eq!(world.done(), ["eve/1", "alone"]);
    world.pass(9);
    world.say(&["ada/3"]);
    run(&mut consumer).unwrap();
    assert_eq!(world.records(TIERS[0].0).len(), 3, "they follow into the tier");
    // The first one fails once more, and the others follow again when their time has come.
    world.pass(1);
    run(&mut consumer).unwrap();
    world.pass(9);
    run(&mut consumer).unwrap();
    assert_eq!(world.records(TIERS[1].0).len(), 3);
    world.say(&["ada/4"]);
    run(&mut consumer).unwrap();
    world.pass(200);
    run(&mut consumer).unwrap();
    assert_eq!(world.done(), ["eve/1", "alone", "ada/1", "ada/2", "ada/3", "ada/4"]);
    let tries = world.book.lock().begun.iter().filter(|(said, _)| said == "ada/2").count();
    assert_eq!(tries, 1, "to follow is no try");
    world.say(&["ada/5"]);
    run(&mut consumer).unwrap();
    assert_eq!(world.done().last().unwrap(), "ada/5", "nobody waits any more");
}

#[test]
fn who_followed_into_the_last_tier_has_all_its_tries_there_and_is_not_overtaken() {
    let world = World::new();
    world.script("ada/1", [busy(), busy()]);
    world.script("ada/2", [busy(), busy(), busy()]);
    world.script("ada/3", [busy()]);
    world.say(&["ada/1", "ada/2", "ada/3"]);
    let mut consumer = world.consumer();
    run(&mut consumer).unwrap();
    for seconds in [10, 60] {
        world.pass(seconds);
        run(&mut consumer).unwrap();
    }
    assert_eq!(world.done(), ["ada/1"]);
    world.say(&["eve/1"]);
    for _ in 0..2 {
        assert!(world.records(DEAD).is_empty(), "it was tried too seldom");
        world.clock.advance(59_999);
        run(&mut consumer).unwrap();
        let begun = world.book.lock().begun.len();
        world.clock.advance(1);
        run(&mut consumer).unwrap();
        assert!(world.book.lock().begun.len() > begun, "it waits as long as its tier says");
    }
    let letters = world.records(DEAD);
    assert_eq!(letters.len(), 1);
    assert_eq!(text_of(&letters[0]), "ada/2");
    assert_eq!(letters[0].headers.get_text("attempt"), Some("3"));
    assert_eq!(world.done(), ["ada/1", "eve/1"], "ada/3 waits behind, others do not");
    world.pass(60);
    run(&mut consumer).unwrap();
    assert_eq!(world.done(), ["ada/1", "eve/1", "ada/3"]);
    assert_eq!(consumer.lag_records(), Some(0));
}

#[test]
fn who_takes_over_knows_what_waits() {
    let world = World::new();
    world.script("ada/1", [busy()]);
    world.say(&["ada/1"]);
    let mut first = world.consumer();
    run(&mut first).unwrap();
    world.commit(&first.all_progress());
    drop(first);
    world.say(&["ada/2"]);
    let mut second = world.consumer();
    run(&mut second).unwrap();
    assert_eq!(world.done(), [""; 0]);
    world.pass(10);
    run(&mut second).unwrap();
    assert_eq!(world.done(), ["ada/1", "ada/2"]);
}

#[test]
fn poison_holds_up_nobody_and_too_much_of_it_stops_before_it_is_passed() {
    let world = World::new();
    for said in ["p1", "p2", "p3", "p4", "p5"] {
        world.script(said, [poison()]);
    }
    world.say(&["p1", "a", "p2", "p3", "b"]);
    let mut consumer = world.consumer();
    run(&mut consumer).unwrap();
    assert_eq!(world.done(), ["a", "b"]);
    let letters: Vec<_> = world.records(DEAD).iter().map(text_of).collect();
    assert_eq!(letters, ["p1", "p2", "p3"]);
    world.say(&["p4", "c"]);
    run(&mut consumer).unwrap();
    assert_eq!(world.done(), ["a", "b", "c"]);
    for said in ["q1", "q2", "q3", "q4"] {
        world.script(said, [poison(), poison()]);
    }
    world.say(&["q1", "q2", "q3", "q4", "d"]);
    let reason = stop_reason(run(&mut consumer));
    assert!(reason.contains("makes no sense") && reason.contains("too many"), "{reason}");
    let passed = frontiers(&consumer)[0];
    let dead = world.records(DEAD).len() as u64;
    assert!(passed <= 8 + 2, "what stopped it is not passed: {passed}");
    assert!(dead <= 6, "{dead}");
}

#[test]
fn what_is_under_way_when_it_stops_is_waited_for_and_passed() {
    let world = World::new();
    let mut consumer = world.holding(&["a", "b"]);
    let [first, second] = std::mem::take(&mut world.book.lock().held).try_into().unwrap();
    world.book.lock().holds = false;
    for said in ["p1", "p2", "p3", "p4"] {
        world.script(said, [poison()]);
        world.say(&[said]);
    }
    run(&mut consumer).unwrap();
    let problem = consumer.problem().unwrap();
    assert!(problem.contains("too many records of things/0"), "{problem}");
    world.say(&["c"]);
    // One is done, and one is let go.
    first.tell(Verdict::Done);
    drop(second);
    let reason = stop_reason(run(&mut consumer));
    assert!(reason.contains("offset 5") && reason.contains("makes no sense"), "{reason}");
    assert_eq!(frontiers(&consumer)[0], 1);
    world.commit(&consumer.all_progress());
    for said in ["p1", "p2", "p3", "p4"] {
        world.script(said, []);
    }
    run(&mut world.consumer()).unwrap();
    let letters: Vec<_> = world.records(DEAD).iter().map(text_of).collect();
    assert_eq!(letters, ["p1", "p2", "p3"]);
    assert_eq!(world.done(), ["b", "p1", "p2", "p3", "p4", "c"], "nothing new began before");
}

#[test]
fn offsets_are_passed_in_order_only() {
    let world = World::new();
    let mut consumer = world.holding(&["a", "b", "c"]);
    let mut held = std::mem::take(&mut world.book.lock().held);
    assert_eq!(held.len(), 3);
    held.pop().unwrap().tell(Verdict::Done);
    held.pop().unwrap().tell(Verdict::Done);
    run(&mut consumer).unwrap();
    assert_eq!(frontiers(&consumer)[0], 0);
    held.pop().unwrap().tell(Verdict::Done);
    run(&mut consumer).unwrap();
    assert_eq!(frontiers(&consumer)[0], 3);
}

#[test]
fn a_record_of_which_nobody_tells_is_handled_again() {
    let world = World::new();
    let mut consumer = world.holding(&["a"]);
    world.book.lock().held.clear();
    let reason = restart_reason(run(&mut consumer));
    assert!(reason.contains("nobody knows"), "{reason}");
    world.commit(&consumer.all_progress());
    world.book.lock().holds = false;
    run(&mut world.consumer()).unwrap();
    assert_eq!(world.done(), ["a"]);
}

#[test]
fn an_append_that_fails_passes_nothing() {
    let world = World::new();
    for verdict in [busy(), poison()] {
        world.script("a", [verdict]);
        world.say(&["a"]);
        let mut consumer = world.consumer();
        world.log.fail_next_append(LogErrorKind::Unavailable);
        restart_reason(run(&mut consumer));
        let stood = frontiers(&consumer)[0];
        world.commit(&consumer.all_progress());
        let mut again = world.consumer();
        run(&mut again).unwrap();
        assert_eq!(frontiers(&again)[0], stood + 1);
        world.commit(&again.all_progress());
    }
    assert_eq!(world.done(), ["a", "a"]);
}

#[test]
fn a_consumer_that_stops_finishes_what_it_began_and_begins_nothing() {
    let world = World::new();
    let mut consumer = world.holding(&["ada/1", "ada/2"]);
    let held = world.book.lock().held.pop().unwrap();
    let told = std::thread::spawn(move || held.tell(Verdict::Done));
    consumer.drain(Duration::from_secs(60)).unwrap();
    told.join().unwrap();
    assert_eq!(frontiers(&consumer)[0], 1, "the second one of ada was not begun");
    assert_eq!(world.book.lock().begun.len(), 1);
}
