//! What a registration takes in memory, what a remembered command takes, and what an idle process.

use std::io::{BufRead as _, BufReader};
use std::process::{Command as Process, Stdio};

use anyhow::{Context as _, ensure};
use cityevents_domain::command::CommandKind;
use cityevents_domain::event::Capacity;
use cityevents_domain::fact::Verdict;
use cityevents_domain::state::Partition;
use cityevents_domain::time::Timestamp;

use super::Plan;
use super::measure::{Goal, Row, resident_bytes};
use super::workload::{START_MS, command, event, user_of};

/// Registrations of one event.
const EVENT_REGISTRATIONS: u64 = 10_000;
/// Commands in one millisecond of log time: all are remembered.
const COMMANDS_PER_MS: u64 = 1_000;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let idle = idle_bytes(plan)?;
    let count = u64::from(plan.registrations);
    let before = resident_bytes("self").context("memory cannot be read here")?;
    let partition = fill(count)?;
    let after = resident_bytes("self").context("memory cannot be read here")?;
    let memory = partition.memory();
    let registrations = memory.registrations as f64;
    let entries = partition.dedup().len() as f64;
    let dedup_bytes = partition.dedup().heap_bytes() as f64;
    let resident = after.saturating_sub(before) as f64;
    let conditions = format!(
        "{count} registrations of events with {EVENT_REGISTRATIONS} each, {} of them waiting",
        memory.waiting
    );
    let each = (memory.registration_bytes + memory.line_bytes) as f64 / registrations;
    Ok(vec![
        Row::new("P13 a registration", each, "bytes").goal(Goal::AtMost(120.0)).under(conditions),
        Row::new("P13 its entry in the dedup window", dedup_bytes / entries.max(1.0), "bytes")
            .goal(Goal::AtMost(48.0))
            .under(format!("{entries:.0} commands remembered")),
        Row::new("    both, as resident memory", resident / registrations, "bytes")
            .under(format!("{:.0} MB, with allocator and events", resident / 1e6)),
        Row::new("P13 idle process", idle as f64 / 1e6, "MB")
            .goal(Goal::AtMost(60.0))
            .under("`dev` on an empty folder, ready, resident memory"),
    ])
}

fn fill(count: u64) -> anyhow::Result<Partition> {
    let mut partition = Partition::default();
    let mut decided = 0;
    let mut step = |partition: &mut Partition, command: &_| {
        decided += 1;
        let at = Timestamp::from_millis(START_MS + (decided / COMMANDS_PER_MS) as i64);
        if let Verdict::Fact(fact) = partition.decide(command, at) {
            partition.apply(&fact);
        }
    };
    let mut id = None;
    for number in 0..count {
        if number % EVENT_REGISTRATIONS == 0 {
            let places = EVENT_REGISTRATIONS * 9 / 10;
            let capacity = Capacity::Limited(u32::try_from(places)?);
            let line = u32::try_from(EVENT_REGISTRATIONS - places)?;
            let (made, commands) = event(number, capacity, Some(line), START_MS);
            for command in &commands {
                step(&mut partition, command);
            }
            id = Some(made);
        }
        let id = id.context("no event")?;
        step(&mut partition, &command(number, id, user_of(number), CommandKind::Join));
    }
    let made = partition.memory().registrations;
    ensure!(made == count, "{made} registrations of {count} were made");
    Ok(partition)
}

/// Of this program as `dev` on an empty folder.
fn idle_bytes(plan: &Plan) -> anyhow::Result<u64> {
    let folder = plan.folder()?;
    let mut process = Process::new(std::env::current_exe()?)
        .args(["dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("instance"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = process.stdout.take().context("no output of the process")?;
    let is_ready = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("cityevents is ready"));
    let bytes = resident_bytes(&process.id().to_string());
    process.kill()?;
    process.wait()?;
    ensure!(is_ready, "the idle process did not become ready");
    bytes.context("memory cannot be read here")
}
