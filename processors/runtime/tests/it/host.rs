//! Hosts: a task per partition, made anew when it fails, ended in order when the group says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cityevents_runtime::host::{Host, HostOptions, MakeTask, PanicPolicy, TaskError, TaskState};
use cityevents_runtime::log::{Isolation, Log as _, TopicPartition};
use cityevents_runtime::worker::make_task;
use crossbeam_channel::bounded;

use super::fixture::{COMMANDS, FACTS, Toy, World, eventually};

const GROUP: &str = "toys";

fn options(member: &str) -> HostOptions {
    HostOptions {
        name: "toy",
        group: GROUP.into(),
        topics: vec![COMMANDS.into()],
        member: member.into(),
        panics: PanicPolicy { restarts_max: 1, window: Duration::from_secs(600) },
    }
}

fn make(world: &World) -> Arc<MakeTask> {
    let program = world.program.clone();
    make_task(world.source.clone(), world.options.clone(), move || Toy::new(&program))
}

fn start(world: &World, member: &str) -> Host {
    start_with(world, member, make(world))
}

fn start_with(world: &World, member: &str, make: Arc<MakeTask>) -> Host {
    Host::start(&world.source.log, options(member), world.source.metrics.clone(), make).unwrap()
}

fn until_ready(host: &Host, partitions: usize) {
    eventually("all tasks run", || {
        (host.states().len() == partitions && host.problem().is_none()).then_some(())
    });
}

fn until_answered(world: &World, partition: u32, count: usize) -> Vec<String> {
    eventually("answers", || {
        let answers = world.answers_of(partition);
        (answers.len() >= count).then_some(answers)
    })
}

fn committed(world: &World, partition: u32) -> Option<u64> {
    let place = TopicPartition::new(COMMANDS, partition);
    world.log.committed(GROUP, &place).unwrap().map(|committed| committed.offset)
}

#[test]
fn every_partition_of_the_assignment_gets_a_task() {
    let world = World::with_partitions(3);
    let host = start(&world, "one");
    assert!(host.states().len() <= 3);
    until_ready(&host, 3);
    for partition in 0..3 {
        world.send_to(partition, &["add a", "same"]);
    }
    for partition in 0..3 {
        assert_eq!(until_answered(&world, partition, 2).len(), 2);
    }
    host.stop();
}

#[test]
fn a_host_without_partitions_is_not_ready() {
    let world = World::new();
    let first = start(&world, "a");
    until_ready(&first, 1);
    let second = start(&world, "b");
    assert!(second.problem().unwrap().contains("no partition is assigned"));
}

#[test]
fn a_stop_drains_and_stores_the_progress() {
    let world = World::new();
    let host = start(&world, "one");
    until_ready(&host, 1);
    world.send(&["add a", "same", "add b"]);
    until_answered(&world, 0, 3);
    host.stop();
    assert_eq!(committed(&world, 0), Some(3));
    assert!(world.log.owners(GROUP).is_empty());
    let metadata =
        world.log.committed(GROUP, &TopicPartition::new(COMMANDS, 0)).unwrap().unwrap().metadata;
    assert_eq!(metadata, world.restore().position().unwrap().cursor.to_text());
}

#[test]
fn a_panic_makes_its_task_anew_from_the_log_and_disturbs_no_other() {
    let mut world = World::with_partitions(2);
    world.program.panics_once = true;
    let host = start(&world, "one");
    until_ready(&host, 2);
    world.send_to(1, &["add a"]);
    until_answered(&world, 1, 1);
    world.send_to(0, &["add a"]);
    until_answered(&world, 0, 1);
    world.send_to(0, &["add a", "panic", "add a"]);
    let answers = until_answered(&world, 0, 4);
    let ends: Vec<_> = answers.iter().map(|answer| answer.split(" by").next().unwrap()).collect();
    assert_eq!(ends, ["0 done", "1 done", "2 no panic", "3 done"]);
    assert_eq!(world.source.metrics.panics.get(), 1);
    world.send_to(1, &["add a"]);
    until_answered(&world, 1, 2);
    until_ready(&host, 2);
    host.stop();
    assert_eq!(world.links_of(0).len(), 3);
}

#[test]
fn a_task_that_panics_again_and_again_stays_stopped_and_the_host_says_so() {
    let world = World::with_partitions(2);
    let host = start(&world, "one");
    until_ready(&host, 2);
    world.send_to(0, &["panic"]);
    let problem = eventually("a stop", || {
        matches!(host.states()[&0], TaskState::Stopped { .. }).then(|| host.problem().unwrap())
    });
    assert!(
        problem.starts_with("toy/0: stopped: 2 times in a row it panicked: the toy fell"),
        "{problem}"
    );
    assert_eq!(world.source.metrics.panics.get(), 2);
    world.send_to(1, &["add a"]);
    until_answered(&world, 1, 1);
    assert_eq!(host.states()[&1], TaskState::Running);
    assert!(world.answers_of(0).is_empty());
    host.stop();
}

#[test]
fn a_task_that_stops_waits_for_somebody_to_look() {
    let world = World::new();
    let host = start(&world, "one");
    until_ready(&host, 1);
    world.send(&["add a", "broken"]);
    let problem = eventually("a stop", || {
        let problem = host.problem()?;
        problem.contains("stopped").then_some(problem)
    });
    assert!(problem.contains("offset 1 is not decided: the counters are wrong"), "{problem}");
    host.stop();
    assert_eq!(world.answers().len(), 1);
}

#[test]
fn a_task_that_asks_for_it_is_made_anew_and_counted() {
    let world = World::new();
    let (inner, tries) = (make(&world), AtomicU64::new(0));
    let make: Arc<MakeTask> =
        Arc::new(move |partition, ownership| match tries.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(TaskError::Restart("not yet".into())),
            _ => inner(partition, ownership),
        });
    let host = start_with(&world, "one", make);
    until_ready(&host, 1);
    world.send(&["add a"]);
    assert_eq!(until_answered(&world, 0, 1), ["0 done by 1"]);
    host.stop();
}

#[test]
fn two_hosts_share_the_partitions_and_the_one_that_is_left_takes_all() {
    let world = World::with_partitions(4);
    let first = start(&world, "a");
    until_ready(&first, 4);
    for partition in 0..4 {
        world.send_to(partition, &["add a", "same"]);
        until_answered(&world, partition, 2);
    }
    let second = start(&world, "b");
    until_ready(&second, 2);
    until_ready(&first, 2);
    let moved: Vec<_> = second.states().into_keys().collect();
    for partition in &moved {
        assert_eq!(committed(&world, *partition), Some(2), "who gives up stores its progress");
    }
    for partition in 0..4 {
        world.send_to(partition, &["add a"]);
        let answers = until_answered(&world, partition, 3);
        assert!(answers[2].starts_with("2 done"), "{answers:?}");
    }
    first.stop();
    until_ready(&second, 4);
    for partition in 0..4 {
        world.send_to(partition, &["add a", "add a"]);
        let answers = until_answered(&world, partition, 5);
        assert!(
            answers[3].starts_with("3 done") && answers[4].starts_with("4 full"),
            "{answers:?}"
        );
        assert_eq!(answers.len(), 5, "nobody answered twice");
    }
    assert_eq!(world.source.metrics.gaps.get(), 0);
    second.stop();
    for partition in 0..4 {
        let place = TopicPartition::new(FACTS, partition);
        let records = world.log.records(&place, Isolation::Uncommitted).unwrap();
        assert_eq!(records.len(), 1 + world.links_of(partition).len(), "no link was written twice");
    }
}

#[test]
fn a_member_that_its_group_took_for_dead_gets_its_partitions_again() {
    let world = World::new();
    let host = start(&world, "one");
    until_ready(&host, 1);
    world.send(&["add a"]);
    until_answered(&world, 0, 1);
    world.log.expel_member(GROUP, "one");
    world.send(&["add a"]);
    until_answered(&world, 0, 2);
    until_ready(&host, 1);
    eventually("the group has it again", || (!world.log.owners(GROUP).is_empty()).then_some(()));
    host.stop();
}

#[test]
fn a_member_whose_name_somebody_else_took_ends_its_tasks_and_says_so() {
    let world = World::new();
    let first = start(&world, "same");
    until_ready(&first, 1);
    let second = start(&world, "same");
    until_ready(&second, 1);
    let problem = eventually("the first host is shut out", || {
        let problem = first.problem()?;
        problem.contains("somebody newer").then_some(problem)
    });
    assert_eq!(problem, "toy: somebody newer is same in group toys");
    eventually("its tasks end", || first.states().is_empty().then_some(()));
    world.send(&["add a"]);
    until_answered(&world, 0, 1);
    assert_eq!(second.problem(), None);
}

#[test]
fn a_member_that_was_shut_out_joins_again_under_its_name() {
    let world = World::new();
    let first = start(&world, "same");
    until_ready(&first, 1);
    let second = start(&world, "same");
    until_ready(&second, 1);
    eventually("the first host is shut out", || first.problem());
    second.stop();
    until_ready(&first, 1);
    world.send(&["add a"]);
    until_answered(&world, 0, 1);
    assert_eq!(first.problem(), None);
    first.stop();
}

#[test]
fn who_gave_up_waits_for_the_group_and_is_no_problem() {
    let world = World::new();
    let make: Arc<MakeTask> = Arc::new(|_, _| Err(TaskError::GiveUp("a newer one".into())));
    let host = start_with(&world, "one", make);
    eventually("it gives up", || {
        (host.states().get(&0) == Some(&TaskState::GivenUp)).then_some(())
    });
    assert_eq!(host.problem(), None);
    host.stop();
}

#[test]
fn who_gave_up_works_again_when_the_group_leaves_the_partition_where_it_is() {
    let world = World::new();
    let inner = make(&world);
    let gave_up = AtomicBool::new(false);
    let make: Arc<MakeTask> = Arc::new(move |partition, ownership| {
        if !gave_up.swap(true, Ordering::SeqCst) {
            return Err(TaskError::GiveUp("a newer one".into()));
        }
        inner(partition, ownership)
    });
    let host = start_with(&world, "one", make);
    world.send(&["add a"]);
    until_answered(&world, 0, 1);
    assert_eq!(host.problem(), None);
    host.stop();
}

#[test]
fn what_fails_again_and_again_is_not_ready_even_while_it_is_made_anew() {
    let world = World::new();
    let make: Arc<MakeTask> = Arc::new(|_, _| Err(TaskError::Restart("no log".into())));
    let host = start_with(&world, "one", make);
    let problem = eventually("three failures", || {
        let problem = host.problem()?;
        problem.contains("failed").then_some(problem)
    });
    assert_eq!(problem, "toy/0: failed 3 times: no log");
    host.stop();
}

#[test]
fn a_restore_that_takes_long_does_not_hold_up_the_others_and_is_not_heard_later() {
    let world = World::with_partitions(2);
    let inner = make(&world);
    let (go, wait) = bounded::<()>(0);
    let (began, is_slow) = bounded::<()>(1);
    let make: Arc<MakeTask> = Arc::new(move |partition, ownership| {
        if partition == 1 {
            began.send(()).unwrap();
            let _let_go = wait.recv();
        }
        inner(partition, ownership)
    });
    let host = start_with(&world, "one", make);
    is_slow.recv().unwrap();
    world.send_to(0, &["add a"]);
    until_answered(&world, 0, 1);
    assert_eq!(host.problem().unwrap(), "toy/1: restoring");
    host.stop();
    assert_eq!(committed(&world, 0), Some(1), "the other one ended in order");
    drop(go);
    let host = start(&world, "two");
    until_ready(&host, 2);
    world.send_to(1, &["add a"]);
    assert_eq!(until_answered(&world, 1, 1).len(), 1);
    host.stop();
}
