//! State as bytes: what was written is read back, damage is an error and never a panic, and a fold
//! is the same however it is split (INV-9).

use cityevents_domain::command::CommandKind;
use cityevents_domain::fact::{Fact, Verdict};
use cityevents_domain::invariants::check_partition;
use cityevents_domain::registration::SealedText;
use cityevents_domain::state::{Partition, SnapshotError};

use crate::fixtures::{
    Chance, DAY, HOUR, MINUTE, OWNER, Stage, ban, cancel, capacity, check_in, fields, kick, time,
    unban, unpublish, user,
};

fn bytes(partition: &Partition) -> Vec<u8> {
    let mut bytes = Vec::new();
    partition.encode(&mut bytes);
    bytes
}

/// Something of everything that a state can hold.
fn varied() -> Stage {
    let mut fields = fields(3);
    fields.opens_at = Some(time(-1));
    fields.waitlist_limit = Some(9);
    fields.cover_image_ids = vec![cityevents_domain::ids::ImageId::from_bytes([4; 16])];
    let mut stage = Stage::published(fields).joined(12);
    stage.now = MINUTE;
    stage.accept(OWNER, check_in(0));
    stage.accept(5, CommandKind::Leave);
    stage.accept(OWNER, kick(1));
    stage.accept(OWNER, ban(2, Some(time(HOUR))));
    let reason = Some(SealedText(vec![1, 2, 3]));
    stage.accept(OWNER, CommandKind::Ban { user: user(50), reason, expires_at: None });
    stage.now = 2 * MINUTE;
    stage.accept(5, CommandKind::Join);
    stage
}

/// A random history of one event; facts only.
fn history(seed: u64, count: usize) -> Vec<Fact> {
    let mut chance = Chance(seed);
    let mut stage = Stage::published(fields(4));
    for _ in 0..count {
        stage.now += chance.below(20 * MINUTE as u64) as i64;
        if chance.one_in(3) {
            let _ = stage.tick_due();
        }
        let who = chance.below(30);
        let _ = match chance.below(40) {
            0..20 => stage.ask(who, CommandKind::Join),
            20..28 => stage.ask(who, CommandKind::Leave),
            28 => stage.ask(OWNER, kick(who)),
            29..31 => stage.ask(OWNER, ban(who, Some(time(stage.now + HOUR)))),
            31..33 => stage.ask(OWNER, unban(who)),
            33..35 => stage.ask(OWNER, capacity(chance.below(8) as u32)),
            35 => stage.ask(OWNER, unpublish()),
            36..38 => stage.ask(OWNER, CommandKind::Publish),
            38 => stage.ask(OWNER, check_in(who)),
            _ if chance.one_in(20) => stage.ask(OWNER, cancel()),
            _ => stage.tick(),
        };
    }
    stage.facts
}

fn folded(facts: &[Fact]) -> Partition {
    let mut partition = Partition::default();
    for fact in facts {
        partition.apply(fact);
    }
    partition
}

#[test]
fn what_was_written_is_read_back_and_goes_on_the_same() {
    let mut stage = varied();
    let mut restored = Partition::decode(&bytes(&stage.partition)).unwrap();
    check_partition(&restored).unwrap();
    assert_eq!(bytes(&restored), bytes(&stage.partition));
    assert_eq!(restored.hash(), stage.partition.hash());
    assert_eq!(restored.event_hash(&stage.event), stage.partition.event_hash(&stage.event));
    assert_eq!(restored.next_deadline(), stage.partition.next_deadline());
    let kinds = [(7, CommandKind::Leave), (OWNER, capacity(6)), (60, CommandKind::Join)];
    for (who, kind) in kinds {
        let command = stage.command(crate::fixtures::person(who), kind);
        let verdict = restored.decide(&command, time(stage.now));
        assert_eq!(verdict, stage.give(&command));
        let Verdict::Fact(fact) = verdict else { panic!("{verdict:?}") };
        restored.apply(&fact);
    }
    assert_eq!(restored.hash(), stage.partition.hash());
}

#[test]
fn an_empty_state_and_one_of_stubs_are_read_back() {
    let empty = Partition::default();
    assert_eq!(Partition::decode(&bytes(&empty)).unwrap().hash(), empty.hash());
    let mut stage = varied();
    stage.now = 3 * DAY;
    assert!(matches!(stage.tick_due(), Some(Verdict::Fact(_))));
    let restored = Partition::decode(&bytes(&stage.partition)).unwrap();
    assert_eq!(restored.hash(), stage.partition.hash());
    assert_eq!(restored.find(&stage.event).map(|slot| slot.id()), Some(stage.event));
}

#[test]
fn a_state_that_was_cut_anywhere_is_refused() {
    let whole = bytes(&varied().partition);
    for length in 0..whole.len() {
        assert!(Partition::decode(&whole[..length]).is_err(), "cut at {length}");
    }
    let mut longer = whole;
    longer.push(0);
    assert_eq!(Partition::decode(&longer).unwrap_err(), SnapshotError::TrailingBytes);
}

#[test]
fn a_flipped_bit_never_panics_and_whatever_is_read_can_be_written_again() {
    let whole = bytes(&varied().partition);
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(partition) = Partition::decode(&damaged) {
            let _ = partition.hash();
            let _ = partition.due(time(DAY)).count();
        }
    }
}

#[test]
fn bytes_of_chance_never_panic() {
    let mut chance = Chance(11);
    for _ in 0..20_000 {
        let length = chance.below(200);
        let mut noise: Vec<u8> = (0..length).map(|_| chance.next() as u8).collect();
        // Plausible beginnings get further: one slot, open or closed.
        if noise.len() > 13 {
            noise[8..13].copy_from_slice(&[1, 0, 0, 0, (chance.below(2)) as u8]);
        }
        let _ = Partition::decode(&noise);
    }
}

#[test]
fn a_ticket_without_waiting_or_waiting_without_a_ticket_is_refused() {
    let stage = Stage::published(fields(1)).joined(2);
    let whole = bytes(&stage.partition);
    let at = |number| {
        let id = *user(number).as_bytes();
        // The first mention may be the owner's; a registration's is followed by its 29 bytes.
        whole.windows(16).position(|window| window == id).expect("somebody registered")
    };
    for (number, standing) in [(0, 1), (1, 0)] {
        let mut damaged = whole.clone();
        damaged[at(number) + 16 + 8 * 3 + 4] = standing;
        assert_eq!(Partition::decode(&damaged).unwrap_err(), SnapshotError::InvalidValue);
    }
}

#[test]
fn a_fold_is_the_same_however_it_is_split_and_restored() {
    for seed in 0..60 {
        let facts = history(seed, 150);
        let whole = folded(&facts);
        let mut chance = Chance(seed + 1_000);
        let mut split = Partition::default();
        for fact in &facts {
            split.apply(fact);
            if chance.one_in(9) {
                split = Partition::decode(&bytes(&split)).unwrap();
                check_partition(&split).unwrap();
            }
        }
        assert_eq!(split.hash(), whole.hash(), "seed {seed}");
        assert_eq!(split.next_deadline(), whole.next_deadline(), "seed {seed}");
        assert_eq!(folded(&facts).hash(), whole.hash(), "seed {seed}");
        assert_ne!(folded(&facts[..facts.len() - 1]).hash(), whole.hash(), "seed {seed}");
    }
}

#[test]
fn events_of_one_partition_do_not_show_in_each_others_hash() {
    let stage = varied();
    let alone = stage.partition.event_hash(&stage.event);
    let mut both = Partition::default();
    for fact in history(3, 40) {
        // The same event id, moved aside.
        let mut fact = fact;
        let aside = cityevents_domain::ids::EventId::from_bytes([9; 16]);
        fact.event = aside;
        for change in &mut fact.changes {
            if let cityevents_domain::fact::Change::Event { event, .. } = change {
                event.id = aside;
            }
        }
        both.apply(&fact);
    }
    for fact in &stage.facts {
        both.apply(fact);
    }
    assert_eq!(both.event_hash(&stage.event), alone);
    assert_eq!(both.len(), 2);
}
