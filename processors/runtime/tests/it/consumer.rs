//! Consumers of facts: they go on where their sink left off, and nothing comes twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cityevents_runtime::chain::Cursor;
use cityevents_runtime::consumer::{FactConsumer, FactSink, make_task};
use cityevents_runtime::follower::{LinkedRecord, Position};
use cityevents_runtime::host::{Host, HostOptions, PanicPolicy, Task as _, TaskError};
use cityevents_runtime::log::{
    Committed, FencedBatch, FencedWriter, Isolation, Log, TopicPartition,
};
use parking_lot::Mutex;

use super::fixture::{FACTS, Said, World, again, eventually, run, spec, text, text_of};

const OUTPUT: &str = "toy-output";
const GROUP: &str = "toy-publisher";

/// Writes each change as a record, fenced.
struct Publisher {
    log: Arc<dyn Log>,
    writer: Option<Box<dyn FencedWriter>>,
}

impl FactSink for Publisher {
    fn start(&mut self) -> Result<Option<Position>, TaskError> {
        self.writer = Some(self.log.fenced("toy-publisher-0")?);
        let committed = self.log.committed(GROUP, &TopicPartition::new(FACTS, 0))?;
        Ok(committed.map(|committed| Position {
            offset: committed.offset,
            cursor: Cursor::parse(&committed.metadata).unwrap(),
        }))
    }

    fn write(&mut self, links: &[LinkedRecord], after: Position) -> Result<(), TaskError> {
        let output = TopicPartition::new(OUTPUT, 0);
        let changes = links
            .iter()
            .filter_map(|link| Said::of(link.record.value.as_deref().unwrap_or_default()).change);
        let records = changes.map(|change| (output.clone(), text(&change))).collect();
        let progress = Committed { offset: after.offset, metadata: after.cursor.to_text() };
        let batch = FencedBatch {
            records,
            group: GROUP.into(),
            progress: vec![(TopicPartition::new(FACTS, 0), progress)],
        };
        Ok(self.writer.as_mut().unwrap().write(batch)?)
    }

    fn commits_progress(&self) -> bool {
        true
    }
}

/// Remembers what it was given; the group's progress is stored by the host.
#[derive(Clone, Default)]
struct Memory {
    values: Arc<Mutex<Vec<Bytes>>>,
    done: Arc<Mutex<Option<Position>>>,
    fails: Arc<Mutex<Option<TaskError>>>,
}

impl FactSink for Memory {
    fn start(&mut self) -> Result<Option<Position>, TaskError> {
        Ok(*self.done.lock())
    }

    fn write(&mut self, links: &[LinkedRecord], after: Position) -> Result<(), TaskError> {
        if let Some(error) = self.fails.lock().take() {
            return Err(error);
        }
        self.values.lock().extend(links.iter().filter_map(|link| link.record.value.clone()));
        *self.done.lock() = Some(after);
        Ok(())
    }
}

fn publisher(world: &World) -> FactConsumer<Publisher> {
    let sink = Publisher { log: world.source.log.clone(), writer: None };
    FactConsumer::start(&world.source, 0, sink).unwrap()
}

fn with_output() -> World {
    let world = World::new();
    world.log.create_topic(&spec(OUTPUT, 1)).unwrap();
    world
}

fn published(world: &World) -> Vec<String> {
    world.records(OUTPUT, 0).iter().map(text_of).collect()
}

#[test]
fn a_fenced_publisher_goes_on_from_the_stored_position_and_publishes_nothing_twice() {
    let world = with_output();
    let mut worker = world.worker();
    world.send(&["add a", "same", "add b"]);
    run(&mut worker).unwrap();
    let mut first = publisher(&world);
    first.step(Duration::ZERO).unwrap();
    assert_eq!(published(&world), ["add a", "add b"]);
    assert!(first.progress().is_none(), "a commit of the host would turn it back");
    drop(first);
    world.append_junk();
    world.send(&["add c"]);
    run(&mut worker).unwrap();
    let mut second = publisher(&world);
    second.step(Duration::ZERO).unwrap();
    assert_eq!(published(&world), ["add a", "add b", "add c"]);
    assert_eq!(second.lag_records(), Some(0));
    let mut third = publisher(&world);
    third.step(Duration::ZERO).unwrap();
    assert_eq!(published(&world).len(), 3);
}

#[test]
fn a_publisher_that_a_newer_one_shut_out_gives_up() {
    let world = with_output();
    let mut worker = world.worker();
    let mut older = publisher(&world);
    older.step(Duration::ZERO).unwrap();
    let mut newer = publisher(&world);
    world.send(&["add a"]);
    run(&mut worker).unwrap();
    newer.step(Duration::ZERO).unwrap();
    let error = older.step(Duration::ZERO).unwrap_err();
    assert!(matches!(error, TaskError::GiveUp(_)), "{error:?}");
    assert_eq!(published(&world), ["add a"]);
}

#[test]
fn only_links_that_count_reach_the_sink() {
    let world = World::new();
    let mut worker = world.worker();
    world.append_junk();
    world.send(&["add a"]);
    run(&mut worker).unwrap();
    for record in world.records(FACTS, 0) {
        world.append(&TopicPartition::new(FACTS, 0), again(record));
    }
    let sink = Memory::default();
    let mut consumer = FactConsumer::start(&world.source, 0, sink.clone()).unwrap();
    consumer.step(Duration::ZERO).unwrap();
    assert_eq!(sink.values.lock().len(), 2, "the genesis and one link");
    let (place, committed) = consumer.progress().unwrap();
    assert_eq!((&*place.topic, committed.offset), (FACTS, 6));
    assert_eq!(committed.metadata, worker_cursor(&worker));
}

fn worker_cursor(worker: &cityevents_runtime::worker::Worker<super::fixture::Toy>) -> String {
    worker.acknowledged().to_text()
}

#[test]
fn what_a_sink_did_not_take_comes_again() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a", "add b"]);
    run(&mut worker).unwrap();
    let sink = Memory::default();
    let mut consumer = FactConsumer::start(&world.source, 0, sink.clone()).unwrap();
    *sink.fails.lock() = Some(TaskError::Restart("the table is away".into()));
    consumer.step(Duration::ZERO).unwrap_err();
    assert!(consumer.progress().is_none());
    let mut consumer = FactConsumer::start(&world.source, 0, sink.clone()).unwrap();
    consumer.step(Duration::ZERO).unwrap();
    assert_eq!(sink.values.lock().len(), 3);
}

#[test]
fn a_position_beyond_the_end_of_the_facts_stops_the_consumer() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a"]);
    run(&mut worker).unwrap();
    let sink = Memory::default();
    *sink.done.lock() = Some(Position { offset: 99, cursor: worker.acknowledged() });
    let mut consumer = FactConsumer::start(&world.source, 0, sink).unwrap();
    let error = consumer.step(Duration::ZERO).unwrap_err();
    assert!(matches!(error, TaskError::Stop(_)), "{error:?}");
}

#[test]
fn links_of_another_history_are_a_problem_after_ten_seconds() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a"]);
    run(&mut worker).unwrap();
    let sink = Memory::default();
    let cursor = Cursor { digest: [7; 16], ..worker.acknowledged() };
    *sink.done.lock() = Some(Position { offset: 2, cursor });
    let mut consumer = FactConsumer::start(&world.source, 0, sink).unwrap();
    world.send(&["add b"]);
    run(&mut worker).unwrap();
    consumer.step(Duration::ZERO).unwrap();
    assert_eq!(consumer.problem(), None);
    world.wall_clock.advance(10_000);
    let problem = consumer.problem().unwrap();
    assert!(problem.contains("nothing is linked: links are missing"), "{problem}");
}

#[test]
fn a_hosted_consumer_that_failed_goes_on_from_its_position() {
    let world = World::new();
    let mut worker = world.worker();
    let sink = Memory::default();
    let kept = sink.clone();
    let make = make_task(world.source.clone(), move |_| Ok(kept.clone()));
    let options = HostOptions {
        name: "toy-consumer",
        group: "toy-consumers".into(),
        topics: vec![FACTS.into()],
        member: "one".into(),
        panics: PanicPolicy::default(),
    };
    let metrics = world.source.metrics.clone();
    let host = Host::start(&world.source.log, options, metrics, make).unwrap();
    let given = || sink.values.lock().len();
    eventually("the genesis", || (given() == 1).then_some(()));
    *sink.fails.lock() = Some(TaskError::Restart("the table is away".into()));
    world.send(&["add a", "add b"]);
    run(&mut worker).unwrap();
    eventually("all links", || (given() == 3).then_some(()));
    host.stop();
    let place = TopicPartition::new(FACTS, 0);
    let committed = world.log.committed("toy-consumers", &place).unwrap().unwrap();
    assert_eq!(committed.offset, 3);
    assert_eq!(world.log.records(&place, Isolation::Committed).unwrap().len(), 3);
}

#[test]
fn progress_goes_past_records_that_do_not_count_but_not_past_a_gap() {
    let world = World::new();
    let mut worker = world.worker();
    world.send(&["add a"]);
    run(&mut worker).unwrap();
    let sink = Memory::default();
    let mut consumer = FactConsumer::start(&world.source, 0, sink.clone()).unwrap();
    consumer.step(Duration::ZERO).unwrap();
    let before = consumer.progress().unwrap().1;
    let links = world.records(FACTS, 0);
    for record in links {
        world.append(&TopicPartition::new(FACTS, 0), again(record));
    }
    consumer.step(Duration::ZERO).unwrap();
    let (_, after) = consumer.progress().unwrap();
    assert_eq!((after.offset, after.metadata), (before.offset + 2, before.metadata));
    assert_eq!(sink.values.lock().len(), 2, "nothing came twice");
    // A link whose predecessor is missing may still get it.
    let other = World::new();
    let mut ahead = other.worker();
    other.send(&["add x", "add y", "add z"]);
    run(&mut ahead).unwrap();
    let last = other.records(FACTS, 0).pop().unwrap();
    world.append(&TopicPartition::new(FACTS, 0), again(last));
    consumer.step(Duration::ZERO).unwrap();
    assert_eq!(consumer.progress().unwrap().1.offset, after.offset);
}
