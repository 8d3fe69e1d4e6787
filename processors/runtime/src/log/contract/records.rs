//! Records: offsets, order, content, stamps.

use bytes::Bytes;

use super::{Fixture, NO_LIMIT, numbered, offsets_of, text, value_of};
use crate::log::headers::HeadersBuilder;
use crate::log::{Cleanup, Isolation, LogErrorKind, Outgoing, TimestampKind, TopicPartition};

const KEPT: Cleanup = Cleanup::Delete { retention: None };

/// Over several appends of several records.
pub fn offsets_rise_by_one_from_zero_and_the_order_is_kept(fixture: Fixture) {
    let place = fixture.partition("orders");
    let mut producer = fixture.log.producer("contract").unwrap();
    assert_eq!(fixture.append_with(&mut *producer, &place, numbered("v", 0..3)), [0, 1, 2]);
    assert_eq!(fixture.append_with(&mut *producer, &place, numbered("v", 3..4)), [3]);
    assert_eq!(fixture.append(&place, numbered("v", 4..6)), [4, 5]);
    let records = fixture.read(&place, 0, Isolation::Uncommitted);
    assert_eq!(offsets_of(&records), [0, 1, 2, 3, 4, 5]);
    let values: Vec<_> = records.iter().map(value_of).collect();
    assert_eq!(values, ["v0", "v1", "v2", "v3", "v4", "v5"]);
}

/// What one partition gets does not show in another.
pub fn partitions_count_their_offsets_apart(fixture: Fixture) {
    let topic = fixture.topic("orders", 3);
    let place = |number| TopicPartition::new(topic.clone(), number);
    assert_eq!(fixture.append(&place(2), numbered("c", 0..2)), [0, 1]);
    assert_eq!(fixture.append(&place(0), numbered("a", 0..1)), [0]);
    assert_eq!(fixture.append(&place(2), numbered("c", 2..3)), [2]);
    assert_eq!(fixture.values(&place(0), Isolation::Uncommitted), ["a0"]);
    assert_eq!(fixture.values(&place(1), Isolation::Uncommitted), [""; 0]);
    assert_eq!(fixture.values(&place(2), Isolation::Uncommitted), ["c0", "c1", "c2"]);
}

/// Over two partitions at once.
pub fn tickets_count_from_zero_and_deliveries_follow_them(fixture: Fixture) {
    let topic = fixture.topic("orders", 2);
    let place = |number| TopicPartition::new(topic.clone(), number);
    let mut producer = fixture.log.producer("contract").unwrap();
    assert_eq!(producer.in_flight(), 0);
    assert_eq!(producer.append(&place(0), numbered("a", 0..2)).unwrap(), 0);
    assert_eq!(producer.append(&place(1), numbered("b", 0..3)).unwrap(), 2);
    assert_eq!(producer.append(&place(0), numbered("a", 2..3)).unwrap(), 5);
    assert_eq!(producer.in_flight(), 6, "nothing is delivered before a poll");

    let mut offset_of_ticket = [None; 6];
    let mut order = Vec::new();
    for delivery in fixture.deliveries(&mut *producer) {
        let first_offset = delivery.result.unwrap().unwrap();
        for index in 0..delivery.count {
            let ticket = (delivery.first_ticket + index) as usize;
            order.push(ticket);
            assert_eq!(offset_of_ticket[ticket], None, "ticket {ticket} is delivered once");
            offset_of_ticket[ticket] = Some(first_offset + index);
        }
    }
    assert_eq!(offset_of_ticket, [0, 1, 0, 1, 2, 2].map(Some));
    let of_partition = |tickets: &[usize]| -> Vec<usize> {
        order.iter().copied().filter(|ticket| tickets.contains(ticket)).collect()
    };
    assert_eq!(of_partition(&[0, 1, 5]), [0, 1, 5]);
    assert_eq!(of_partition(&[2, 3, 4]), [2, 3, 4]);
}

/// Whatever the order among them.
pub fn several_producers_interleave_and_each_keeps_its_order(fixture: Fixture) {
    let place = fixture.partition("orders");
    let names = ["a", "b", "c"];
    let mut producers = names.map(|name| fixture.log.producer(name).unwrap());
    for round in 0..10 {
        for (producer, name) in producers.iter_mut().zip(names) {
            producer.append(&place, numbered(name, round * 2..round * 2 + 2)).unwrap();
        }
    }
    for producer in &mut producers {
        let deliveries = fixture.deliveries(&mut **producer);
        assert_eq!(deliveries.iter().map(|delivery| delivery.count).sum::<u64>(), 20);
        assert!(deliveries.iter().all(|delivery| delivery.result.is_ok()));
    }
    let records = fixture.read(&place, 0, Isolation::Uncommitted);
    assert_eq!(offsets_of(&records), (0..60).collect::<Vec<_>>());
    for name in names {
        let own = records.iter().filter(|record| record.key.as_deref() == Some(name.as_bytes()));
        let expected: Vec<_> = (0..20).map(|number| format!("{name}{number}")).collect();
        assert_eq!(own.map(value_of).collect::<Vec<_>>(), expected);
    }
}

/// An acknowledgement never comes before the record can be seen.
pub fn an_acknowledged_record_can_be_read_at_once(fixture: Fixture) {
    let place = fixture.partition("orders");
    let mut producer = fixture.log.producer("contract").unwrap();
    for number in 0..50 {
        let value = format!("v{number}");
        let offsets = fixture.append_with(&mut *producer, &place, vec![text("k", &value)]);
        assert_eq!(offsets, [number]);
        let high = fixture.log.watermarks(&place).unwrap().high;
        assert_eq!(high, number + 1, "the watermark knows of it");
        let mut reader = fixture.log.reader(&place, number, Isolation::Uncommitted).unwrap();
        let mut out = Vec::new();
        reader.poll(NO_LIMIT, fixture.patience, &mut out).unwrap();
        assert_eq!(out.iter().map(value_of).collect::<Vec<_>>(), [value]);
    }
}

/// Absent is not empty.
pub fn keys_values_and_headers_come_back_as_they_were(fixture: Fixture) {
    let place = fixture.partition("orders");
    let all_bytes: Vec<u8> = (0..=255).collect();
    let mut headers = HeadersBuilder::default();
    headers.push("link", &all_bytes).push("empty", b"").push("twice", b"1").push("twice", b"2");
    let headers = headers.build();
    let contents = [
        (None, None),
        (Some(&b""[..]), Some(&b""[..])),
        (None, Some(&b"value"[..])),
        (Some(&b"key"[..]), None),
        (Some(&all_bytes[..]), Some(&all_bytes[..])),
    ];
    let mut sent = Vec::new();
    for (key, value) in contents {
        let key = key.map(Bytes::copy_from_slice);
        let value = value.map(Bytes::copy_from_slice);
        let plain = Outgoing { key, value, ..Outgoing::default() };
        sent.push(Outgoing { headers: headers.clone(), ..plain.clone() });
        sent.push(plain);
    }
    fixture.append(&place, sent.clone());
    let records = fixture.read(&place, 0, Isolation::Uncommitted);
    assert_eq!(records.len(), sent.len());
    for (record, sent) in records.iter().zip(&sent) {
        assert_eq!(record.key, sent.key);
        assert_eq!(record.value, sent.value);
        assert_eq!(record.headers, sent.headers);
    }
}

/// Whatever the producer says, and never back.
pub fn the_log_stamps_records_itself_where_it_should(fixture: Fixture) {
    let place = fixture.partition("orders");
    for _ in 0..5 {
        let stamped = Outgoing { timestamp_ms: Some(5), ..text("k", "v") };
        fixture.append(&place, vec![stamped.clone(), stamped]);
    }
    let records = fixture.read(&place, 0, Isolation::Uncommitted);
    let stamps: Vec<_> = records.iter().map(|record| record.timestamp_ms).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
    assert!(!stamps.contains(&5), "{stamps:?}");
}

/// Back too.
pub fn the_producer_stamps_records_where_it_should(fixture: Fixture) {
    let topic = fixture.topic_with("orders", 1, KEPT, TimestampKind::Create);
    let place = TopicPartition::new(topic, 0);
    let stamps = [1_700_000_000_500, 1_700_000_000_000, 1_700_000_000_900];
    let stamped = |stamp| Outgoing { timestamp_ms: Some(stamp), ..text("k", "v") };
    fixture.append(&place, stamps.map(stamped).to_vec());
    let records = fixture.read(&place, 0, Isolation::Uncommitted);
    assert_eq!(records.iter().map(|record| record.timestamp_ms).collect::<Vec<_>>(), stamps);
}

/// By the append or by its delivery, and nothing of it shows.
pub fn a_record_larger_than_the_log_takes_is_refused(fixture: Fixture) {
    let place = fixture.partition("orders");
    let large = text("k", &"x".repeat(fixture.record_bytes_max + 1));
    let mut producer = fixture.log.producer("contract").unwrap();
    let refused = match producer.append(&place, vec![large]) {
        Err(error) => error,
        Ok(_) => fixture.deliveries(&mut *producer).remove(0).result.unwrap_err(),
    };
    assert_eq!(refused.kind(), LogErrorKind::RecordTooLarge);
    drop(producer);
    assert_eq!(fixture.append(&place, numbered("v", 0..1)), [0]);
    assert_eq!(fixture.values(&place, Isolation::Uncommitted), ["v0"]);
}
