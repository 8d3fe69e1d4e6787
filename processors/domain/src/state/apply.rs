//! The fold: one fact, applied. Never refuses; the live path, restore, standby, replay and the
//! simulator all go through here.

use super::event::{EventState, Stub};
use super::{Partition, Slot};
use crate::actor::Actor;
use crate::event::EventStatus;
use crate::fact::{Change, EventCause, Fact};
use crate::time::Timestamp;

impl Partition {
    /// Applies a fact that [`Partition::decide`](crate::state::Partition::decide) made of this
    /// state, or that the log holds next.
    pub fn apply(&mut self, fact: &Fact) {
        self.log_time = self.log_time.max(fact.at);
        if fact.actor != Actor::System {
            // Ticks are not remembered: nobody repeats one under a promise.
            self.dedup.insert(fact.command, fact.command_digest, fact.at, &fact.outcome);
        }
        let Some(number) = self.slot_of(&fact.event).or_else(|| self.created_by(fact)) else {
            return;
        };
        let Some(Slot::Open(state)) = self.slots.get_mut(number as usize) else {
            return;
        };
        let timer_before = state.timer;
        for change in &fact.changes {
            state.apply_change(change);
        }
        state.seq = fact.event_seq;
        state.renew_step(fact);
        state.timer = state.next_deadline();
        let timer = state.timer;
        let is_over = match state.event().status {
            EventStatus::Ended => true,
            EventStatus::Canceled => !state.has_step(),
            EventStatus::Draft | EventStatus::Published => false,
        };
        if is_over {
            let stub = stub_of(state);
            self.slots[number as usize] = Slot::Closed(stub);
            self.move_timer(number, timer_before, None);
        } else {
            self.move_timer(number, timer_before, timer);
        }
    }

    fn created_by(&mut self, fact: &Fact) -> Option<u32> {
        fact.changes.iter().find_map(|change| match change {
            Change::Event { cause: EventCause::Created, event, .. } => {
                let state = EventState::new((**event).clone());
                Some(self.push_slot(Slot::Open(Box::new(state))))
            }
            _ => None,
        })
    }

    fn move_timer(&mut self, slot: u32, from: Option<Timestamp>, to: Option<Timestamp>) {
        if from == to {
            return;
        }
        if let Some(deadline) = from {
            self.timers.remove(&(deadline, slot));
        }
        if let Some(deadline) = to {
            self.timers.insert((deadline, slot));
        }
    }
}

impl EventState {
    fn apply_change(&mut self, change: &Change) {
        match change {
            Change::Event { event, .. } => self.event = (**event).clone(),
            Change::Registration { cause, registration, .. } => {
                self.put_registration(*cause, registration);
            }
            Change::Banned(ban) => self.bans.get_or_insert_default().insert(ban.clone()),
            Change::Unbanned { user } => {
                if let Some(bans) = &mut self.bans {
                    bans.remove(user);
                }
            }
            Change::Message { .. } => {}
        }
    }

    /// A step stays due since the moment it became due; one that was taken makes the next one due
    /// from then on.
    fn renew_step(&mut self, fact: &Fact) {
        self.step_due = match (self.has_step(), self.step_due) {
            (false, _) => None,
            (true, Some(since)) if fact.actor != Actor::System => Some(since),
            (true, _) => Some(fact.at),
        };
    }
}

fn stub_of(state: &EventState) -> Stub {
    Stub {
        id: state.event.id,
        owner: state.event.owner,
        status: state.event.status,
        seq: state.seq,
        was_published: state.event.published_at.is_some(),
    }
}
