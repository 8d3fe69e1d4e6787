//! Processes that are killed while they write: what they saw acknowledged is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use cityevents_runtime::log::contract::text;
use cityevents_runtime::log::local::LocalLog;
use cityevents_runtime::log::{Cleanup, Committed, FencedBatch, Isolation, Log, TopicPartition};
use tempfile::TempDir;

use super::{KEPT, append_with, check_tales, open, read, telling, topic};

const FOLDER: &str = "CITYEVENTS_TEST_LOG_FOLDER";
const KILLS: u32 = 6;

fn facts(number: u32) -> TopicPartition {
    TopicPartition::new("facts", number)
}

fn events() -> TopicPartition {
    TopicPartition::new("events", 0)
}

/// What the killed process does: it writes without end, and says what was acknowledged.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn write_until_killed() {
    let folder = std::env::var(FOLDER).unwrap();
    let log = open(Path::new(&folder));
    if log.topics().unwrap().is_empty() {
        topic(&log, "facts", 2, KEPT);
        topic(&log, "events", 1, Cleanup::Compact);
    }
    let said = std::sync::Mutex::new(std::io::stdout());
    let say = |line: String| {
        let mut out = said.lock().unwrap();
        writeln!(out, "{line}").unwrap();
        out.flush().unwrap();
    };
    std::thread::scope(|scope| {
        for number in 0..2 {
            let (log, say) = (&log, &say);
            scope.spawn(move || append_without_end(log, number, say));
        }
        scope.spawn(|| publish_without_end(&log, &say));
    });
}

fn append_without_end(log: &LocalLog, number: u32, say: &dyn Fn(String)) {
    let place = facts(number);
    let mut producer = log.producer("facts").unwrap();
    let mut next = log.watermarks(&place).unwrap().high;
    loop {
        let end = next + 1 + next % 50;
        assert_eq!(append_with(&mut *producer, &place, telling(&place, next..end)).unwrap(), next);
        next = end;
        say(format!("facts {number} {next}"));
    }
}

/// Each batch has one row, over ten keys in turn, and the progress that counts the batches.
fn publish_without_end(log: &LocalLog, say: &dyn Fn(String)) {
    let mut writer = log.fenced("publisher").unwrap();
    let mut done = log.committed("publisher", &facts(0)).unwrap().map_or(0, |it| it.offset);
    loop {
        let row = text(&format!("key {}", done % 10), &done.to_string());
        done += 1;
        let committed = Committed { offset: done, metadata: format!("batch {done}") };
        let batch = FencedBatch {
            records: vec![(events(), row)],
            group: "publisher".to_owned(),
            progress: vec![(facts(0), committed)],
        };
        writer.write(batch).unwrap();
        say(format!("events 0 {done}"));
    }
}

#[test]
fn what_a_killed_process_saw_acknowledged_is_there() {
    let seed: u64 = std::env::var("SEED").map_or_else(|_| rand::random(), |it| it.parse().unwrap());
    println!("SEED={seed}");
    let folder = TempDir::new().unwrap();
    let mut acknowledged = [0, 0, 0];
    for kill in 0..KILLS {
        let lines = 1 + (seed >> (kill * 8)) % 256;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local_log::crash::write_until_killed"])
            .args(["--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        // What it said before it died counts too, so the pipe is read to its end.
        for line in said {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            let index = match words[..] {
                ["facts", "0", _] => 0,
                ["facts", "1", _] => 1,
                ["events", "0", _] => 2,
                _ => continue,
            };
            acknowledged[index] = words[2].parse().unwrap();
            heard += 1;
            if heard == lines {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(heard >= lines, "the process ended by itself after {heard} lines");
        check(folder.path(), acknowledged);
    }
}

fn check(folder: &Path, acknowledged: [u64; 3]) {
    let log = open(folder);
    for number in 0..2 {
        let count = check_tales(&facts(number), &read(&log, &facts(number)).unwrap());
        assert!(count >= acknowledged[number as usize], "{count} of {acknowledged:?}");
    }
    let committed = log.committed("publisher", &facts(0)).unwrap();
    let done = committed.as_ref().map_or(0, |it| it.offset);
    assert!(done >= acknowledged[2], "{done} of {acknowledged:?}");
    if let Some(committed) = committed {
        assert_eq!(committed.metadata, format!("batch {done}"));
    }
    // Rows and progress went together.
    assert_eq!(log.watermarks(&events()).unwrap().high, done);
    let mut reader = log.reader(&events(), 0, Isolation::Committed).unwrap();
    let mut rows = Vec::new();
    let limit = cityevents_runtime::log::PollLimit { records: 1_000, bytes: usize::MAX };
    reader.poll(limit, std::time::Duration::ZERO, &mut rows).unwrap();
    let offsets: Vec<u64> = rows.iter().map(|row| row.offset).collect();
    assert_eq!(offsets, (done.saturating_sub(10)..done).collect::<Vec<_>>());
    for row in rows {
        assert_eq!(row.value.unwrap(), row.offset.to_string());
    }
}
