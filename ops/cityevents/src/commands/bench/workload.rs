//! What is decided in measurements: the same commands in every run, made from fixed numbers.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;

/// Log time of the first command: 2026-01-01T00:00:00Z.
pub(super) const START_MS: i64 = 1_767_225_600_000;
/// People whose commands may come again.
const RECENT: usize = 65_536;

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// 16 bytes that look like chance.
fn scatter(number: u64, kind: u64) -> [u8; 16] {
    let mut chance = Chance(number.wrapping_mul(4).wrapping_add(kind));
    let (low, high) = (chance.next(), chance.next());
    (u128::from(low) | (u128::from(high) << 64)).to_le_bytes()
}

pub(super) fn user_of(number: u64) -> UserId {
    UserId::from_bytes(scatter(number, 2))
}

/// The command with this number.
pub(super) fn command(number: u64, event: EventId, user: UserId, kind: CommandKind) -> Command {
    Command {
        id: CommandId::from_bytes(scatter(number, 1)),
        digest: number,
        event,
        actor: Actor::Person { user, role: Role::User },
        kind,
    }
}

/// Makes an event and publishes it: its id, and both commands. `number` tells it from other events.
pub(super) fn event(
    number: u64,
    capacity: Capacity,
    waitlist_limit: Option<u32>,
    now_ms: i64,
) -> (EventId, [Command; 2]) {
    let fields = EventFields {
        title: "Open air cinema".into(),
        description: "A film under the stars; bring a blanket.".into(),
        city: "Leipzig".into(),
        category: "film".into(),
        location: "Clara-Zetkin-Park".into(),
        start_time: Timestamp::from_millis(now_ms + 30 * 86_400_000),
        end_time: Timestamp::from_millis(now_ms + 30 * 86_400_000 + 7_200_000),
        capacity,
        waitlist_limit,
        opens_at: None,
        cover_image_ids: Vec::new(),
    };
    let owner = user_of(u64::MAX - number % 1_000);
    let id = |step: u64| CommandId::from_bytes(scatter(number * 2 + step, 3));
    let event = EventId::of_create(&id(0));
    let asked = |step, kind| Command { id: id(step), ..command(0, event, owner, kind) };
    let create = asked(0, CommandKind::Create(Box::new(fields)));
    (event, [create, asked(1, CommandKind::Publish)])
}

/// Eighty-four joins in a hundred commands, ten leaves, five repeated, one second join.
pub(super) struct Mix {
    events: Vec<EventId>,
    chance: Chance,
    number: u64,
    /// Some of those who joined, and what they asked.
    recent: Vec<(EventId, UserId, u64)>,
}

impl Mix {
    pub(super) fn new(events: Vec<EventId>) -> Self {
        Self { events, chance: Chance(11), number: 0, recent: Vec::with_capacity(RECENT) }
    }

    pub(super) fn fill(&mut self, commands: &mut Vec<Command>, count: usize) {
        for _ in 0..count {
            let command = self.next();
            commands.push(command);
        }
    }

    fn next(&mut self) -> Command {
        self.number += 1;
        let number = self.number;
        let dice = self.chance.below(100);
        let known = (self.recent.len() == RECENT)
            .then(|| self.chance.below(RECENT as u64) as usize)
            .map(|index| (index, self.recent[index]));
        match known {
            Some((_, (event, user, _))) if dice < 10 => {
                command(number, event, user, CommandKind::Leave)
            }
            Some((_, (event, user, first))) if dice < 15 => {
                command(first, event, user, CommandKind::Join)
            }
            Some((_, (event, user, _))) if dice < 16 => {
                command(number, event, user, CommandKind::Join)
            }
            _ => {
                let event = self.events[self.chance.below(self.events.len() as u64) as usize];
                let user = user_of(number);
                match known {
                    Some((index, _)) => self.recent[index] = (event, user, number),
                    None => self.recent.push((event, user, number)),
                }
                command(number, event, user, CommandKind::Join)
            }
        }
    }
}
