//! A long effect goes on at its pace, with what its own decisions make of its deadlines.

use std::time::Duration;

use cityevents_domain::actor::Role;
use cityevents_domain::command::CommandKind;
use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::registration::RegistrationCause;
use cityevents_processors::registration::Registration;
use cityevents_runtime::host::{Ownership, Task as _};
use cityevents_runtime::standby::Standby;
use cityevents_runtime::worker::{Worker, WorkerOptions};
use cityevents_schemas::message::decode_link;
use cityevents_schemas::topic;

use crate::fixture::{OWNER, World, person};

const STEP_EVERY_MS: i64 = 50;
/// Milliseconds that pass in a test, one with each step of the worker.
const STEPS_MAX: usize = 2_000;

fn facts(world: &World) -> Vec<Fact> {
    let links = world.records(topic::EVENT_FACTS.name);
    let links = links.iter().filter_map(|link| decode_link(link.value.as_deref()?).ok());
    links.filter_map(|link| link.fact).collect()
}

/// How many people a step of a cancellation was about.
fn expired(fact: &Fact) -> usize {
    let is_expired = |change: &&Change| {
        let canceled = RegistrationCause::EventCanceled;
        matches!(change, Change::Registration { cause, .. } if *cause == canceled)
    };
    fact.changes.iter().filter(is_expired).count()
}

#[test]
fn joins_of_others_come_between_the_steps_of_a_cancellation() {
    let world = World::new();
    let (event, other) = (world.event(2_000), world.event(10));
    world.join(event, 0..60);
    world.decide();
    world.give(OWNER, Role::User, event, CommandKind::Cancel { reason: None });
    let mut options =
        WorkerOptions::new(topic::COMMAND_REPLIES.name, topic::EVENT_COMMANDS_DLQ.name);
    options.step_every = Duration::from_millis(STEP_EVERY_MS as u64);
    let standby = Standby::restore(&world.source, 0, Registration::default).unwrap();
    let mut worker = Worker::take_over(standby, options, Ownership::new()).unwrap();
    let (mut joined, mut told) = (0, 0);
    for _ in 0..STEPS_MAX {
        worker.step(Duration::ZERO).unwrap();
        world.clock.advance(1);
        let steps = facts(&world).iter().filter(|fact| expired(fact) > 0).count();
        if steps > told {
            told = steps;
            world.give(person(joined), Role::User, other, CommandKind::Join);
            joined += 1;
        }
    }
    let facts = facts(&world);
    let steps: Vec<_> = facts.iter().filter(|fact| expired(fact) > 0).collect();
    assert_eq!(steps.iter().map(|fact| expired(fact)).collect::<Vec<_>>(), [25, 25, 10]);
    let of_others = facts.iter().filter(|fact| fact.event == other).map(|fact| fact.at);
    let of_others = of_others.collect::<Vec<_>>();
    for pair in steps.windows(2) {
        assert!(pair[1].at.as_millis() - pair[0].at.as_millis() >= STEP_EVERY_MS, "{pair:?}");
        assert!(of_others.iter().any(|at| (pair[0].at..pair[1].at).contains(at)));
    }
}
