//! Records of the log.

use cityevents_domain::ids::{CommandId, EventId};
use cityevents_domain::registration::Registration;
use cityevents_fuzz::Seen;
use cityevents_fuzz::values::{
    bytes, command, event, fact, maybe, number, offset, outcome, refusal, registration, text, time,
    user,
};
use cityevents_schemas::message::{
    Closed, ClosedVerdict, Genesis, Link, Reply, ReplyVerdict, decode_command, decode_event,
    decode_link, decode_registration, decode_reply, encode_command, encode_event, encode_link,
    encode_registration, encode_reply,
};
use cityevents_schemas::rfc3339;
use cityevents_trace::{TraceParent, is_valid_state};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::{fuzz, reads_back};

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

#[test]
fn commands_are_read_or_refused() {
    fuzz(
        "schemas decode_command",
        |rng| encoded(|out| encode_command(&command(rng), out)),
        |input| {
            let write = |value: &_| encoded(|out| encode_command(value, out));
            reads_back(decode_command(input), write, decode_command)
        },
    );
}

fn closed(rng: &mut SmallRng) -> Closed {
    Closed {
        offset: offset(rng),
        command: maybe(rng, |rng| CommandId::from_bytes(bytes(rng))),
        event: maybe(rng, |rng| EventId::from_bytes(bytes(rng))),
        user: maybe(rng, user),
        verdict: match rng.random_range(0..3) {
            0 => ClosedVerdict::Refused(refusal(rng)),
            1 => ClosedVerdict::Unchanged(outcome(rng)),
            _ => ClosedVerdict::Undecodable,
        },
    }
}

fn link(rng: &mut SmallRng) -> Link {
    Link {
        fact: maybe(rng, fact),
        closed: (0..rng.random_range(0..4)).map(|_| closed(rng)).collect(),
        genesis: maybe(rng, |rng| Genesis { topic_id: text(rng), first_offset: offset(rng) }),
        at: time(rng),
    }
}

fn write_link(link: &Link) -> Vec<u8> {
    let Link { fact, closed, genesis, at } = link;
    encoded(|out| encode_link(fact.as_ref(), closed, genesis.as_ref(), *at, out))
}

#[test]
fn links_are_read_or_refused() {
    fuzz(
        "schemas decode_link",
        |rng| write_link(&link(rng)),
        |input| reads_back(decode_link(input), write_link, decode_link),
    );
}

fn reply(rng: &mut SmallRng) -> Reply {
    Reply {
        command: CommandId::from_bytes(bytes(rng)),
        event: maybe(rng, |rng| EventId::from_bytes(bytes(rng))),
        verdict: match rng.random_range(0..4) {
            0 => ReplyVerdict::Accepted(outcome(rng)),
            1 => ReplyVerdict::Unchanged(outcome(rng)),
            2 => ReplyVerdict::Refused(refusal(rng)),
            _ => ReplyVerdict::Undecodable,
        },
        at: time(rng),
        partition: number(rng),
        link_offset: maybe(rng, offset),
    }
}

#[test]
fn replies_are_read_or_refused() {
    fuzz(
        "schemas decode_reply",
        |rng| encoded(|out| encode_reply(&reply(rng), out)),
        |input| {
            let write = |value: &_| encoded(|out| encode_reply(value, out));
            reads_back(decode_reply(input), write, decode_reply)
        },
    );
}

#[test]
fn flat_events_are_read_or_refused() {
    fuzz(
        "schemas decode_event",
        |rng| encoded(|out| encode_event(&event(rng), out)),
        |input| {
            let write = |value: &_| encoded(|out| encode_event(value, out));
            reads_back(decode_event(input), write, decode_event)
        },
    );
}

fn write_registration(event: &EventId, registration: &Registration) -> Vec<u8> {
    encoded(|out| encode_registration(event, registration, out))
}

#[test]
fn flat_registrations_are_read_or_refused() {
    fuzz(
        "schemas decode_registration",
        |rng| write_registration(&EventId::from_bytes(bytes(rng)), &registration(rng)),
        |input| {
            let read = decode_registration(input);
            reads_back(
                read,
                |row| write_registration(&row.event, &row.registration),
                decode_registration,
            )
        },
    );
}

#[test]
fn times_in_text_are_read_or_refused() {
    fuzz(
        "schemas rfc3339",
        |rng| {
            let at = cityevents_domain::time::Timestamp::from_millis(
                rng.random_range(0..4_000_000_000_000),
            );
            rfc3339::Rfc3339::new(at).as_str().as_bytes().to_vec()
        },
        |input| {
            let text = String::from_utf8_lossy(input);
            let write = |at: &_| rfc3339::Rfc3339::new(*at).as_str().as_bytes().to_vec();
            let read = |bytes: &[u8]| rfc3339::parse(&String::from_utf8_lossy(bytes)).ok_or(());
            reads_back(read(text.as_bytes()), write, read)
        },
    );
}

#[test]
fn trace_headers_are_read_or_refused() {
    fuzz(
        "schemas trace parent",
        |rng| {
            let (trace, span) = (rng.random_range(1..u128::MAX), rng.random_range(1..u64::MAX));
            format!("00-{trace:032x}-{span:016x}-{:02x}", rng.random::<u8>() & 1).into_bytes()
        },
        |input| {
            let text = String::from_utf8_lossy(input);
            let _ = is_valid_state(&text);
            Ok(Seen::of(TraceParent::parse(&text).is_some()))
        },
    );
}
