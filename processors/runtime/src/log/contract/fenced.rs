//! Fenced writers: all of a batch or nothing, from the newest holder only.

use super::worker::progress;
use super::{Fixture, numbered, offsets_of, text, value_of};
use crate::log::{FencedBatch, Isolation, LogErrorKind, TopicPartition};

fn batch(
    fixture: &Fixture,
    outputs: &[(&TopicPartition, &str)],
    input: &TopicPartition,
    offset: u64,
) -> FencedBatch {
    let output = |(place, value): &(&TopicPartition, &str)| ((*place).clone(), text("k", value));
    FencedBatch {
        records: outputs.iter().map(output).collect(),
        group: fixture.name("publisher"),
        progress: vec![(input.clone(), progress(offset, &format!("pair {offset}")))],
    }
}

/// Over two partitions of outputs.
pub fn a_batch_counts_with_its_progress(fixture: Fixture) {
    let topic = fixture.topic("events", 2);
    let place = |number| TopicPartition::new(topic.clone(), number);
    let input = fixture.partition("facts");
    let mut writer = fixture.log.fenced(&fixture.name("publisher-0")).unwrap();
    let outputs = [(&place(0), "a"), (&place(1), "b"), (&place(0), "c")];
    writer.write(batch(&fixture, &outputs, &input, 4)).unwrap();
    writer.write(batch(&fixture, &[(&place(1), "d")], &input, 6)).unwrap();
    assert_eq!(fixture.values(&place(0), Isolation::Committed), ["a", "c"]);
    assert_eq!(fixture.values(&place(1), Isolation::Committed), ["b", "d"]);
    let committed = fixture.log.committed(&fixture.name("publisher"), &input).unwrap();
    assert_eq!(committed, Some(progress(6, "pair 6")));
}

/// When input had nothing to say.
pub fn a_batch_with_progress_alone_counts(fixture: Fixture) {
    let input = fixture.partition("facts");
    let mut writer = fixture.log.fenced(&fixture.name("publisher-0")).unwrap();
    writer.write(batch(&fixture, &[], &input, 9)).unwrap();
    let committed = fixture.log.committed(&fixture.name("publisher"), &input).unwrap();
    assert_eq!(committed, Some(progress(9, "pair 9")));
}

/// Neither the outputs before the one that was refused, nor the progress.
pub fn a_refused_batch_leaves_nothing(fixture: Fixture) {
    let place = fixture.partition("events");
    let input = fixture.partition("facts");
    let identity = fixture.name("publisher-0");
    let mut writer = fixture.log.fenced(&identity).unwrap();
    writer.write(batch(&fixture, &[(&place, "before")], &input, 1)).unwrap();
    let large = "x".repeat(fixture.record_bytes_max + 1);
    let refused = writer.write(batch(&fixture, &[(&place, "half"), (&place, &large)], &input, 3));
    assert_eq!(refused.unwrap_err().kind(), LogErrorKind::RecordTooLarge);
    drop(writer);
    let committed = || fixture.log.committed(&fixture.name("publisher"), &input).unwrap();

    let mut writer = fixture.log.fenced(&identity).unwrap();
    assert_eq!(committed(), Some(progress(1, "pair 1")));
    writer.write(batch(&fixture, &[(&place, "after")], &input, 2)).unwrap();
    assert_eq!(fixture.values(&place, Isolation::Committed), ["before", "after"]);
    assert_eq!(committed(), Some(progress(2, "pair 2")));
}

/// Even when it never heard of the newer one.
pub fn an_older_holder_is_fenced_and_leaves_nothing(fixture: Fixture) {
    let place = fixture.partition("events");
    let input = fixture.partition("facts");
    let identity = fixture.name("publisher-0");
    let mut older = fixture.log.fenced(&identity).unwrap();
    older.write(batch(&fixture, &[(&place, "old")], &input, 1)).unwrap();
    let mut newer = fixture.log.fenced(&identity).unwrap();
    for _ in 0..2 {
        let refused = older.write(batch(&fixture, &[(&place, "zombie")], &input, 7)).unwrap_err();
        assert_eq!(refused.kind(), LogErrorKind::Fenced);
    }
    newer.write(batch(&fixture, &[(&place, "new")], &input, 2)).unwrap();
    assert_eq!(fixture.values(&place, Isolation::Committed), ["old", "new"]);
    let committed = fixture.log.committed(&fixture.name("publisher"), &input).unwrap();
    assert_eq!(committed, Some(progress(2, "pair 2")));
}

/// Each has its own newest holder.
pub fn identities_do_not_disturb_each_other(fixture: Fixture) {
    let place = fixture.partition("events");
    let input = fixture.partition("facts");
    let mut one = fixture.log.fenced(&fixture.name("publisher-0")).unwrap();
    let mut other = fixture.log.fenced(&fixture.name("publisher-1")).unwrap();
    one.write(batch(&fixture, &[(&place, "a")], &input, 1)).unwrap();
    other.write(batch(&fixture, &[(&place, "b")], &input, 2)).unwrap();
    one.write(batch(&fixture, &[(&place, "c")], &input, 3)).unwrap();
    assert_eq!(fixture.values(&place, Isolation::Committed), ["a", "b", "c"]);
}

/// Offsets rise, though a log may use some for itself.
pub fn batches_show_in_order_beside_plain_appends(fixture: Fixture) {
    let place = fixture.partition("events");
    let input = fixture.partition("facts");
    let mut writer = fixture.log.fenced(&fixture.name("publisher-0")).unwrap();
    writer.write(batch(&fixture, &[(&place, "a"), (&place, "b")], &input, 1)).unwrap();
    fixture.append(&place, numbered("plain", 0..2));
    writer.write(batch(&fixture, &[(&place, "c")], &input, 2)).unwrap();
    let expected = ["a", "b", "plain0", "plain1", "c"];
    for isolation in [Isolation::Committed, Isolation::Uncommitted] {
        let records = fixture.read(&place, 0, isolation);
        assert_eq!(records.iter().map(value_of).collect::<Vec<_>>(), expected);
        let offsets = offsets_of(&records);
        assert!(offsets.is_sorted_by(|one, next| one < next), "{offsets:?}");
        let high = fixture.log.watermarks(&place).unwrap().high;
        assert!(offsets.iter().all(|offset| *offset < high), "{offsets:?} below {high}");
    }
}
