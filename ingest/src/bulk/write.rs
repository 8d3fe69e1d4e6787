//! One answer of an upload: `{index, status, command_id, outcome?, error?}`.
//!
//! `accepted` without `outcome` means durable and not decided yet. What the log did not take is
//! `refused` with `unavailable`: send the line again.

use std::io::Write;

use cityevents_domain::ids::{CommandId, EventId};
use cityevents_kit::event_body::OutcomeBody;
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::problem::Problem;
use cityevents_schemas::message::ReplyVerdict;
use uuid::Uuid;

use crate::answer::submit_problem;
use crate::client::{SubmitError, Submitted};

/// What an answer needs to know of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) command: CommandId,
    pub(super) event: EventId,
}

/// A line that makes no sense.
pub(super) fn invalid(index: u64, problem: &Problem, out: &mut Vec<u8>) {
    let error = problem.to_error_value();
    // Writing into memory cannot fail.
    let _written = writeln!(out, r#"{{"index":{index},"status":"invalid","error":{error}}}"#);
}

/// A command that was handed over.
pub(super) fn result(
    index: u64,
    ids: &Ids,
    result: &Result<Submitted, SubmitError>,
    pictures: &PictureAddresses,
    out: &mut Vec<u8>,
) {
    match result {
        Ok(Submitted::Pending(_)) => {
            begin(index, "accepted", ids, out);
            out.extend_from_slice(b"}\n");
        }
        Ok(Submitted::Decided(reply)) => match &reply.verdict {
            ReplyVerdict::Accepted(outcome) | ReplyVerdict::Unchanged(outcome) => {
                begin(index, "accepted", ids, out);
                out.extend_from_slice(br#","outcome":"#);
                let body = OutcomeBody::new(&ids.event, outcome, pictures);
                // Strings, numbers and lists always serialise.
                let _written = serde_json::to_writer(&mut *out, &body);
                out.extend_from_slice(b"}\n");
            }
            ReplyVerdict::Refused(refusal) => refused(index, ids, &Problem::from(refusal), out),
            ReplyVerdict::Undecodable => refused(index, ids, &Problem::internal(), out),
        },
        Err(error) => refused(index, ids, &submit_problem(error), out),
    }
}

fn refused(index: u64, ids: &Ids, problem: &Problem, out: &mut Vec<u8>) {
    begin(index, "refused", ids, out);
    let error = problem.to_error_value();
    let _written = writeln!(out, r#","error":{error}}}"#);
}

fn begin(index: u64, status: &str, ids: &Ids, out: &mut Vec<u8>) {
    let mut text = [0; 36];
    let command = Uuid::from_bytes(*ids.command.as_bytes()).as_hyphenated().encode_lower(&mut text);
    let _written = write!(out, r#"{{"index":{index},"status":"{status}","command_id":"{command}""#);
}
