//! Appends under way.

use std::time::Duration;

use cityevents_runtime::log::contract::{NO_LIMIT, numbered, offsets_of};
use cityevents_runtime::log::memory::Faults;
use cityevents_runtime::log::{Isolation, Log, LogErrorKind};

use super::{all, deliveries, partition, sent, simulated};

/// More than a producer waits for an acknowledgement.
const MANY_TICKS: usize = 50;

#[test]
fn nothing_lands_before_a_tick() {
    let log = simulated(1, Faults::none());
    let place = partition(&log, "t");
    let mut producer = sent(&log, "a", &place, 3);
    assert!(deliveries(&mut *producer).is_empty());
    assert_eq!((all(&log, &place).len(), log.under_way(), producer.in_flight()), (0, 3, 3));
    log.tick();
    assert_eq!(all(&log, &place), ["a0", "a1", "a2"]);
    assert_eq!((log.under_way(), producer.in_flight()), (0, 3));
    assert_eq!(deliveries(&mut *producer).len(), 3);
    assert_eq!(producer.in_flight(), 0);
}

#[test]
fn a_lost_append_is_told_and_breaks_the_producer() {
    let log = simulated(1, Faults { lost: 1.0, ..Faults::none() });
    let place = partition(&log, "t");
    let mut producer = sent(&log, "a", &place, 3);
    log.tick();
    let told = deliveries(&mut *producer);
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|delivery| delivery.result.is_err()));
    assert!(producer.append(&place, numbered("a", 3..4)).is_err());
    assert_eq!(all(&log, &place).len(), 0);
}

#[test]
fn an_append_lost_silently_times_out() {
    let log = simulated(1, Faults { lost_silently: 1.0, ..Faults::none() });
    let place = partition(&log, "t");
    let mut producer = sent(&log, "a", &place, 2);
    for _ in 0..5 {
        log.tick();
        assert!(deliveries(&mut *producer).is_empty());
    }
    for _ in 0..MANY_TICKS {
        log.tick();
    }
    let told = deliveries(&mut *producer);
    let kinds: Vec<_> = told.iter().map(|it| it.result.as_ref().unwrap_err().kind()).collect();
    assert_eq!(kinds, [LogErrorKind::TimedOut; 2]);
    assert_eq!(all(&log, &place).len(), 0);
}

#[test]
fn an_append_whose_acknowledgement_is_lost_is_there_and_times_out() {
    let log = simulated(1, Faults { acknowledgement_lost: 1.0, ..Faults::none() });
    let place = partition(&log, "t");
    let mut producer = sent(&log, "a", &place, 2);
    log.tick();
    assert_eq!(all(&log, &place), ["a0"]);
    assert!(deliveries(&mut *producer).is_empty());
    for _ in 0..MANY_TICKS {
        log.tick();
    }
    let told = deliveries(&mut *producer);
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|delivery| delivery.result.is_err()));
    assert_eq!(all(&log, &place), ["a0"]);
}

#[test]
fn a_duplicate_sequence_does_not_say_where_the_record_is() {
    let log = simulated(1, Faults { duplicate_sequence: 1.0, ..Faults::none() });
    let place = partition(&log, "t");
    let mut producer = sent(&log, "a", &place, 1);
    log.tick();
    let told = deliveries(&mut *producer);
    assert!(matches!(told[0].result, Ok(None)), "{told:?}");
    assert_eq!(all(&log, &place), ["a0"]);
    producer.append(&place, numbered("a", 1..2)).unwrap();
}

#[test]
fn an_append_may_land_twice() {
    let log = simulated(1, Faults { appended_twice: 1.0, ..Faults::none() });
    let place = partition(&log, "t");
    let mut producer = log.producer("a").unwrap();
    producer.append(&place, numbered("a", 0..2)).unwrap();
    log.tick();
    assert_eq!(all(&log, &place), ["a0", "a1", "a0", "a1"]);
    assert!(matches!(deliveries(&mut *producer)[0].result, Ok(Some(2))));
}

#[test]
fn what_a_dead_producer_had_under_way_lands_behind_its_successor() {
    let faults = Faults { lands_late: 1.0, late_delay: 1.0, ..Faults::none() };
    for crash_by_name in [false, true] {
        let log = simulated(1, faults);
        let place = partition(&log, "t");
        let mut dead = Some(sent(&log, "dead", &place, 2));
        match crash_by_name {
            true => log.crash_producer("dead"),
            false => drop(dead.take()),
        }
        let successor = sent(&log, "next", &place, 1);
        log.tick();
        assert_eq!(all(&log, &place), ["next0"]);
        log.set_faults(Faults { late_delay: 0.0, ..faults });
        log.tick();
        assert_eq!(all(&log, &place), ["next0", "dead0", "dead1"]);
        if let Some(mut crashed) = dead {
            assert!(crashed.append(&place, numbered("dead", 2..3)).is_err());
        }
        drop(successor);
    }
}

#[test]
fn what_a_dead_producer_had_under_way_may_be_lost() {
    let log = simulated(1, Faults::none());
    let place = partition(&log, "t");
    drop(sent(&log, "dead", &place, 2));
    log.tick();
    assert_eq!((all(&log, &place).len(), log.under_way()), (0, 0));
}

#[test]
fn a_hole_needs_a_producer_without_sequence_numbers() {
    for (hole, expected) in [(0.0, &[][..]), (1.0, &["a1", "a2"][..])] {
        let log = simulated(1, Faults { lands_late: 1.0, hole, ..Faults::none() });
        let place = partition(&log, "t");
        let mut producer = sent(&log, "a", &place, 3);
        log.fail_next_append(LogErrorKind::Unavailable);
        log.tick();
        assert_eq!(all(&log, &place), expected, "with a hole {hole}");
        let told = deliveries(&mut *producer);
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|delivery| delivery.result.is_err()), "none of them is told so");
    }
}

#[test]
fn a_failure_breaks_the_producer_in_all_partitions() {
    let log = simulated(1, Faults::none());
    let (one, other) = (partition(&log, "one"), partition(&log, "other"));
    let mut producer = log.producer("a").unwrap();
    producer.append(&one, numbered("a", 0..1)).unwrap();
    producer.append(&other, numbered("a", 0..1)).unwrap();
    log.fail_next_append(LogErrorKind::Unavailable);
    log.tick();
    let told = deliveries(&mut *producer);
    assert_eq!(told.len(), 2);
    assert_eq!(producer.in_flight(), 0);
    let succeeded = told.iter().filter(|delivery| delivery.result.is_ok()).count();
    assert_eq!(succeeded, 0, "{told:?}");
}

#[test]
fn producers_overtake_each_other_and_never_themselves() {
    let mut overtaken = 0;
    for seed in 0..50 {
        let log = simulated(seed, Faults { delay: 0.5, ..Faults::none() });
        let place = partition(&log, "t");
        let _producers = [sent(&log, "a", &place, 5), sent(&log, "b", &place, 5)];
        while log.under_way() > 0 {
            log.tick();
        }
        let values = all(&log, &place);
        for name in ["a", "b"] {
            let own: Vec<_> = values.iter().filter(|value| value.starts_with(name)).collect();
            assert_eq!(own.len(), 5, "seed {seed}");
            assert!(own.is_sorted(), "seed {seed}: {values:?}");
        }
        overtaken += usize::from(values.iter().position(|it| it == "b0") < Some(5));
    }
    assert!(overtaken > 10, "b came before the last of a with {overtaken} seeds of 50");
}

#[test]
fn records_handed_in_together_may_travel_apart() {
    let mut most = 0;
    for seed in 0..20 {
        let log = simulated(seed, Faults { split: 0.7, ..Faults::none() });
        let place = partition(&log, "t");
        let mut producer = log.producer("a").unwrap();
        producer.append(&place, numbered("a", 0..10)).unwrap();
        log.tick();
        let told = deliveries(&mut *producer);
        let mut next = 0;
        for delivery in &told {
            assert_eq!(delivery.first_ticket, next, "seed {seed}");
            next += delivery.count;
        }
        assert_eq!(next, 10, "seed {seed}");
        most = most.max(told.len());
    }
    assert!(most > 2, "at most {most} pieces");
}

#[test]
fn a_lagging_reader_sees_less_and_in_the_end_all() {
    let mut saw_less = 0;
    for seed in 0..20 {
        let log = simulated(seed, Faults { reader_lag: 0.8, ..Faults::none() });
        let place = partition(&log, "t");
        let _producer = sent(&log, "a", &place, 20);
        log.tick();
        let mut reader = log.reader(&place, 0, Isolation::Uncommitted).unwrap();
        let mut out = Vec::new();
        while reader.position() < 20 {
            reader.poll(NO_LIMIT, Duration::ZERO, &mut out).unwrap();
            saw_less += usize::from(reader.position() < 20);
        }
        assert_eq!(offsets_of(&out), (0..20).collect::<Vec<_>>(), "seed {seed}");
    }
    assert!(saw_less > 10, "{saw_less} polls of 20 readers saw less");
}

#[test]
fn producers_land_in_any_order_within_a_tick() {
    let mut overtaken = 0;
    for seed in 0..50 {
        let log = simulated(seed, Faults::none());
        let place = partition(&log, "t");
        let _producers = [sent(&log, "a", &place, 1), sent(&log, "b", &place, 1)];
        log.tick();
        overtaken += usize::from(all(&log, &place) == ["b0", "a0"]);
    }
    assert!((10..40).contains(&overtaken), "b came first with {overtaken} seeds of 50");
}

#[test]
fn a_reader_does_not_go_on_in_a_topic_made_anew() {
    let log = simulated(1, Faults::none());
    let place = partition(&log, "t");
    let mut reader = log.reader(&place, 0, Isolation::Uncommitted).unwrap();
    log.delete_topic("t").unwrap();
    partition(&log, "t");
    let failed = reader.poll(NO_LIMIT, Duration::ZERO, &mut Vec::new()).unwrap_err();
    assert_eq!(failed.kind(), LogErrorKind::UnknownTopic);
}
