//! What is written reads back, and what has no meaning is a named error.

use cityevents_domain::command::CommandKind;
use cityevents_domain::time::Timestamp;
use cityevents_schemas::message::{
    decode_account_change, decode_command, decode_email, decode_engagement, decode_event,
    decode_link, decode_registration, decode_reply, decode_trend, decode_user_signal,
    encode_account_change, encode_command, encode_email, encode_engagement, encode_event,
    encode_link, encode_registration, encode_reply, encode_trend, encode_user_signal,
};
use cityevents_schemas::{Codecs, DecodeError, ErrorClass, Record, Wire, wire};
use proptest::prelude::*;

use crate::generate::{self, check};
use crate::samples;

const CASES: u32 = 300;

#[test]
fn commands_read_back() {
    check(CASES, generate::command(), |command| {
        let mut out = Vec::new();
        encode_command(&command, &mut out);
        prop_assert_eq!(decode_command(&out), Ok(command));
        Ok(())
    });
}

#[test]
fn links_read_back() {
    check(CASES, generate::link(), |link| {
        let mut out = Vec::new();
        encode_link(link.fact.as_ref(), &link.closed, link.genesis.as_ref(), link.at, &mut out);
        prop_assert_eq!(decode_link(&out), Ok(link));
        Ok(())
    });
}

#[test]
fn replies_read_back() {
    check(CASES, generate::reply(), |reply| {
        let mut out = Vec::new();
        encode_reply(&reply, &mut out);
        prop_assert_eq!(decode_reply(&out), Ok(reply));
        Ok(())
    });
}

#[test]
fn flat_rows_read_back() {
    check(CASES, (generate::event(), generate::registration()), |(event, (id, registration))| {
        let mut out = Vec::new();
        encode_event(&event, &mut out);
        prop_assert_eq!(decode_event(&out), Ok(event));
        out.clear();
        encode_registration(&id, &registration, &mut out);
        let row = decode_registration(&out).unwrap();
        prop_assert_eq!((row.event, row.registration), (id, registration));
        Ok(())
    });
}

#[test]
fn account_changes_read_back() {
    check(CASES, generate::account_change(), |change| {
        let mut out = Vec::new();
        encode_account_change(&change, &mut out);
        prop_assert_eq!(decode_account_change(&out), Ok(change));
        Ok(())
    });
}

#[test]
fn mails_read_back() {
    check(CASES, generate::email(), |email| {
        let mut out = Vec::new();
        encode_email(&email, &mut out);
        prop_assert_eq!(decode_email(&out), Ok(email));
        Ok(())
    });
}

#[test]
fn encoding_appends_and_leaves_what_was_there() {
    let mut out = vec![1, 2, 3];
    encode_command(&samples::join(), &mut out);
    assert_eq!(out[..3], [1, 2, 3]);
    assert_eq!(decode_command(&out[3..]), Ok(samples::join()));
}

/// A join as on the wire, to be spoilt.
fn command() -> wire::EventCommand<'static> {
    wire::EventCommand {
        command_id: [3; 16],
        digest: 5,
        event_id: [1; 16],
        user_id: Some([2; 16]),
        role: "user",
        kind: "join",
        create: None,
        update: None,
        withdraw: None,
        person: None,
        tick: None,
        message: None,
    }
}

fn framed<'a>(record: Record, value: &impl Wire<'a>) -> Vec<u8> {
    let mut out = vec![0];
    out.extend_from_slice(&Codecs::builtin().id(record).to_be_bytes());
    value.encode(&mut out);
    out
}

fn command_error(command: &wire::EventCommand<'_>) -> DecodeError {
    decode_command(&framed(Record::EventCommand, command)).unwrap_err()
}

#[test]
fn an_unknown_tag_is_named_and_shortened() {
    let unknown = |field, tag: &str| DecodeError::UnknownTag { field, tag: tag.into() };
    let kind = wire::EventCommand { kind: "dance", ..command() };
    assert_eq!(command_error(&kind), unknown("command kind", "dance"));
    let role = wire::EventCommand { role: "king", ..command() };
    assert_eq!(command_error(&role), unknown("role", "king"));
    let long = "é".repeat(100);
    let kind = wire::EventCommand { kind: &long, ..command() };
    assert_eq!(command_error(&kind), unknown("command kind", &"é".repeat(32)));
    let message = wire::MessageBody { to: "world", subject: "", text: "" };
    let message = wire::EventCommand { kind: "message", message: Some(message), ..command() };
    assert_eq!(command_error(&message), unknown("audience", "world"));
}

#[test]
fn a_tag_without_its_body_is_named() {
    for tag in [
        "create",
        "update",
        "unpublish",
        "cancel",
        "kick",
        "ban",
        "unban",
        "tick",
        "check_in",
        "message",
    ] {
        let error = command_error(&wire::EventCommand { kind: tag, ..command() });
        assert_eq!(error, DecodeError::MissingBody { tag });
        assert_eq!((error.kind(), error.class()), ("missing_body", ErrorClass::Reject));
    }
    let nobody = wire::EventCommand { user_id: None, ..command() };
    assert_eq!(command_error(&nobody), DecodeError::MissingBody { tag: "actor" });
}

#[test]
fn a_body_of_another_kind_is_left_alone() {
    let tick = Some(wire::TickBody { deadline: 1, people_max: 1 });
    let bytes = framed(Record::EventCommand, &wire::EventCommand { tick, ..command() });
    assert_eq!(decode_command(&bytes).map(|command| command.kind.as_str()), Ok("join"));
}

#[test]
fn numbers_out_of_range_are_named() {
    let reply = wire::CommandReply {
        command_id: [3; 16],
        event_id: None,
        verdict: "refused",
        code: Some("version_conflict"),
        detail: Some(1),
        outcome: None,
        at: 0,
        fact_partition: 0,
        fact_offset: Some(0),
    };
    let error = |reply: &wire::CommandReply<'_>| {
        decode_reply(&framed(Record::CommandReply, reply)).unwrap_err()
    };
    let range = |field, value| DecodeError::OutOfRange { field, value };
    let wrong = wire::CommandReply { fact_partition: -1, ..reply.clone() };
    assert_eq!(error(&wrong), range("fact_partition", -1));
    let wrong = wire::CommandReply { fact_offset: Some(-2), ..reply.clone() };
    assert_eq!(error(&wrong), range("fact_offset", -2));
    let wrong = wire::CommandReply { detail: Some(1 << 40), ..reply.clone() };
    assert_eq!(error(&wrong), range("detail", 1 << 40));
    let wrong = wire::CommandReply { detail: None, ..reply.clone() };
    assert_eq!(error(&wrong), DecodeError::MissingBody { tag: "version_conflict" });
    let wrong = wire::CommandReply { code: None, ..reply.clone() };
    assert_eq!(error(&wrong), DecodeError::MissingBody { tag: "refused" });
    let wrong = wire::CommandReply { code: Some("bored"), ..reply };
    assert_eq!(error(&wrong).kind(), "unknown_tag");
}

#[test]
fn a_tick_for_a_number_of_people_that_is_none_is_named() {
    let tick = |people_max| {
        let tick = Some(wire::TickBody { deadline: 1, people_max });
        let command = wire::EventCommand { kind: "tick", tick, ..command() };
        decode_command(&framed(Record::EventCommand, &command)).map(|command| command.kind)
    };
    let range = |value| DecodeError::OutOfRange { field: "people_max", value };
    assert_eq!(tick(-1), Err(range(-1)));
    assert_eq!(tick(65_536), Err(range(65_536)));
    let deadline = Timestamp::from_millis(1);
    assert_eq!(tick(50), Ok(CommandKind::Tick { deadline, people_max: 50 }));
}

#[test]
fn a_flat_row_with_an_id_that_is_none_is_named() {
    let row = wire::Registration {
        event_id: "not-an-id",
        user_id: "01010101-0101-0101-0101-010101010101",
        status: "active",
        joined_at: 0,
        updated_at: 0,
        ticket: None,
        checked_in_at: None,
    };
    let error = decode_registration(&framed(Record::Registration, &row)).unwrap_err();
    assert_eq!(error, DecodeError::InvalidId { field: "event_id" });
}

#[test]
fn a_change_of_an_account_that_makes_no_sense_is_named() {
    let good = wire::AccountChange {
        account_id: "01010101-0101-0101-0101-010101010101",
        version: 1,
        role: "user",
        status: "active",
        revoked_before: None,
        kept_session: None,
        updated_at: 0,
        ended_session: None,
    };
    let error = |change: &wire::AccountChange<'_>| {
        decode_account_change(&framed(Record::AccountChange, change)).unwrap_err()
    };
    let wrong = wire::AccountChange { account_id: "me", ..good.clone() };
    assert_eq!(error(&wrong), DecodeError::InvalidId { field: "account_id" });
    let wrong = wire::AccountChange { kept_session: Some("mine"), ..good.clone() };
    assert_eq!(error(&wrong), DecodeError::InvalidId { field: "kept_session" });
    let wrong = wire::AccountChange { ended_session: Some("mine"), ..good.clone() };
    assert_eq!(error(&wrong), DecodeError::InvalidId { field: "ended_session" });
    let wrong = wire::AccountChange { version: -1, ..good.clone() };
    assert_eq!(error(&wrong), DecodeError::OutOfRange { field: "version", value: -1 });
    for wrong in [
        wire::AccountChange { role: "root", ..good.clone() },
        wire::AccountChange { status: "asleep", ..good.clone() },
    ] {
        assert_eq!(error(&wrong).kind(), "unknown_tag");
    }
    assert!(decode_account_change(&framed(Record::AccountChange, &good)).is_ok());
}

#[test]
fn what_trends_are_made_of_reads_back() {
    check(CASES, generate::engagement(), |engagement| {
        let mut out = Vec::new();
        encode_engagement(&engagement, &mut out);
        prop_assert_eq!(decode_engagement(&out), Ok(engagement));
        Ok(())
    });
    check(CASES, generate::user_signal(), |signal| {
        let mut out = Vec::new();
        encode_user_signal(&signal, &mut out);
        prop_assert_eq!(decode_user_signal(&out), Ok(signal));
        Ok(())
    });
    check(CASES, generate::trend(), |trend| {
        let mut out = Vec::new();
        encode_trend(&trend, &mut out);
        prop_assert_eq!(decode_trend(&out), Ok(trend));
        Ok(())
    });
}

#[test]
fn an_engagement_that_makes_no_sense_is_named() {
    let good = wire::Engagement {
        event_id: [1; 16],
        person_id: [2; 16],
        person_kind: "visitor",
        kind: "view",
        feed_type: None,
        position: None,
        request_id: None,
        at: 0,
    };
    let error = |engagement: &wire::Engagement<'_>| {
        decode_engagement(&framed(Record::Engagement, engagement)).unwrap_err()
    };
    for wrong in [
        wire::Engagement { person_kind: "robot", ..good.clone() },
        wire::Engagement { kind: "click", ..good.clone() },
        wire::Engagement { feed_type: Some("other"), ..good.clone() },
    ] {
        assert_eq!(error(&wrong).kind(), "unknown_tag");
    }
    let wrong = wire::Engagement { position: Some(-1), ..good.clone() };
    assert_eq!(error(&wrong), DecodeError::OutOfRange { field: "position", value: -1 });
    assert!(decode_engagement(&framed(Record::Engagement, &good)).is_ok());
}

#[test]
fn an_unknown_schema_and_another_records_schema_are_named() {
    let mut out = Vec::new();
    encode_command(&samples::join(), &mut out);
    let [unknown, other] = [0xffff_ffff_u32, Codecs::builtin().id(Record::CommandReply)];
    out[1..5].copy_from_slice(&unknown.to_be_bytes());
    assert_eq!(decode_command(&out), Err(DecodeError::UnknownSchema { id: unknown }));
    out[1..5].copy_from_slice(&other.to_be_bytes());
    let (found, expected) = ("CommandReply".into(), "EventCommand");
    assert_eq!(decode_command(&out), Err(DecodeError::WrongRecord { id: other, found, expected }));
    assert_eq!(decode_command(&[]), Err(DecodeError::NotFramed));
    assert_eq!(decode_command(b"\x7b\"a\":1}"), Err(DecodeError::NotFramed));
}
