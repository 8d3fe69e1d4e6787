//! The state of a partition, and what is done with it afterwards.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventPatch};
use cityevents_domain::fact::Verdict;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::invariants::check_partition;
use cityevents_domain::state::{Partition, Slot};
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_fuzz::Seen;
use cityevents_fuzz::values::{bytes, fields, pick, user};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::fuzz;

const BEGINNING: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Events and people of a damaged state that are made use of.
const USED_MAX: usize = 4;

#[test]
fn states_are_read_or_refused_and_what_was_read_can_be_used() {
    fuzz("domain Partition::decode", |rng| encoded(&partition(rng)), check);
}

/// Reads a state, writes it, reads it again, and gives it commands.
pub(super) fn check(input: &[u8]) -> Result<Seen, String> {
    let Ok(partition) = Partition::decode(input) else { return Ok(Seen::Refused) };
    let written = encoded(&partition);
    let again = Partition::decode(&written).map_err(|error| format!("read back: {error}"))?;
    if encoded(&again) != written {
        return Err("read, written and read again, it is another state".to_owned());
    }
    let was_good = check_partition(&partition).is_ok();
    let after = used(partition);
    match check_partition(&after) {
        Err(breach) if was_good => Err(format!("good before it was used, and then: {breach}")),
        _ => Ok(Seen::Accepted),
    }
}

fn encoded(partition: &Partition) -> Vec<u8> {
    let mut out = Vec::new();
    partition.encode(&mut out);
    out
}

fn give(partition: &mut Partition, command: &Command, at: Timestamp) -> bool {
    let verdict = partition.decide(command, at);
    if let Verdict::Fact(fact) = &verdict {
        partition.apply(fact);
    }
    matches!(verdict, Verdict::Fact(_))
}

fn command_of(number: u64, event: EventId, user: Option<UserId>, kind: CommandKind) -> Command {
    let mut id = [0x5a; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let actor = user.map_or(Actor::System, |user| Actor::Person { user, role: Role::User });
    Command { id: CommandId::from_bytes(id), digest: number, event, actor, kind }
}

/// Everything that can be asked of the first events, by those who have something to do with them
/// and by somebody new.
fn used(mut partition: Partition) -> Partition {
    let at = partition.log_time().max(BEGINNING) + Millis::minutes(1);
    let mut events = Vec::new();
    for slot in partition.iter().take(USED_MAX) {
        events.push((
            slot.id(),
            match slot {
                Slot::Open(state) => {
                    let owner = state.event().owner;
                    let people = state.registrations().iter().map(|entry| entry.user());
                    (owner, people.take(USED_MAX).collect())
                }
                Slot::Closed(stub) => (stub.owner, Vec::new()),
            },
        ));
    }
    let _ = (partition.memory(), partition.next_deadline(), partition.hash());
    let mut number = 0;
    let mut ask = |partition: &mut Partition, event, user, kind| {
        number += 1;
        give(partition, &command_of(number, event, user, kind), at);
    };
    let raised =
        EventPatch { capacity: Some(Capacity::Limited(1_000_000)), ..EventPatch::default() };
    for (event, (owner, people)) in events {
        let new = UserId::from_bytes([0x77; 16]);
        ask(&mut partition, event, Some(owner), CommandKind::Publish);
        for user in [new, UserId::from_bytes([0x78; 16]), UserId::from_bytes([0x79; 16])] {
            ask(&mut partition, event, Some(user), CommandKind::Join);
        }
        ask(&mut partition, event, Some(owner), CommandKind::CheckIn { user: new });
        for user in people {
            ask(&mut partition, event, Some(user), CommandKind::Join);
            ask(&mut partition, event, Some(user), CommandKind::Leave);
            ask(&mut partition, event, Some(user), CommandKind::Join);
            let kick = CommandKind::Kick { user, reason: None };
            ask(&mut partition, event, Some(owner), kick);
        }
        let ban = CommandKind::Ban { user: new, reason: None, expires_at: None };
        ask(&mut partition, event, Some(owner), ban);
        ask(&mut partition, event, Some(owner), CommandKind::Unban { user: new });
        let patch = Box::new(raised.clone());
        let update = CommandKind::Update { patch, expected_version: None };
        ask(&mut partition, event, Some(owner), update);
        ask(&mut partition, event, None, CommandKind::Tick { deadline: at, people_max: 500 });
        ask(&mut partition, event, Some(owner), CommandKind::Cancel { reason: None });
        ask(&mut partition, event, None, CommandKind::Tick { deadline: at, people_max: 500 });
    }
    let due: Vec<_> = partition.due(at).take(USED_MAX).collect();
    for (event, seq, deadline) in due {
        let id = CommandId::of_tick(&event, seq, deadline.as_millis());
        let tick = command_of(0, event, None, CommandKind::Tick { deadline, people_max: 500 });
        give(&mut partition, &Command { id, ..tick }, at);
    }
    partition
}

/// A state that random commands made, with events in every condition.
fn partition(rng: &mut SmallRng) -> Partition {
    let mut partition = Partition::default();
    let people: Vec<UserId> = (0..rng.random_range(2..20)).map(|_| user(rng)).collect();
    let mut events = Vec::new();
    let mut at = BEGINNING;
    for _ in 0..rng.random_range(1..4) {
        let id = CommandId::from_bytes(bytes(rng));
        let (event, owner) = (EventId::of_create(&id), pick(rng, &people));
        let mut fields = fields(rng);
        for text in [&mut fields.title, &mut fields.description, &mut fields.city] {
            text.push('x');
        }
        fields.category.push('x');
        fields.start_time = at + Millis::hours(1);
        fields.end_time = at + Millis::hours(rng.random_range(2..60));
        fields.opens_at = None;
        fields.capacity = Capacity::from_wire(rng.random_range(0..8));
        fields.waitlist_limit = Some(rng.random_range(0..20));
        let kind = CommandKind::Create(Box::new(fields));
        let create = Command { id, ..command_of(0, event, Some(owner), kind) };
        assert!(give(&mut partition, &create, at), "a good event is created");
        give(&mut partition, &random(rng, event, owner, CommandKind::Publish), at);
        events.push((event, owner));
    }
    for _ in 0..rng.random_range(0..60) {
        at = at + Millis(rng.random_range(0..3_000_000));
        let ((event, owner), user) = (pick(rng, &events), pick(rng, &people));
        let (who, kind) = match rng.random_range(0..40) {
            0..24 => (user, CommandKind::Join),
            24..29 => (user, CommandKind::Leave),
            29..31 => (owner, CommandKind::Kick { user, reason: None }),
            31..33 => {
                let expires_at = Some(at + Millis(rng.random_range(60_000..9_000_000)));
                let reason = Some(cityevents_fuzz::values::sealed(rng));
                (owner, CommandKind::Ban { user, reason, expires_at })
            }
            33 => (owner, CommandKind::Unban { user }),
            34..37 => (owner, CommandKind::CheckIn { user }),
            37 => (owner, CommandKind::Cancel { reason: None }),
            _ => {
                let capacity = Some(Capacity::from_wire(rng.random_range(0..12)));
                let patch = Box::new(EventPatch { capacity, ..EventPatch::default() });
                (owner, CommandKind::Update { patch, expected_version: None })
            }
        };
        give(&mut partition, &random(rng, event, who, kind), at);
        let due: Vec<_> = partition.due(at).collect();
        for (event, seq, deadline) in due {
            let tick = command_of(0, event, None, CommandKind::Tick { deadline, people_max: 500 });
            let id = CommandId::of_tick(&event, seq, deadline.as_millis());
            give(&mut partition, &Command { id, ..tick }, at);
        }
    }
    check_partition(&partition).unwrap();
    partition
}

fn random(rng: &mut SmallRng, event: EventId, user: UserId, kind: CommandKind) -> Command {
    let id = CommandId::from_bytes(bytes(rng));
    Command { id, ..command_of(rng.random(), event, Some(user), kind) }
}
