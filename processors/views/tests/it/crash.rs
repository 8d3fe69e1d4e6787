//! What is left after a crash: never progress without the rows that it covers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cityevents_domain::registration::RegistrationStatus;
use cityevents_views::testing::build::{active, counters, event_id, user_id};
use cityevents_views::testing::{done, put};
use cityevents_views::{Mutation, ParticipantsQuery, ProgressRow, Views, WriteTimestamp};

use crate::embedded::open_dir;

const CHILD_FOLDER: &str = "CITYEVENTS_VIEWS_CHILD_FOLDER";

/// Writes the rows of one step, then, alone, the progress that covers them.
fn write_step(views: &Views, step: u64) {
    let timestamp = WriteTimestamp(step);
    let row = active(step, step, step as i64);
    done(views.write.write(vec![
        Mutation::new(counters(step, step as u32, step), timestamp),
        Mutation::new(row, timestamp),
    ]));
    let progress = ProgressRow {
        projection: "rows".to_owned(),
        partition: 0,
        next_offset: step + 1,
        cursor: String::new(),
    };
    put(views, progress, step + 1);
}

/// How many steps the tables say are done, after checking that they are.
fn steps_done(views: &Views) -> u64 {
    let progress = done(views.progress.progress("rows".to_owned(), 0));
    let steps = progress.map_or(0, |row| row.next_offset);
    for step in 0..steps {
        let row = done(views.counters.counters(event_id(step)));
        assert_eq!(row, Some(counters(step, step as u32, step)), "{step} of {steps}");
        let query = ParticipantsQuery {
            event: event_id(step),
            status: Some(RegistrationStatus::Active),
            after: None,
            limit: 10,
        };
        let listed = done(views.registrations.participants(query)).items;
        assert_eq!(listed, [active(step, step, step as i64)], "{step} of {steps}");
        let own = done(views.registrations.own_joins(user_id(step), None, 10)).items;
        assert_eq!(own, listed);
    }
    steps
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

/// The one journal of a tree of the folder.
pub(crate) fn journal_of(dir: &Path, tree: &str) -> PathBuf {
    let entries = fs::read_dir(dir.join(tree)).unwrap();
    let mut journals = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    let journal = journals.next().unwrap();
    assert_eq!(journals.next(), None, "one journal");
    journal
}

/// Some numbers below a bound, different each time, and how to get them again.
pub(crate) fn random(count: usize, below: usize) -> (u64, Vec<usize>) {
    use std::hash::{BuildHasher, Hasher};
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let fresh = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    let seed: u64 = seed.unwrap_or_else(fresh);
    let mut state = seed;
    let mut next = || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % below
    };
    (seed, (0..count).map(|_| next()).collect())
}

#[test]
fn a_journal_cut_or_damaged_anywhere_leaves_no_progress_without_its_rows() {
    const STEPS: u64 = 60;
    let original = tempfile::tempdir().unwrap();
    let views = open_dir(original.path()).unwrap();
    (0..STEPS).for_each(|step| write_step(&views, step));
    done(views.write.flush());
    drop(views);
    let bytes = fs::read(journal_of(original.path(), "rows")).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let bytes = &bytes[..end];

    let (seed, offsets) = random(16, end);
    println!("SEED={seed}");
    let reopen = |content: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        copy(original.path(), dir.path());
        fs::write(journal_of(dir.path(), "rows"), content).unwrap();
        open_dir(dir.path()).map(|views| steps_done(&views))
    };
    assert_eq!(reopen(bytes).unwrap(), STEPS);
    let mut lost_some = false;
    for offset in offsets {
        let cut = reopen(&bytes[..offset]).unwrap();
        lost_some |= cut < STEPS;
        let mut damaged = bytes.to_vec();
        damaged[offset] ^= 0x55;
        match reopen(&damaged) {
            Ok(steps) => assert!(steps <= STEPS),
            Err(error) => assert!(
                matches!(error.kind(), "engine" | "damaged_files"),
                "{error}: SEED={seed} offset {offset}"
            ),
        }
    }
    assert!(lost_some, "no cut took anything away: SEED={seed}");
}

/// Lets a child write steps into a folder and kills it, again and again, each time after so many
/// steps. What it said is written has to be there, which `steps_done` counts and checks.
pub(crate) fn kill_who_writes(
    child: &str,
    (seed, lines): (u64, Vec<usize>),
    steps_done: fn(&Views) -> u64,
) {
    let dir = tempfile::tempdir().unwrap();
    let mut steps_before = 0;
    for lines in lines {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", child, "--ignored", "--nocapture"])
            .env(CHILD_FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .filter_map(|line| line.strip_prefix("step ")?.parse::<u64>().ok())
            .nth(lines)
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let steps = steps_done(&open_dir(dir.path()).unwrap());
        assert!(steps > told, "step {told} was written and is gone: SEED={seed}");
        assert!(steps > steps_before);
        steps_before = steps;
    }
}

/// What such a child does: it goes on after the last step and tells of each, until it is killed.
/// Nothing where it is run by itself.
pub(crate) fn write_until_killed(
    steps_done: fn(&Views) -> u64,
    write_step: fn(&Views, u64),
    tell: impl Fn(u64),
) {
    let Some(dir) = std::env::var_os(CHILD_FOLDER) else { return };
    let views = open_dir(Path::new(&dir)).unwrap();
    for step in steps_done(&views).. {
        write_step(&views, step);
        tell(step);
    }
}

#[test]
fn a_killed_process_leaves_no_progress_without_its_rows() {
    let chance = random(5, 400);
    println!("SEED={}", chance.0);
    kill_who_writes("crash::writes_until_it_is_killed", chance, steps_done);
}

#[test]
#[ignore = "a part of the test above, which runs it as a process of its own"]
fn writes_until_it_is_killed() {
    write_until_killed(steps_done, write_step, |step| println!("step {step}"));
}
