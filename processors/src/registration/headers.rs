//! Headers of what this topology writes: CloudEvents, and the trace of the command.

use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::fact::Fact;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::Headers;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_schemas::cloudevents::{self, header};

/// Who says so.
const SOURCE: &str = "/cityevents/registration";
/// Room for all headers of a fact and its link.
const HEADER_BYTES: usize = 320;

/// The trace context of a record, to be carried on.
pub(super) fn trace_of(headers: &Headers) -> Headers {
    let mut trace = HeadersBuilder::default();
    for name in [header::TRACE_PARENT, header::TRACE_STATE] {
        if let Some(value) = headers.get(name) {
            trace.push(name, value);
        }
    }
    trace.build()
}

pub(super) fn of_fact(fact: &Fact, kind: &CommandKind, trace: &Headers) -> Headers {
    write(&fact.command.to_string(), "fact", kind, fact.at, trace)
}

pub(super) fn of_tick(command: &Command, deadline: Timestamp) -> Headers {
    write(&command.id.to_string(), "command", &command.kind, deadline, &Headers::empty())
}

fn write(id: &str, what: &str, kind: &CommandKind, time: Timestamp, trace: &Headers) -> Headers {
    let mut headers = HeadersBuilder::with_capacity(HEADER_BYTES);
    let kind = ["cityevents.", what, ".", kind.as_str()].concat();
    let event = cloudevents::Headers {
        id,
        kind: &kind,
        source: SOURCE,
        time,
        trace_parent: None,
        trace_state: None,
    };
    event.write(|name, value| {
        headers.push(name, value);
    });
    for (name, value) in trace.iter() {
        headers.push(name, value);
    }
    headers.build()
}
