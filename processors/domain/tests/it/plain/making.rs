//! One decision while it is made.

use super::*;

/// One decision while it is made: changes are applied as they are found.
pub(super) struct Making<'a> {
    pub(super) plain: &'a mut PlainEvent,
    pub(super) at: Timestamp,
    pub(super) changes: Vec<Change>,
}

impl Making<'_> {
    pub(super) fn event(
        &mut self,
        cause: EventCause,
        reason: Option<&String>,
        edit: impl FnOnce(&mut Event),
    ) {
        edit(&mut self.plain.event);
        self.plain.event.updated_at = self.at;
        if cause != EventCause::Ended {
            self.plain.event.version += 1;
        }
        let event = Box::new(self.plain.event.clone());
        self.changes.push(Change::Event { cause, event, reason: reason.cloned() });
    }

    pub(super) fn person(
        &mut self,
        user: UserId,
        cause: Cause,
        edit: impl FnOnce(&mut Registration),
    ) {
        let at = self.at;
        let is_banned = cause == Cause::Banned;
        let new = Registration {
            user,
            status: Status::Canceled,
            joined_at: at,
            updated_at: at,
            ticket: None,
            checked_in_at: None,
        };
        let index = match self.plain.people.iter().position(|(row, _)| row.user == user) {
            Some(index) => index,
            None => {
                self.plain.people.push((new, false));
                self.plain.people.len() - 1
            }
        };
        let (row, banned) = &mut self.plain.people[index];
        row.updated_at = at;
        row.ticket = None;
        edit(row);
        *banned = is_banned;
        if row.status == Status::Waitlisted {
            row.ticket = Some(self.plain.tickets);
            self.plain.tickets += 1;
            self.plain.line.push(user);
        } else {
            self.plain.line.retain(|waiting| *waiting != user);
        }
        let registration = *row;
        let position = self.plain.position(user);
        let change = Change::Registration { cause, registration, position, reason: None };
        self.changes.push(change);
    }

    /// The last change tells another position than the one after it.
    pub(super) fn place_of_last(&mut self, before: Option<u32>) {
        if let Some(Change::Registration { position, .. }) = self.changes.last_mut() {
            *position = before;
        }
    }

    pub(super) fn set(&mut self, user: UserId, cause: Cause, status: Status) {
        self.person(user, cause, |row| row.status = status);
    }

    /// Free places go to the head of the line, five hundred in one fact.
    pub(super) fn promote(&mut self) {
        self.promote_some(500);
    }

    pub(super) fn promote_some(&mut self, people_max: usize) {
        for _ in 0..people_max {
            if self.plain.line.is_empty() || self.plain.free_places() == 0 {
                return;
            }
            let head = self.plain.line[0];
            self.set(head, Cause::Promoted, Status::Active);
        }
    }

    pub(super) fn lift_ban(&mut self, user: UserId) -> bool {
        let before = self.plain.bans.len();
        self.plain.bans.retain(|ban| ban.user != user);
        let is_lifted = self.plain.bans.len() < before;
        if is_lifted {
            self.changes.push(Change::Unbanned { user });
        }
        is_lifted
    }
}
