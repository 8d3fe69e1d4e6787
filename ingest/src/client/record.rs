//! A command as a record of the log.

use bytes::Bytes;
use cityevents_domain::command::Command;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::Outgoing;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::replies::{REPLY_TO_HEADER, ReplyTo};
use cityevents_schemas::cloudevents;
use cityevents_schemas::message::encode_command;
use cityevents_trace::TraceParent;
use uuid::Uuid;

/// Who says so.
const SOURCE: &str = "/cityevents/ingest";
/// Enough for a join, so that its encoding allocates once.
const VALUE_BYTES: usize = 160;
/// Enough for all headers with a trace.
const HEADER_BYTES: usize = 384;

/// The record of a command and its partition.
pub(super) fn to_record(
    command: &Command,
    partitions: u32,
    reply_to: Option<ReplyTo>,
    trace: Option<TraceParent>,
    now: Timestamp,
) -> (u32, Outgoing) {
    let mut key = [0; 36];
    let key = Uuid::from_bytes(*command.event.as_bytes()).as_hyphenated().encode_lower(&mut key);
    let mut id = [0; 36];
    let id = Uuid::from_bytes(*command.id.as_bytes()).as_hyphenated().encode_lower(&mut id);
    let mut value = Vec::with_capacity(VALUE_BYTES);
    encode_command(command, &mut value);
    let mut headers = HeadersBuilder::with_capacity(HEADER_BYTES);
    let described = cloudevents::Headers {
        id,
        kind: event_type(command.kind.as_str()),
        source: SOURCE,
        time: now,
        trace_parent: trace,
        trace_state: None,
    };
    described.write(|name, value| {
        headers.push(name, value);
    });
    if let Some(reply_to) = reply_to {
        headers.push(REPLY_TO_HEADER, &reply_to.to_bytes());
    }
    let record = Outgoing {
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::from(value)),
        headers: headers.build(),
        timestamp_ms: None,
    };
    (partition_of(key.as_bytes(), partitions), record)
}

/// The type of the record for tools, made of constants so that no command pays for it.
fn event_type(kind: &str) -> &'static str {
    match kind {
        "create" => "cityevents.command.create",
        "update" => "cityevents.command.update",
        "publish" => "cityevents.command.publish",
        "unpublish" => "cityevents.command.unpublish",
        "cancel" => "cityevents.command.cancel",
        "join" => "cityevents.command.join",
        "leave" => "cityevents.command.leave",
        "kick" => "cityevents.command.kick",
        "ban" => "cityevents.command.ban",
        "unban" => "cityevents.command.unban",
        "tick" => "cityevents.command.tick",
        "check_in" => "cityevents.command.check_in",
        "message" => "cityevents.command.message",
        _ => "cityevents.command",
    }
}

#[cfg(test)]
mod tests {
    use cityevents_domain::actor::{Actor, Role};
    use cityevents_domain::command::CommandKind;
    use cityevents_domain::ids::{CommandId, EventId, UserId};
    use cityevents_runtime::log::Headers;
    use cityevents_schemas::message::decode_command;

    use super::*;

    #[test]
    fn a_record_carries_the_command_where_to_answer_and_the_trace() {
        let command = Command {
            id: CommandId::from_bytes([1; 16]),
            digest: 7,
            event: EventId::from_bytes([0xab; 16]),
            actor: Actor::Person { user: UserId::from_bytes([3; 16]), role: Role::User },
            kind: CommandKind::Join,
        };
        let reply_to = ReplyTo { partition: 3, attempt: [9; 16] };
        let trace = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let now = Timestamp::from_millis(1_000);
        let (partition, record) = to_record(&command, 4, Some(reply_to), trace, now);
        let key = record.key.as_deref().unwrap();
        assert_eq!(key, command.event.to_string().as_bytes());
        assert_eq!(partition, partition_of(key, 4));
        assert_eq!(decode_command(record.value.as_deref().unwrap()), Ok(command));
        let headers: &Headers = &record.headers;
        assert_eq!(ReplyTo::of(headers), Some(reply_to));
        let described = cloudevents::Headers::read(headers.iter()).unwrap();
        assert_eq!(described.kind, "cityevents.command.join");
        assert_eq!(described.id, "01010101-0101-0101-0101-010101010101");
        assert_eq!(described.time, now);
        assert_eq!(described.trace_parent, trace);
    }
}
