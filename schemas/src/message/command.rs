//! Commands: values of `event-commands`.

use cityevents_domain::command::{Audience, Command, CommandKind};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::SealedText;
use cityevents_domain::time::Timestamp;

use super::parts::{body, from_actor, from_sealed, from_time, tag, to_actor, to_sealed, to_time};
use super::row::{from_fields, to_fields};
use super::update::{from_update, to_update};
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::wire;

/// Appends a command as a framed record.
pub fn encode_command(command: &Command, out: &mut Vec<u8>) {
    Codecs::installed().encode_command(command, out);
}

/// Reads a command from a framed record. A kind that is not known here is an error.
pub fn decode_command(bytes: &[u8]) -> Result<Command, DecodeError> {
    Codecs::installed().decode_command(bytes)
}

impl Codecs {
    /// See [`encode_command`].
    pub fn encode_command(&self, command: &Command, out: &mut Vec<u8>) {
        self.write(Record::EventCommand, &from_command(command), out);
    }

    /// See [`decode_command`].
    pub fn decode_command(&self, bytes: &[u8]) -> Result<Command, DecodeError> {
        self.read(Record::EventCommand, bytes, |body| parse_whole(body, to_command))
    }
}

fn from_command(command: &Command) -> wire::EventCommand<'_> {
    let (user_id, role) = from_actor(&command.actor);
    let mut record = wire::EventCommand {
        command_id: *command.id.as_bytes(),
        digest: command.digest as i64,
        event_id: *command.event.as_bytes(),
        user_id,
        role,
        kind: command.kind.as_str(),
        create: None,
        update: None,
        withdraw: None,
        person: None,
        tick: None,
        message: None,
    };
    match &command.kind {
        CommandKind::Create(fields) => record.create = Some(Box::new(from_fields(fields))),
        CommandKind::Update { patch, expected_version } => {
            record.update = Some(Box::new(from_update(patch, *expected_version)));
        }
        CommandKind::Publish | CommandKind::Join | CommandKind::Leave => {}
        CommandKind::Unpublish { reason } | CommandKind::Cancel { reason } => {
            record.withdraw = Some(wire::ReasonBody { reason: reason.as_deref() });
        }
        CommandKind::Kick { user, reason } => {
            record.person = Some(person(user, reason.as_ref(), None));
        }
        CommandKind::Ban { user, reason, expires_at } => {
            record.person = Some(person(user, reason.as_ref(), *expires_at));
        }
        CommandKind::Unban { user } | CommandKind::CheckIn { user } => {
            record.person = Some(person(user, None, None));
        }
        CommandKind::Tick { deadline, people_max } => {
            let (deadline, people_max) = (deadline.as_millis(), i64::from(*people_max));
            record.tick = Some(wire::TickBody { deadline, people_max });
        }
        CommandKind::Message { to, subject, text } => {
            record.message = Some(wire::MessageBody { to: to.as_str(), subject, text });
        }
    }
    record
}

fn person<'a>(
    user: &UserId,
    reason: Option<&'a SealedText>,
    expires_at: Option<Timestamp>,
) -> wire::PersonBody<'a> {
    wire::PersonBody {
        user_id: *user.as_bytes(),
        reason: from_sealed(reason),
        expires_at: from_time(expires_at),
    }
}

fn to_command(record: &wire::EventCommand<'_>) -> Result<Command, DecodeError> {
    Ok(Command {
        id: CommandId::from_bytes(record.command_id),
        digest: record.digest as u64,
        event: EventId::from_bytes(record.event_id),
        actor: to_actor(record.user_id, record.role)?,
        kind: to_kind(record)?,
    })
}

/// A body that does not belong to the kind is a later writer's business and is left alone.
fn to_kind(record: &wire::EventCommand<'_>) -> Result<CommandKind, DecodeError> {
    let person = |tag| body(tag, record.person.as_ref());
    let user = |tag| person(tag).map(|person| UserId::from_bytes(person.user_id));
    let reason =
        |tag| body(tag, record.withdraw.as_ref()).map(|withdraw| withdraw.reason.map(String::from));
    match record.kind {
        "join" => Ok(CommandKind::Join),
        "leave" => Ok(CommandKind::Leave),
        "tick" => {
            let tick = body("tick", record.tick.as_ref())?;
            let (field, value) = ("people_max", tick.people_max);
            let out_of_range = |_| DecodeError::OutOfRange { field, value };
            let people_max = u16::try_from(value).map_err(out_of_range)?;
            Ok(CommandKind::Tick { deadline: Timestamp::from_millis(tick.deadline), people_max })
        }
        "create" => {
            Ok(CommandKind::Create(Box::new(to_fields(body("create", record.create.as_ref())?)?)))
        }
        "update" => to_update(body("update", record.update.as_ref())?),
        "publish" => Ok(CommandKind::Publish),
        "unpublish" => Ok(CommandKind::Unpublish { reason: reason("unpublish")? }),
        "cancel" => Ok(CommandKind::Cancel { reason: reason("cancel")? }),
        "kick" => {
            Ok(CommandKind::Kick { user: user("kick")?, reason: to_sealed(person("kick")?.reason) })
        }
        "ban" => Ok(CommandKind::Ban {
            user: user("ban")?,
            reason: to_sealed(person("ban")?.reason),
            expires_at: to_time(person("ban")?.expires_at),
        }),
        "unban" => Ok(CommandKind::Unban { user: user("unban")? }),
        "check_in" => Ok(CommandKind::CheckIn { user: user("check_in")? }),
        "message" => {
            let message = body("message", record.message.as_ref())?;
            Ok(CommandKind::Message {
                to: tag("audience", message.to, Audience::parse)?,
                subject: message.subject.into(),
                text: message.text.into(),
            })
        }
        other => Err(DecodeError::unknown_tag("command kind", other)),
    }
}
