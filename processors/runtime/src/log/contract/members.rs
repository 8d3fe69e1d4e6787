//! Groups: who owns what, and progress.

use std::collections::BTreeSet;

use super::worker::{Worker, progress, settle};
use super::{BRIEF, Fixture};
use crate::log::{LogErrorKind, TopicPartition};

/// Up to the 4 KiB of metadata that are promised.
pub fn progress_comes_back_with_its_metadata(fixture: Fixture) {
    let topic = fixture.topic("commands", 2);
    let place = TopicPartition::new(topic.clone(), 1);
    let group = fixture.name("group");
    assert_eq!(fixture.log.committed(&group, &place).unwrap(), None);

    let mut worker = Worker::join(&fixture, &[topic], "a");
    settle(&fixture, &mut [&mut worker], &[2]);
    for (offset, metadata) in [(7, "pair"), (9, ""), (10, "z".repeat(4096).as_str())] {
        worker.member.commit(&[(place.clone(), progress(offset, metadata))]).unwrap();
        let committed = fixture.log.committed(&group, &place).unwrap();
        assert_eq!(committed, Some(progress(offset, metadata)));
    }
}

/// And both partitions of one commit are stored.
pub fn progress_of_groups_and_partitions_is_kept_apart(fixture: Fixture) {
    let topic = fixture.topic("commands", 3);
    let place = |number| TopicPartition::new(topic.clone(), number);
    let mut worker = Worker::join(&fixture, std::slice::from_ref(&topic), "a");
    settle(&fixture, &mut [&mut worker], &[3]);
    let both = [(place(0), progress(1, "zero")), (place(2), progress(5, "two"))];
    worker.member.commit(&both).unwrap();
    let committed =
        |group, number| fixture.log.committed(&fixture.name(group), &place(number)).unwrap();
    assert_eq!(committed("group", 0), Some(progress(1, "zero")));
    assert_eq!(committed("group", 1), None);
    assert_eq!(committed("group", 2), Some(progress(5, "two")));
    assert_eq!(committed("another", 0), None);
}

/// And what was committed before stays.
pub fn too_much_metadata_is_refused(fixture: Fixture) {
    let topic = fixture.topic("commands", 1);
    let place = TopicPartition::new(topic.clone(), 0);
    let mut worker = Worker::join(&fixture, &[topic], "a");
    settle(&fixture, &mut [&mut worker], &[1]);
    worker.member.commit(&[(place.clone(), progress(3, "fits"))]).unwrap();
    let large = progress(4, &"z".repeat(4097));
    assert!(worker.member.commit(&[(place.clone(), large)]).is_err());
    let committed = fixture.log.committed(&fixture.name("group"), &place).unwrap();
    assert_eq!(committed, Some(progress(3, "fits")));
}

/// All of them, when it is alone.
pub fn a_single_member_gets_the_same_numbers_of_every_topic(fixture: Fixture) {
    let topics = [fixture.topic("commands", 3), fixture.topic("facts", 3)];
    let mut one = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut one], &[6]);
    let mut other = Worker::join(&fixture, &topics, "b");
    fixture.eventually("a fair share of three numbers", || {
        one.obey();
        other.obey();
        let counts = [one.owned.len(), other.owned.len()];
        (counts == [4, 2] || counts == [2, 4]).then_some(())
    });
    for worker in [&one, &other] {
        let numbers = |topic: usize| -> BTreeSet<u32> {
            let of = worker.owned.iter().filter(|place| place.topic == topics[topic]);
            of.map(|place| place.partition).collect()
        };
        assert_eq!(numbers(0), numbers(1));
    }
    assert!(one.owned.is_disjoint(&other.owned));
}

/// Evenly, without overlap, and back to one.
pub fn two_members_share_and_who_stays_gets_all(fixture: Fixture) {
    let topics = [fixture.topic("commands", 4)];
    let mut one = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut one], &[4]);
    let mut other = Worker::join(&fixture, &topics, "b");
    settle(&fixture, &mut [&mut one, &mut other], &[2, 2]);
    assert!(one.owned.is_disjoint(&other.owned));
    for partition in &other.owned {
        assert!(!one.member.owns(partition));
    }
    drop(one);
    settle(&fixture, &mut [&mut other], &[4]);
}

/// The new owner has to wait for the old one, however often it asks.
pub fn a_revoked_partition_waits_for_its_release(fixture: Fixture) {
    let topics = [fixture.topic("commands", 2)];
    let mut one = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut one], &[2]);
    let mut other = Worker::join(&fixture, &topics, "b");
    fixture.eventually("a revocation", || {
        one.hear();
        other.hear();
        (!one.revoked.is_empty()).then_some(())
    });
    let revoked = one.revoked.first().unwrap().clone();
    for _ in 0..5 {
        fixture.step();
        one.hear();
        other.hear();
        assert!(other.owned.is_empty(), "nothing was released yet");
    }
    assert!(one.member.owns(&revoked), "it is still ours");
    one.member.commit(&[(revoked.clone(), progress(1, "last"))]).unwrap();

    settle(&fixture, &mut [&mut one, &mut other], &[1, 1]);
    assert!(other.owned.contains(&revoked));
    let committed = fixture.log.committed(&fixture.name("group"), &revoked).unwrap();
    assert_eq!(committed, Some(progress(1, "last")));
}

/// What it kept it can commit, what it lost the new owner can.
pub fn a_member_cannot_commit_what_it_has_lost(fixture: Fixture) {
    let topics = [fixture.topic("commands", 2)];
    let mut one = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut one], &[2]);
    let mut other = Worker::join(&fixture, &topics, "b");
    settle(&fixture, &mut [&mut one, &mut other], &[1, 1]);
    let kept = one.owned.first().unwrap().clone();
    let lost = other.owned.first().unwrap().clone();

    let refused = one.member.commit(&[(lost.clone(), progress(8, "zombie"))]).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::Fenced);
    other.member.commit(&[(lost.clone(), progress(2, "owner"))]).unwrap();
    one.member.commit(&[(kept.clone(), progress(5, "kept"))]).unwrap();
    let committed = |place| fixture.log.committed(&fixture.name("group"), place).unwrap();
    assert_eq!(committed(&lost), Some(progress(2, "owner")));
    assert_eq!(committed(&kept), Some(progress(5, "kept")));
}

/// Whether the group has noticed its absence or not.
pub fn who_comes_back_under_its_name_gets_the_same_partitions(fixture: Fixture) {
    let topics = [fixture.topic("commands", 6)];
    let mut one = Worker::join(&fixture, &topics, "a");
    let mut other = Worker::join(&fixture, &topics, "b");
    settle(&fixture, &mut [&mut one, &mut other], &[3, 3]);
    let before = other.owned.clone();
    drop(other);
    one.obey();
    let mut other = Worker::join(&fixture, &topics, "b");
    settle(&fixture, &mut [&mut one, &mut other], &[3, 3]);
    assert_eq!(other.owned, before);
}

/// The older one is shut out.
pub fn the_newest_of_two_members_with_one_name_stays(fixture: Fixture) {
    let topics = [fixture.topic("commands", 1)];
    let place = TopicPartition::new(topics[0].clone(), 0);
    let mut older = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut older], &[1]);
    let mut newer = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut newer], &[1]);
    let refused = older.member.commit(&[(place.clone(), progress(1, "old"))]).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::Fenced);
    fixture.eventually("the older one to hear of it", || {
        // Whether it is told in so many words is up to the log.
        let _told = older.member.poll(BRIEF);
        (!older.member.owns(&place)).then_some(())
    });
    drop(older);
    fixture.step();
    assert_eq!(newer.member.poll(BRIEF).unwrap(), None, "nothing changes for it");
    assert!(newer.member.owns(&place), "the older one's end does not matter");
    newer.member.commit(&[(place, progress(2, "new"))]).unwrap();
}

/// Also from one member to the other.
pub fn later_assignments_have_higher_generations(fixture: Fixture) {
    let topics = [fixture.topic("commands", 2)];
    let mut one = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut one], &[2]);
    let mut other = Worker::join(&fixture, &topics, "b");
    settle(&fixture, &mut [&mut one, &mut other], &[1, 1]);
    drop(other);
    let mut seen: Vec<_> = one.generations.clone();
    settle(&fixture, &mut [&mut one], &[2]);
    let last = *one.generations.last().unwrap();
    seen.dedup();
    assert!(seen.is_sorted());
    assert!(seen.iter().all(|earlier| *earlier < last), "{seen:?} before {last:?}");
}

/// Else a member could not own the same numbers of each.
pub fn topics_of_a_group_must_have_equal_partition_counts(fixture: Fixture) {
    let topics = [fixture.topic("commands", 2), fixture.topic("facts", 3)];
    let joined = fixture.log.join(&fixture.name("group"), &topics, "a");
    assert_eq!(joined.err().map(|error| error.kind()), Some(LogErrorKind::Configuration));
}

/// To whoever asks, member or not; of a group that nobody was ever in, that nobody is.
pub fn who_is_in_a_group_and_holds_what_is_told(fixture: Fixture) {
    let topics = [fixture.topic("commands", 2), fixture.topic("facts", 2)];
    let told = |group| fixture.log.members(&fixture.name(group)).unwrap();
    // What all logs tell: the other topics have the same numbers.
    let first = topics[0].clone();
    let of_first = |places: &BTreeSet<TopicPartition>| -> BTreeSet<u32> {
        let places = places.iter().filter(|place| place.topic == first);
        places.map(|place| place.partition).collect()
    };
    assert!(told("nobody").is_none_or(|members| members.is_empty()));
    let mut one = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut one], &[4]);
    let mut other = Worker::join(&fixture, &topics, "b");
    settle(&fixture, &mut [&mut one, &mut other], &[2, 2]);
    fixture.eventually("two members with what they hold", || {
        one.obey();
        other.obey();
        let mut members = told("group")?;
        members.sort_by(|left, right| left.name.cmp(&right.name));
        let held = |number: usize| {
            Some(of_first(&members.get(number)?.partitions.iter().cloned().collect()))
        };
        let names: Vec<_> = members.iter().map(|member| &*member.name).collect();
        let is_told = held(0)? == of_first(&one.owned) && held(1)? == of_first(&other.owned);
        (names == ["a", "b"] && is_told).then_some(())
    });
    drop(one);
    settle(&fixture, &mut [&mut other], &[4]);
    fixture.eventually("one member with everything", || {
        other.obey();
        let members = told("group")?;
        let [last] = &members[..] else { return None };
        (of_first(&last.partitions.iter().cloned().collect()) == BTreeSet::from([0, 1]))
            .then_some(())
    });
}
