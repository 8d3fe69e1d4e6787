//! Measures what the state takes, by counting what is allocated: bytes a registration, bytes a
//! person in the line, bytes a remembered command.
//!
//! ```text
//! cargo run --release -p cityevents-domain --example state_memory
//! ```
//!
//! Counting costs time, so speed is measured elsewhere (`decide_bench`).

#![allow(clippy::print_stdout, reason = "the figures are the output")]
#![allow(clippy::panic, reason = "a measurement that went wrong must not print a figure")]

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields};
use cityevents_domain::fact::Verdict;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::state::{Partition, WINDOW};
use cityevents_domain::time::Timestamp;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

fn main() {
    println!(
        "{:>10} {:>9} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "people", "places", "window B/ea", "entry B/ea", "line B/ea", "counted B/ea", "restored"
    );
    // Just before and just after tables grow, and in between.
    for people in [900, 30_000, 300_000, 1_000_000, 1_150_000, 1_600_000, 2_500_000] {
        measure(people, 0);
    }
    measure(101_000, 1_000);
}

fn measure(people: u64, places: u32) {
    let before = ALLOCATED.current_usage();
    let mut partition = Partition::default();
    let owner = Actor::Person { user: UserId::from_bytes([9; 16]), role: Role::User };
    let create = CommandId::from_bytes([1; 16]);
    let event = EventId::of_create(&create);
    let kind = CommandKind::Create(Box::new(fields(places)));
    decided(&mut partition, Command { id: create, digest: 0, event, actor: owner, kind }, 0);
    let id = CommandId::from_bytes([2; 16]);
    let publish = Command { id, digest: 0, event, actor: owner, kind: CommandKind::Publish };
    decided(&mut partition, publish, 0);
    for number in 0..people {
        let user = UserId::from_bytes(scatter(number * 2));
        let actor = Actor::Person { user, role: Role::User };
        let id = CommandId::from_bytes(scatter(number * 2 + 1));
        let join = Command { id, digest: number, event, actor, kind: CommandKind::Join };
        decided(&mut partition, join, 1);
    }
    let counted = ALLOCATED.current_usage() - before;
    let memory = partition.memory();
    let dedup = partition.dedup();
    let each = |bytes: usize, count: u64| bytes as f64 / count.max(1) as f64;

    // A day later nothing is remembered any more, and a restored state holds registrations alone.
    let id = CommandId::from_bytes([3; 16]);
    let last = Command {
        id,
        digest: 0,
        event,
        actor: owner,
        kind: CommandKind::Unpublish { reason: None },
    };
    let window = (each(dedup.heap_bytes(), dedup.len()), dedup.heap_bytes());
    decided(&mut partition, last, 1 + WINDOW.0);
    let mut bytes = Vec::new();
    partition.encode(&mut bytes);
    let before = ALLOCATED.current_usage();
    let restored = Partition::decode(&bytes);
    let held = ALLOCATED.current_usage() - before;
    if restored.map(|state| state.hash()) != Ok(partition.hash()) {
        panic!("a restored state differs");
    }
    println!(
        "{people:>10} {places:>9} {:>12.1} {:>12.1} {:>12.1} {:>12.1} {:>12.1}",
        window.0,
        each(memory.registration_bytes, memory.registrations),
        each(memory.line_bytes, memory.waiting),
        each(counted - window.1, people),
        each(held, people),
    );
}

fn decided(partition: &mut Partition, command: Command, at: i64) {
    match partition.decide(&command, Timestamp::from_millis(at)) {
        Verdict::Fact(fact) => partition.apply(&fact),
        other => panic!("no fact but {other:?}"),
    }
}

fn fields(places: u32) -> EventFields {
    EventFields {
        title: "Open air cinema".into(),
        description: "A film under the stars".into(),
        city: "Leipzig".into(),
        category: "film".into(),
        location: "Park".into(),
        start_time: Timestamp::from_millis(WINDOW.0 * 30),
        end_time: Timestamp::from_millis(WINDOW.0 * 31),
        capacity: Capacity::from_wire(places),
        waitlist_limit: Some(100_000),
        opens_at: None,
        cover_image_ids: Vec::new(),
    }
}

/// 16 bytes that look like chance.
fn scatter(number: u64) -> [u8; 16] {
    let wide = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (wide ^ (wide >> 61)).wrapping_mul(0xd134_2543_de82_ef95_bf58_476d_1ce4_e5b9).to_le_bytes()
}
