//! Topics: made once, described as they are.

use std::time::Duration;

use super::{BRIEF, Fixture, text};
use crate::log::{Cleanup, Isolation, LogErrorKind, TimestampKind, TopicPartition, TopicSpec};

/// Specifications, ids and the order of the list.
pub fn a_topic_is_described_as_it_was_made(fixture: Fixture) {
    let spec = |name: &str, partitions, cleanup, timestamps, durable| TopicSpec {
        name: fixture.name(name).into(),
        partitions,
        cleanup,
        timestamps,
        durable,
    };
    let week = Some(Duration::from_secs(7 * 24 * 60 * 60));
    let specs = [
        spec("b-kept", 3, Cleanup::Delete { retention: None }, TimestampKind::LogAppend, true),
        spec("c-aged", 1, Cleanup::Delete { retention: week }, TimestampKind::Create, false),
        spec("a-compact", 2, Cleanup::Compact, TimestampKind::LogAppend, true),
    ];
    let made: Vec<_> = specs.iter().map(|spec| fixture.log.create_topic(spec).unwrap()).collect();
    for (spec, description) in specs.iter().zip(&made) {
        assert_eq!(*spec, description.spec);
        assert_eq!(fixture.log.describe(&spec.name).unwrap(), *description);
    }
    let ours = |name: &str| name.starts_with(&fixture.prefix);
    let listed = fixture.log.topics().unwrap().into_iter().map(|topic| topic.spec.name);
    let listed: Vec<_> = listed.filter(|name| ours(name)).collect();
    let expected = [&specs[2].name, &specs[0].name, &specs[1].name].map(Clone::clone);
    assert_eq!(listed, expected, "topics are listed by name");
}

/// A second topic of one name is refused and changes nothing.
pub fn a_topic_is_made_once(fixture: Fixture) {
    let name = fixture.topic("once", 2);
    let before = fixture.log.describe(&name).unwrap();
    let again = TopicSpec { partitions: 5, ..before.spec.clone() };
    let refused = fixture.log.create_topic(&again).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::TopicExists);
    assert_eq!(fixture.log.describe(&name).unwrap(), before);
}

/// Ids tell topics apart.
pub fn topics_have_different_ids(fixture: Fixture) {
    let one = fixture.topic("one", 1);
    let other = fixture.topic("other", 1);
    let id = |name: &str| fixture.log.describe(name).unwrap().id;
    assert_ne!(id(&one), id(&other));
    assert!(!id(&one).is_empty());
}

/// Whatever names a topic that is not there is refused.
pub fn an_unknown_topic_is_refused(fixture: Fixture) {
    refuses(&fixture, &TopicPartition::new(fixture.name("nowhere"), 0));
    let name = fixture.name("nowhere");
    let refused = fixture.log.describe(&name).unwrap_err();
    assert_eq!(refused.kind(), LogErrorKind::UnknownTopic);
    let joined = fixture.log.join(&fixture.name("group"), &[name.into()], "member");
    assert_eq!(joined.err().map(|error| error.kind()), Some(LogErrorKind::UnknownTopic));
}

/// So is a partition beyond those that the topic has.
pub fn an_unknown_partition_is_refused(fixture: Fixture) {
    let topic = fixture.topic("small", 2);
    refuses(&fixture, &TopicPartition::new(topic, 2));
}

fn refuses(fixture: &Fixture, place: &TopicPartition) {
    let watermarks = fixture.log.watermarks(place);
    assert_eq!(watermarks.unwrap_err().kind(), LogErrorKind::UnknownTopic);
    let reader = fixture.log.reader(place, 0, Isolation::Uncommitted);
    assert_eq!(reader.err().map(|error| error.kind()), Some(LogErrorKind::UnknownTopic));

    // An adapter may know at once, or hear of it from its log.
    let mut producer = fixture.log.producer("contract").unwrap();
    let refused = match producer.append(place, vec![text("key", "value")]) {
        Err(error) => error,
        Ok(_) => fixture.eventually("the refusal of an append", || {
            let mut out = Vec::new();
            producer.poll(BRIEF, &mut out).unwrap();
            out.pop().map(|delivery| delivery.result.unwrap_err())
        }),
    };
    assert_eq!(refused.kind(), LogErrorKind::UnknownTopic);
}
