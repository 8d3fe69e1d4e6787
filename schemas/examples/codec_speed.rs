//! Measures the codecs against apache-avro, with a join as the record:
//! `cargo run --release -p cityevents-schemas --example codec_speed`.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::Counters;
use cityevents_domain::fact::{Change, Fact, Outcome};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::{Registration, RegistrationCause, RegistrationStatus};
use cityevents_domain::time::Timestamp;
use cityevents_schemas::message::{
    Reply, ReplyVerdict, decode_command, decode_link, decode_reply, encode_command, encode_link,
    encode_reply,
};
use cityevents_schemas::{HEADER_BYTES, Record, Wire, wire};

/// Rounds of which the best counts, and calls in each: short, so that some run undisturbed.
const ROUNDS: u32 = 400;
const CALLS: u32 = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let at = Timestamp::from_millis(1_790_000_000_000);
    let user = UserId::from_bytes([2; 16]);
    let event = EventId::from_bytes([1; 16]);
    let actor = Actor::Person { user, role: Role::User };
    let (id, digest) = (CommandId::from_bytes([3; 16]), 0x9e37_79b9_7f4a_7c15);
    let command = Command { id, digest, event, actor, kind: CommandKind::Join };
    let status = RegistrationStatus::Active;
    let outcome = Outcome::Registration { user, status, position: None, updated_at: at };
    let registration = Registration {
        user,
        status,
        joined_at: at,
        updated_at: at,
        ticket: None,
        checked_in_at: None,
    };
    let cause = RegistrationCause::Joined;
    let fact = Fact {
        event,
        event_seq: 4_711,
        command: id,
        command_digest: digest,
        at,
        actor,
        changes: vec![Change::Registration { cause, registration, position: None, reason: None }],
        counters: Counters { active: 321, waiting: 0, checked_in: 0 },
        outcome: outcome.clone(),
    };
    let reply = Reply {
        command: id,
        event: Some(event),
        verdict: ReplyVerdict::Accepted(outcome),
        at,
        partition: 7,
        link_offset: Some(123_456),
    };

    let mut out = Vec::with_capacity(1_024);
    encode_command(&command, &mut out);
    let command_bytes = out.clone();
    out.clear();
    encode_link(Some(&fact), &[], None, at, &mut out);
    let link_bytes = out.clone();
    out.clear();
    encode_reply(&reply, &mut out);
    let reply_bytes = out.clone();

    println!("ns a record                      encode   decode");
    let encode = best(|| clearing(&mut out, |out| encode_command(black_box(&command), out)));
    row("command", encode, best(|| decode_command(black_box(&command_bytes))));
    let encode = best(|| {
        clearing(&mut out, |out| encode_link(Some(black_box(&fact)), &[], None, at, out));
    });
    row("link with a fact", encode, best(|| decode_link(black_box(&link_bytes))));
    let encode = best(|| clearing(&mut out, |out| encode_reply(black_box(&reply), out)));
    row("reply", encode, best(|| decode_reply(black_box(&reply_bytes))));

    wire_row("wire: command", &command_bytes, &mut out, wire::EventCommand::decode)?;
    wire_row("wire: link", &link_bytes, &mut out, wire::EventFact::decode)?;
    wire_row("wire: reply", &reply_bytes, &mut out, wire::CommandReply::decode)?;

    for (name, record, bytes) in [
        ("apache-avro: command", Record::EventCommand, &command_bytes),
        ("apache-avro: link", Record::EventFact, &link_bytes),
        ("apache-avro: reply", Record::CommandReply, &reply_bytes),
    ] {
        let schema = Schema::parse_str(record.source())?;
        let body = &bytes[HEADER_BYTES..];
        let value = from_avro_datum(&schema, &mut &body[..], None)?;
        // What a caller with a struct of its own would pay is not in it: the value is ready.
        let clone = best(|| black_box(&value).clone());
        let encode = best(|| to_avro_datum(&schema, black_box(&value).clone())) - clone;
        let decode = best(|| from_avro_datum(&schema, &mut black_box(body), None));
        row(name, encode, decode);
    }
    Ok(())
}

fn wire_row<'a, T: Wire<'a>>(
    name: &str,
    bytes: &'a [u8],
    out: &mut Vec<u8>,
    decode: impl Fn(&mut &'a [u8]) -> Result<T, cityevents_schemas::DecodeError>,
) -> Result<(), Box<dyn Error>> {
    let body = &bytes[HEADER_BYTES..];
    let record = decode(&mut &body[..])?;
    let encode = best(|| clearing(out, |out| black_box(&record).encode(out)));
    row(name, encode, best(|| decode(&mut black_box(body))));
    Ok(())
}

fn clearing(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.clear();
    write(out);
    black_box(out);
}

fn row(name: &str, encode: f64, decode: f64) {
    println!("{name:30} {encode:8.1} {decode:8.1}");
}

/// Nanoseconds a call in the best round.
fn best<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        least = least.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    least
}
