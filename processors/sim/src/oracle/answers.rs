//! What anybody was ever told, against the verdicts of the chain.

use cityevents_runtime::log::Record;
use cityevents_runtime::replies::attempt_of;
use cityevents_schemas::message::{Reply, ReplyVerdict, decode_reply};

use super::verdicts::{Given, Verdicts};
use crate::failure::Failure;

/// Every answer in the log, heard by somebody or not, is the verdict on its own attempt.
pub(super) fn check(
    replies: &[Record],
    verdicts: &[Verdicts],
    looks_at_links: bool,
) -> Result<(), Failure> {
    for record in replies {
        let wrong = |partition, seen| Err(Failure::Answer { partition, seen });
        let value = record.value.as_deref().unwrap_or_default();
        let reply = match decode_reply(value) {
            Ok(reply) => reply,
            Err(error) => return wrong(0, format!("it cannot be read: {error}")),
        };
        let partition = reply.partition;
        let Some(attempt) = attempt_of(&record.headers) else {
            return wrong(partition, format!("it is for no attempt: {reply:?}"));
        };
        let Some(own) = verdicts.get(partition as usize) else {
            return wrong(partition, format!("there is no such partition: {reply:?}"));
        };
        if !own.of_attempt(&attempt).any(|given| agrees(&reply, given, looks_at_links)) {
            let given: Vec<&Given> = own.of_attempt(&attempt).collect();
            return wrong(partition, format!("told {reply:?}, and the log says {given:?}"));
        }
    }
    Ok(())
}

fn agrees(reply: &Reply, given: &Given, looks_at_links: bool) -> bool {
    let same_command = match given.command {
        Some(command) => reply.command == command,
        None => reply.verdict == ReplyVerdict::Undecodable,
    };
    // Whoever has read up to the link that is named has read the one that says so.
    let link_is_read = reply.link_offset.is_some_and(|offset| offset >= given.link_offset);
    same_command
        && (link_is_read || !looks_at_links)
        && reply.event == given.event
        && reply.verdict == given.verdict
        && reply.at == given.at
}
