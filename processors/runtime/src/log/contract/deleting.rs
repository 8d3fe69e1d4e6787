//! Topics that go and come again, for logs that delete them ([`Fixture::delete_topic`]).

use super::{BRIEF, Fixture, NO_LIMIT, numbered};
use crate::log::{Isolation, LogErrorKind, TopicPartition};

fn delete(fixture: &Fixture, topic: &str) {
    fixture.delete_topic.as_ref().expect("this group needs a log that deletes topics")(topic);
}

/// So whoever stored its id notices, and finds nothing of the topic before.
pub fn a_topic_made_anew_has_another_id_and_begins_at_zero(fixture: Fixture) {
    let topic = fixture.topic("orders", 1);
    let place = TopicPartition::new(topic.clone(), 0);
    fixture.append(&place, numbered("old", 0..3));
    let before = fixture.log.describe(&topic).unwrap();
    delete(&fixture, &topic);
    let gone = fixture.log.describe(&topic).unwrap_err();
    assert_eq!(gone.kind(), LogErrorKind::UnknownTopic);

    let after = fixture.log.create_topic(&before.spec).unwrap();
    assert_ne!(after.id, before.id);
    assert_eq!(after.spec, before.spec);
    assert_eq!(fixture.append(&place, numbered("new", 0..1)), [0]);
    assert_eq!(fixture.values(&place, Isolation::Uncommitted), ["new0"]);
}

/// They do not wait for ever.
pub fn readers_of_a_deleted_topic_fail(fixture: Fixture) {
    let place = fixture.partition("orders");
    let mut reader = fixture.log.reader(&place, 0, Isolation::Uncommitted).unwrap();
    delete(&fixture, &place.topic);
    let mut out = Vec::new();
    let failed = fixture
        .eventually("the failure of a reader", || reader.poll(NO_LIMIT, BRIEF, &mut out).err());
    assert_eq!(failed.kind(), LogErrorKind::UnknownTopic);
}
