//! Facts carried into new topics: commands that come while the old chains end, or later still, are decided
//! in the new topics, each once and in the order in which they came.

use bytes::Bytes;
use cityevents_domain::ids::EventId;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_processors::registration::Registration;
use cityevents_processors::replay::carry::{CARRIED_FROM_HEADER, Carry, Target, compare};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Cleanup, Isolation, Log as _, Record, TimestampKind, TopicPartition, TopicSpec,
};
use cityevents_runtime::standby::{Source, Standby};
use cityevents_runtime::worker::WorkerOptions;
use cityevents_schemas::topic;
use cityevents_trace::TraceParent;

use super::fixture::{PATIENCE, World, decide, person};

/// Of the new topics; the old ones have one.
const PARTITIONS: u32 = 3;
const EVENTS: u32 = 8;
/// Places at each event.
const PLACES: u32 = 2;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Moved {
    world: World,
    events: Vec<EventId>,
    target: Target,
    /// Commands of the old topics that were decided there.
    decided: usize,
}

impl Moved {
    fn new() -> Self {
        let world = World::new();
        let events = (0..EVENTS).map(|_| world.event(PLACES)).collect();
        world.decide();
        let decided = world.records(topic::EVENT_COMMANDS.name).len();
        let target =
            Target { commands: "two.event-commands".into(), facts: "two.event-facts".into() };
        for name in [&target.commands, &target.facts] {
            let spec = TopicSpec {
                name: name.clone(),
                partitions: PARTITIONS,
                cleanup: Cleanup::Delete { retention: None },
                timestamps: TimestampKind::LogAppend,
                durable: true,
            };
            world.log.create_topic(&spec).unwrap();
        }
        world.trace.set(TraceParent::parse(TRACE));
        Self { world, events, target, decided }
    }

    /// Somebody wants to come to every event.
    fn join(&self, person: u32) {
        self.events.iter().for_each(|event| self.world.join(*event, person..person + 1));
    }

    fn open(&self) -> Carry {
        Carry::open(&self.world.source, &self.target).unwrap()
    }

    /// The whole way, where the old chains have ended already.
    fn finish(&self) -> u64 {
        let never = || -> Result<(), TaskError> { panic!("the old chains end twice") };
        self.open().finish(self.world.now(), never, || Ok(())).unwrap()
    }

    fn new_commands(&self, partition: u32) -> Vec<Record> {
        let place = TopicPartition::new(self.target.commands.clone(), partition);
        self.world.log.records(&place, Isolation::Uncommitted).unwrap()
    }

    /// The new topics have every command that was not decided in the old ones, and nothing else.
    #[track_caller]
    fn check_commands(&self) {
        let said = |record: &Record| -> (Option<Bytes>, Option<Bytes>) {
            (record.key.clone(), record.value.clone())
        };
        let late = self.world.records(topic::EVENT_COMMANDS.name).split_off(self.decided);
        for partition in 0..PARTITIONS {
            let is_here = |record: &&Record| {
                partition_of(record.key.as_ref().unwrap(), PARTITIONS) == partition
            };
            let expected: Vec<_> = late.iter().filter(is_here).collect();
            let carried = self.new_commands(partition);
            assert!(!carried.is_empty(), "so many events are in every partition");
            let (here, there): (Vec<_>, Vec<_>) = (
                carried.iter().map(said).collect(),
                expected.iter().map(|one| said(one)).collect(),
            );
            assert_eq!(here, there, "partition {partition}");
            for (carried, old) in carried.iter().zip(expected) {
                let from = format!("0/{}", old.offset);
                assert_eq!(carried.headers.get_text(CARRIED_FROM_HEADER), Some(&*from));
                let trace = carried.headers.get_text("traceparent");
                assert_eq!(trace, old.headers.get_text("traceparent"));
                assert!(trace.is_some());
            }
        }
    }
}

#[test]
fn commands_that_come_late_are_carried_once_and_decided_in_their_order() {
    let moved = Moved::new();
    let carry = moved.open();
    carry.run(PATIENCE, None).unwrap();
    // Everything was decided at that moment, and then two people come to every event.
    let late = || {
        moved.join(0);
        moved.join(1);
        Ok(())
    };
    let killed = || Err(TaskError::Restart("killed before the new chains are whole".to_owned()));
    carry.finish(moved.world.now(), late, killed).unwrap_err();
    drop(carry);
    moved.check_commands();
    // What was carried before the kill is not carried again; what came since is.
    moved.join(2);
    assert_eq!(moved.finish(), u64::from(EVENTS));
    moved.check_commands();
    // Whoever did not hear of the switch goes on asking the old topics.
    moved.join(3);
    assert_eq!(moved.finish(), u64::from(EVENTS));
    assert_eq!(moved.finish(), 0);
    moved.check_commands();

    let Moved { world, events, target, .. } = &moved;
    let (commands, facts) = (target.commands.clone(), target.facts.clone());
    let source = Source { commands, facts, ..world.source.clone() };
    let mut found = 0;
    for partition in 0..PARTITIONS {
        // Nobody waits for a reply, and none is a dead letter.
        let options =
            WorkerOptions::new(topic::COMMAND_REPLIES.name, topic::EVENT_COMMANDS_DLQ.name);
        decide(&source, partition, options);
        let fold = Standby::restore(&source, partition, Registration::default).unwrap();
        for event in events.iter().filter_map(|event| fold.topology().state().open(event)) {
            found += 1;
            // Whoever came first, whatever was killed meanwhile.
            let standing: Vec<_> = (0..4)
                .map(|number| event.registrations().find(&person(number)).unwrap().1)
                .map(|entry| entry.standing().status())
                .collect();
            let [active, waiting] = [RegistrationStatus::Active, RegistrationStatus::Waitlisted];
            assert_eq!(standing, [active, active, waiting, waiting]);
        }
    }
    assert_eq!(found, events.len());
    let compared = compare(&world.source, target, &mut |_, _| {}).unwrap();
    assert!(compared.iter().all(|one| one.is_same()), "{compared:?}");
}
