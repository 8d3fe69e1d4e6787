//! The rule, link by link.

use bytes::Bytes;

use super::*;

fn record(offset: u64, value: &'static [u8], headers: HeadersBuilder) -> Record {
    Record {
        offset,
        timestamp_ms: 0,
        key: None,
        value: Some(Bytes::from_static(value)),
        headers: headers.build(),
    }
}

fn genesis() -> Record {
    let mut headers = HeadersBuilder::default();
    ChainWriter::genesis("id", 0, b"genesis", &mut headers);
    record(0, b"genesis", headers)
}

fn started() -> (ChainReader, ChainWriter) {
    let mut reader = ChainReader::default();
    assert_eq!(reader.accept(&genesis()), Linked::Genesis);
    let writer = ChainWriter::new(reader.cursor().unwrap(), 1);
    (reader, writer)
}

fn link(writer: &mut ChainWriter, offset: u64, value: &'static [u8]) -> Record {
    let mut headers = HeadersBuilder::default();
    writer.link(offset, value, &mut headers);
    record(offset + 1, value, headers)
}

fn made(offset: u64, make: impl FnOnce(&mut HeadersBuilder)) -> Record {
    let mut headers = HeadersBuilder::default();
    make(&mut headers);
    record(offset, b"value", headers)
}

#[test]
fn carried_links_stand_before_all_others_and_nothing_is_decided_before_they_are_sealed() {
    let mut reader = ChainReader::default();
    let genesis = made(0, |headers| ChainWriter::genesis_to_carry("id", b"value", headers));
    assert_eq!(reader.accept(&genesis), Linked::Genesis);
    let begun = reader.cursor().unwrap();
    assert!(begun.is_carrying());
    assert_eq!((begun.next_command(), Cursor::parse(&begun.to_text())), (0, Some(begun)));
    let mut writer = ChainWriter::new(begun, 1);
    let carried = made(1, |headers| writer.carry(b"value", headers));
    assert_eq!(reader.accept(&carried), Linked::Carried);
    // Somebody who would decide already, from what is here so far.
    let mut early = ChainWriter::new(reader.cursor().unwrap(), 2);
    let decided = made(2, |headers| early.link(0, b"value", headers));
    assert_eq!(reader.accept(&decided), Linked::Dropped(DropReason::OtherHistory));
    let seal = made(3, |headers| writer.seal(b"value", headers));
    let before = [&genesis, &carried, &decided, &seal].map(is_before_seal);
    assert_eq!(before, [true, true, false, false]);
    let late = made(4, |headers| writer.carry(b"value", headers));
    assert_eq!(reader.accept(&seal), Linked::Carried);
    assert_eq!(reader.cursor().map(|cursor| cursor.offset), Some(-1));
    assert_eq!(reader.accept(&carried), Linked::Dropped(DropReason::Behind));
    assert_eq!(reader.accept(&late), Linked::Dropped(DropReason::OtherHistory));
    let mut writer = ChainWriter::new(reader.cursor().unwrap(), 5);
    let decided = made(5, |headers| writer.link(0, b"value", headers));
    assert_eq!(reader.accept(&decided), Linked::Link);
}

#[test]
fn behind_the_end_of_a_chain_nothing_counts() {
    let (mut reader, mut writer) = started();
    let mut other = ChainWriter::new(writer.tip(), 1);
    let end = made(1, |headers| writer.end(b"value", headers));
    assert_eq!(reader.accept(&end), Linked::Link);
    let ended = reader.cursor().unwrap();
    assert!(ended.is_ended());
    assert_eq!(Cursor::parse(&ended.to_text()), Some(ended));
    // Who did not know of it, and who does.
    for writer in [&mut other, &mut writer] {
        let link = made(2, |headers| writer.link(7, b"value", headers));
        assert!(matches!(reader.accept(&link), Linked::Dropped(_)));
    }
}

#[test]
fn links_in_order_count_and_repeated_ones_do_not() {
    let (mut reader, mut writer) = started();
    let first = link(&mut writer, 0, b"a");
    let second = link(&mut writer, 4, b"b");
    assert_eq!(reader.accept(&second), Linked::Dropped(DropReason::Ahead));
    assert_eq!(reader.accept(&first), Linked::Link);
    assert_eq!(reader.accept(&first), Linked::Dropped(DropReason::Behind));
    assert_eq!(reader.accept(&second), Linked::Link);
    assert_eq!(reader.accept(&genesis()), Linked::Dropped(DropReason::Behind));
    assert_eq!(reader.cursor(), Some(writer.tip()));
    assert_eq!(writer.tip().next_command(), 5);
}

#[test]
fn of_two_histories_the_first_linked_wins_for_ever() {
    let (mut reader, mut writer) = started();
    let (_, mut other) = started();
    let mine = link(&mut writer, 0, b"mine");
    let theirs = link(&mut other, 0, b"theirs");
    let theirs_after = link(&mut other, 1, b"more");
    assert_eq!(reader.accept(&mine), Linked::Link);
    assert_eq!(reader.accept(&theirs), Linked::Dropped(DropReason::Behind));
    let verdict = reader.accept(&theirs_after);
    assert_eq!(verdict, Linked::Dropped(DropReason::OtherHistory));
}

#[test]
fn a_changed_value_is_another_history() {
    let (mut reader, mut writer) = started();
    let mut changed = link(&mut writer, 0, b"a");
    changed.value = Some(Bytes::from_static(b"b"));
    assert_eq!(reader.accept(&changed), Linked::Dropped(DropReason::OtherHistory));
}

#[test]
fn the_first_acknowledgement_must_be_the_watermark_and_each_later_one_the_next() {
    for offsets in [[Some(2), Some(3)], [Some(1), Some(3)], [Some(1), None], [Some(1), Some(1)]] {
        let (_, mut writer) = started();
        let _records = [link(&mut writer, 0, b"a"), link(&mut writer, 1, b"b")];
        let verdicts = offsets.map(|offset| writer.acknowledge(offset));
        assert!(verdicts.contains(&Acknowledged::Gap), "{offsets:?}");
        assert!(writer.has_gap());
    }
    let (_, mut writer) = started();
    let _records = [link(&mut writer, 0, b"a"), link(&mut writer, 1, b"b")];
    assert_ne!(writer.acknowledge(Some(1)), Acknowledged::Gap);
    assert_ne!(writer.acknowledge(Some(2)), Acknowledged::Gap);
    assert_eq!(writer.acknowledged(), writer.tip());
}

#[test]
fn nothing_after_a_gap_is_contiguous_until_it_was_read() {
    let (_, mut writer) = started();
    let _records = [link(&mut writer, 0, b"a"), link(&mut writer, 1, b"b")];
    assert_eq!(writer.acknowledge(Some(5)), Acknowledged::Gap);
    assert_eq!(writer.acknowledge(Some(2)), Acknowledged::Gap);
    assert!(!writer.reconcile(writer.acknowledged(), 7));
    let tip = writer.tip();
    assert!(writer.reconcile(tip, 7));
    assert_eq!(writer.expected_offset(), 7);
}

#[test]
fn a_cursor_reads_back_from_its_text() {
    let (reader, _) = started();
    let cursor = reader.cursor().unwrap();
    assert_eq!(Cursor::parse(&cursor.to_text()), Some(cursor));
    for text in ["", "1", "1:00", "x:000102030405060708090a0b0c0d0e0f"] {
        assert_eq!(Cursor::parse(text), None, "{text}");
    }
}
