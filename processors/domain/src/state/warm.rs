//! Reading ahead for a burst.
//!
//! A decision about one of a million people waits for main memory several times, one time after the
//! other. Commands of a burst do not depend on each other for where they look, so reading those
//! places beforehand, many at once, lets the waits overlap. Nothing is decided and nothing changes
//! here; leaving it out costs time only.

use super::event::EventState;
use super::{Partition, hash};
use crate::command::{Command, CommandKind};
use crate::ids::UserId;

/// Events that stay in a cache without help.
const EVENTS_CACHED_MAX: usize = 1_024;
/// Commands read ahead together: enough to keep memory busy, few enough to stay in the cache.
const TOGETHER: usize = 32;

impl Partition {
    /// Brings what the decisions on these commands will look at into the processor's cache. For
    /// bursts of up to a few hundred; what is read too early is forgotten again.
    pub fn warm(&self, commands: &[Command]) {
        let has_many_commands = self.dedup.is_large();
        let has_many_events = self.slots.len() > EVENTS_CACHED_MAX;
        let mut seen = 0;
        for commands in commands.chunks(TOGETHER) {
            for command in commands.iter().filter(|_| has_many_commands) {
                seen ^= self.dedup.touch(&command.id);
            }
            for command in commands.iter().filter(|_| has_many_events) {
                seen ^= self.index.touch(hash::fold(command.event.as_bytes()));
            }
            let mut states: [Option<&EventState>; TOGETHER] = [None; TOGETHER];
            for (state, command) in states.iter_mut().zip(commands) {
                *state = self
                    .open(&command.event)
                    .filter(|state| has_many_events || state.registrations().is_large());
                if has_many_commands {
                    seen ^= self.dedup.touch_entry(&command.id);
                }
            }
            let people = states.iter().zip(commands).filter_map(|(state, command)| {
                Some(((*state)?.registrations(), (*state)?, concerned(command)?))
            });
            for (registrations, state, user) in people.clone() {
                seen ^= state.touch() ^ registrations.touch(&user);
            }
            for (registrations, _, user) in people {
                seen ^= registrations.find(&user).map_or(0, |(slot, _)| u64::from(slot));
            }
        }
        // What was read must be used, or the compiler leaves the reading out.
        std::hint::black_box(seen);
    }
}

/// Whose registration a command looks at.
const fn concerned(command: &Command) -> Option<UserId> {
    match &command.kind {
        CommandKind::Kick { user, .. }
        | CommandKind::Ban { user, .. }
        | CommandKind::Unban { user }
        | CommandKind::CheckIn { user } => Some(*user),
        _ => command.actor.user(),
    }
}
