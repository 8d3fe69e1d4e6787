//! The rule of each command, once more and plainly.

use super::making::Making;
use super::*;

/// The rule of each command, for an event that is neither canceled nor ended and an actor who may.
pub(super) fn rule(
    making: &mut Making<'_>,
    command: &Command,
    actor: UserId,
) -> Result<Answer, No> {
    let at = making.at;
    let status = making.plain.event.status;
    let owner = making.plain.event.owner;
    match &command.kind {
        CommandKind::Create(_) => unreachable!("has no event yet"),
        CommandKind::Update { patch, expected_version } => {
            let version = making.plain.event.version;
            if expected_version.is_some_and(|expected| expected != version) {
                return Err(Refusal::VersionConflict { current: version }.into());
            }
            let old = making.plain.event.fields.clone();
            let mut new = old.clone();
            if let Some(title) = &patch.title {
                new.title = title.clone();
            }
            if let Some(city) = &patch.city {
                new.city = city.clone();
            }
            if let Some(start_time) = patch.start_time {
                new.start_time = start_time;
            }
            if let Some(end_time) = patch.end_time {
                new.end_time = end_time;
            }
            if let Some(capacity) = patch.capacity {
                new.capacity = capacity;
            }
            if let Some(limit) = patch.waitlist_limit {
                new.waitlist_limit = limit;
            }
            if let Some(opens_at) = patch.opens_at {
                new.opens_at = opens_at;
            }
            if new == old {
                let counters = making.plain.counters();
                let event = Box::new(making.plain.event.clone());
                return Err(No::Unchanged(Outcome::Event { event, counters }));
            }
            let is_wrong = new.title.is_empty()
                || new.start_time >= new.end_time
                || new.opens_at.is_some_and(|opens_at| opens_at >= new.end_time)
                || (status == EventStatus::Published && new.end_time <= at);
            if is_wrong {
                return Err(Refusal::InvalidState.into());
            }
            let notable = making.plain.event.published_at.is_some()
                && (new.city != old.city
                    || new.start_time != old.start_time
                    || new.end_time != old.end_time);
            making.event(EventCause::Updated { notable }, None, |event| event.fields = new);
            making.promote();
            Ok(Answer::Event)
        }
        CommandKind::Publish => {
            let fields = &making.plain.event.fields;
            let is_late =
                fields.start_time.as_millis() < at.as_millis() - 300_000 || fields.end_time <= at;
            if status != EventStatus::Draft || is_late {
                return Err(Refusal::InvalidState.into());
            }
            making.event(EventCause::Published, None, |event| {
                event.status = EventStatus::Published;
                event.published_at = event.published_at.or(Some(at));
            });
            making.promote();
            Ok(Answer::Event)
        }
        CommandKind::Unpublish { reason } => {
            if status != EventStatus::Published {
                return Err(Refusal::InvalidState.into());
            }
            making.event(EventCause::Unpublished, reason.as_ref(), |event| {
                event.status = EventStatus::Draft;
            });
            Ok(Answer::Event)
        }
        CommandKind::Cancel { reason } => {
            if making.plain.event.fields.end_time <= at {
                return Err(Refusal::EventEnded.into());
            }
            making.event(EventCause::Canceled, reason.as_ref(), |event| {
                event.status = EventStatus::Canceled;
                event.canceled_at = Some(at);
            });
            Ok(Answer::Event)
        }
        CommandKind::Join => {
            if status != EventStatus::Published {
                return Err(Refusal::EventNotPublished.into());
            }
            if let Some(opens_at) = making.plain.event.fields.opens_at.filter(|opens| at < *opens) {
                return Err(Refusal::NotOpenYet { opens_at }.into());
            }
            if actor == owner {
                return Err(Refusal::IsOrganizer.into());
            }
            let ban = making.plain.bans.iter().find(|ban| ban.user == actor);
            if ban.is_some_and(|ban| ban.expires_at.is_none_or(|expiry| at < expiry)) {
                return Err(Refusal::Banned.into());
            }
            match making.plain.person(actor) {
                Some((row, false)) if row.status == Status::Rejected => {
                    return Err(Refusal::RemovedByOrganizer.into());
                }
                Some((row, _)) if row.status.is_living() => {
                    return Err(No::Unchanged(making.plain.answer(actor)));
                }
                _ => {}
            }
            let free = making.plain.free_places();
            let has_room = free > 0 && making.plain.line.is_empty();
            let room_in_line = making.plain.line_limit().saturating_add(free);
            if !has_room && making.plain.line.len() as u64 >= room_in_line {
                return Err(Refusal::EventFull.into());
            }
            making.person(actor, Cause::Joined, |row| {
                row.status = if has_room { Status::Active } else { Status::Waitlisted };
                row.joined_at = at;
                row.checked_in_at = None;
            });
            Ok(Answer::Person(actor))
        }
        CommandKind::Leave => {
            let Some((row, _)) = making.plain.person(actor) else {
                return Err(Refusal::NotJoined.into());
            };
            if !row.status.is_living() {
                return Err(No::Unchanged(making.plain.answer(actor)));
            }
            making.set(actor, Cause::Left, Status::Canceled);
            making.promote();
            Ok(Answer::Person(actor))
        }
        CommandKind::Kick { user, .. } => {
            if *user == owner {
                return Err(Refusal::IsOrganizer.into());
            }
            let Some((row, is_banned)) = making.plain.person(*user) else {
                return Err(Refusal::NotJoined.into());
            };
            if row.status == Status::Rejected && !is_banned {
                return Err(No::Unchanged(making.plain.answer(*user)));
            }
            making.set(*user, Cause::Kicked, Status::Rejected);
            making.promote();
            Ok(Answer::Person(*user))
        }
        CommandKind::Ban { user, expires_at, .. } => {
            if *user == owner {
                return Err(Refusal::IsOrganizer.into());
            }
            if expires_at.is_some_and(|expiry| expiry <= at) {
                return Err(Refusal::InvalidState.into());
            }
            let ban = Ban {
                user: *user,
                banned_by: actor,
                banned_at: at,
                expires_at: *expires_at,
                reason: None,
            };
            making.plain.bans.retain(|known| known.user != *user);
            making.plain.bans.push(ban.clone());
            making.changes.push(Change::Banned(ban));
            if making.plain.person(*user).is_some_and(|(row, _)| row.status.is_living()) {
                making.set(*user, Cause::Banned, Status::Rejected);
                making.promote();
            }
            Ok(Answer::Done)
        }
        CommandKind::Unban { user } => {
            let is_lifted = making.lift_ban(*user);
            let is_out =
                making.plain.person(*user).is_some_and(|(row, _)| row.status == Status::Rejected);
            if is_out {
                making.set(*user, Cause::Lifted, Status::Canceled);
            }
            match is_lifted || is_out {
                true => Ok(Answer::Done),
                false => Err(No::Unchanged(Outcome::Done { at })),
            }
        }
        CommandKind::Tick { people_max, .. } => tick(making, (*people_max).clamp(1, 500).into()),
        CommandKind::CheckIn { user } => {
            if status != EventStatus::Published {
                return Err(Refusal::EventNotPublished.into());
            }
            match making.plain.person(*user) {
                Some((row, _)) if row.status == Status::Active => {
                    if let Some(first_at) = row.checked_in_at {
                        return Err(Refusal::AlreadyCheckedIn { first_at }.into());
                    }
                }
                _ => return Err(Refusal::NotJoined.into()),
            }
            making.person(*user, Cause::CheckedIn, |row| row.checked_in_at = Some(at));
            Ok(Answer::Person(*user))
        }
        CommandKind::Message { to, subject, text } => {
            if making.plain.event.published_at.is_none() {
                return Err(Refusal::EventNotPublished.into());
            }
            if subject.is_empty() || text.is_empty() {
                return Err(Refusal::InvalidState.into());
            }
            let (subject, text) = (subject.clone(), text.clone());
            making.changes.push(Change::Message { to: *to, subject, text });
            Ok(Answer::Done)
        }
    }
}

fn tick(making: &mut Making<'_>, people_max: usize) -> Result<Answer, No> {
    let at = making.at;
    let event = &making.plain.event;
    if event.status == EventStatus::Published && event.fields.end_time <= at {
        making.event(EventCause::Ended, None, |event| event.status = EventStatus::Ended);
        return Ok(Answer::Done);
    }
    if making.plain.has_work() && event.status == EventStatus::Canceled {
        let people = making.plain.people.iter().map(|(row, _)| row);
        let living: Vec<UserId> = people
            .filter(|row| row.status.is_living())
            .map(|row| row.user)
            .take(people_max)
            .collect();
        let waited: Vec<_> = living.iter().map(|user| making.plain.position(*user)).collect();
        for (user, position) in living.into_iter().zip(waited) {
            making.set(user, Cause::EventCanceled, Status::Expired);
            making.place_of_last(position);
        }
        return Ok(Answer::Done);
    }
    if making.plain.has_work() {
        making.promote_some(people_max);
        return Ok(Answer::Done);
    }
    let mut expired: Vec<(Timestamp, UserId)> = making
        .plain
        .bans
        .iter()
        .filter_map(|ban| Some((ban.expires_at.filter(|expiry| *expiry <= at)?, ban.user)))
        .collect();
    expired.sort_unstable();
    for (_, user) in expired.iter().take(people_max) {
        making.lift_ban(*user);
        let is_out = making
            .plain
            .person(*user)
            .is_some_and(|(row, banned)| row.status == Status::Rejected && *banned);
        if is_out {
            making.set(*user, Cause::Lifted, Status::Canceled);
        }
    }
    match expired.is_empty() {
        true => Err(Refusal::InvalidState.into()),
        false => Ok(Answer::Done),
    }
}
