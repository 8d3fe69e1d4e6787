//! Data that was cut or changed: an error, or fewer records at the end, and never a wrong one.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::{LogError, LogErrorKind, TopicPartition};
use tempfile::TempDir;

use super::{KEPT, append, check_tales, copy, files, open, read, telling, topic};

const PARTITIONS: u32 = 2;
const APPENDS: u64 = 40;
const RECORDS: u64 = 10;

fn place(number: u32) -> TopicPartition {
    TopicPartition::new("facts", number)
}

fn fill(folder: &Path) -> std::sync::Arc<LocalLog> {
    let log = open(folder);
    topic(&log, "facts", PARTITIONS, KEPT);
    for first in (0..APPENDS * RECORDS).step_by(RECORDS as usize) {
        for number in 0..PARTITIONS {
            let records = telling(&place(number), first..first + RECORDS);
            append(&log, &place(number), records).unwrap();
        }
    }
    log
}

/// The log as a crash leaves it: everything is acknowledged, nothing was closed.
fn crashed() -> TempDir {
    let (folder, image) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let log = fill(folder.path());
    copy(folder.path(), image.path());
    drop(log);
    without_room(image.path());
    // Written now and then: here the machine stopped before.
    match fs::remove_file(image.path().join("durable")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => image,
    }
}

/// Takes most of the empty room off the journal, which need not be copied again and again.
fn without_room(folder: &Path) {
    let file = OpenOptions::new().write(true).open(journal(folder)).unwrap();
    file.set_len(journal_end(folder) + 5_000).unwrap();
}

fn journal(folder: &Path) -> PathBuf {
    let all = files(&folder.join("store"));
    let mut journals =
        all.into_iter().filter(|file| file.extension().is_some_and(|it| it == "jnl"));
    let only = journals.next().unwrap();
    assert_eq!(journals.next(), None);
    only
}

/// Where the journal's contents end: behind that it is empty room.
fn journal_end(folder: &Path) -> u64 {
    let bytes = fs::read(journal(folder)).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}

/// Opens and reads everything; counts the records if there is no error.
fn counted(folder: &Path) -> Result<Vec<u64>, LogError> {
    let log = LocalLog::open(folder, LocalOptions::default())?;
    (0..PARTITIONS)
        .map(|number| Ok(check_tales(&place(number), &read(&log, &place(number))?)))
        .collect()
}

/// One of its own each time, unless it is given.
fn seed() -> u64 {
    std::env::var("SEED").map_or_else(|_| rand::random(), |text| text.parse().unwrap())
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 20) % end
    }
}

#[test]
fn everything_acknowledged_is_there_after_a_crash() {
    let image = crashed();
    assert_eq!(counted(image.path()).unwrap(), [APPENDS * RECORDS; PARTITIONS as usize]);
}

#[test]
fn a_journal_that_was_cut_gives_the_records_before_the_cut() {
    let image = crashed();
    let end = journal_end(image.path());
    let mut dice = Dice(seed());
    println!("SEED={}", dice.0);
    let mut fewer = 0;
    for _ in 0..12 {
        let folder = TempDir::new().unwrap();
        copy(image.path(), folder.path());
        let length = end / 4 + dice.below(end - end / 4);
        let file = OpenOptions::new().write(true).open(journal(folder.path())).unwrap();
        file.set_len(length).unwrap();
        let counts = counted(folder.path()).unwrap();
        assert!(counts.iter().all(|count| *count <= APPENDS * RECORDS), "{counts:?}");
        assert!(counts[0] >= counts[1], "in the order in which they were written: {counts:?}");
        fewer += u32::from(counts != [APPENDS * RECORDS; PARTITIONS as usize]);
        // And it goes on from there.
        let log = open(folder.path());
        let records = telling(&place(0), counts[0]..counts[0] + 5);
        assert_eq!(append(&log, &place(0), records).unwrap(), counts[0]);
        drop(log);
        assert_eq!(counted(folder.path()).unwrap(), [counts[0] + 5, counts[1]]);
    }
    assert!(fewer > 0);
}

/// Bytes of the last append's batch, or somewhat less.
const LAST_BYTES: u64 = 1_500;

#[test]
fn a_last_write_that_was_torn_is_dropped_and_nothing_else() {
    let image = crashed();
    let end = journal_end(image.path());
    let mut dice = Dice(seed());
    println!("SEED={}", dice.0);
    for _ in 0..12 {
        let folder = TempDir::new().unwrap();
        copy(image.path(), folder.path());
        let file = OpenOptions::new().write(true).open(journal(folder.path())).unwrap();
        // Pages that never came to the disk read as zeros.
        let length = 100 + dice.below(LAST_BYTES - 100);
        let at = end - LAST_BYTES + dice.below(LAST_BYTES - length);
        file.write_all_at(&vec![0; length as usize], at).unwrap();
        let all = APPENDS * RECORDS;
        assert_eq!(counted(folder.path()).unwrap(), [all, all - RECORDS]);
    }
}

#[test]
fn a_journal_that_was_changed_before_its_last_write_is_an_error() {
    let image = crashed();
    let end = journal_end(image.path());
    let mut dice = Dice(seed());
    println!("SEED={}", dice.0);
    for _ in 0..25 {
        let folder = TempDir::new().unwrap();
        copy(image.path(), folder.path());
        let path = journal(folder.path());
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut bytes = vec![0; 1 + dice.below(40) as usize];
        let at = dice.below(end - 3 * LAST_BYTES);
        file.read_exact_at(&mut bytes, at).unwrap();
        let changed: Vec<u8> =
            bytes.iter().map(|byte| byte ^ (1 + dice.below(255)) as u8).collect();
        file.write_all_at(&changed, at).unwrap();
        let error = counted(folder.path()).unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Corrupt, "{error}");
    }
}

#[test]
fn records_that_were_acknowledged_before_a_clean_end_and_are_gone_are_an_error() {
    let folder = TempDir::new().unwrap();
    drop(fill(folder.path()));
    let end = journal_end(folder.path());
    let file = OpenOptions::new().write(true).open(journal(folder.path())).unwrap();
    file.set_len(end - 100).unwrap();
    let error = counted(folder.path()).unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::Corrupt);
    assert!(error.to_string().contains("facts/1"), "{error}");
}

#[test]
fn tables_that_were_changed_give_an_error_or_the_right_records() {
    let image = TempDir::new().unwrap();
    let log = open(image.path());
    topic(&log, "facts", PARTITIONS, KEPT);
    // Enough for several tables, and for values in files of their own.
    for first in (0..300_000).step_by(2_000) {
        append(&log, &place(0), telling(&place(0), first..first + 2_000)).unwrap();
        append(&log, &place(1), telling(&place(1), first / 100..first / 100 + 20)).unwrap();
    }
    drop(log);
    let whole = counted(image.path()).unwrap();
    assert_eq!(whole, [300_000, 3_000]);
    let tables = files(&image.path().join("store").join("keyspaces"));
    let large = |file: &PathBuf| file.metadata().unwrap().len() > 1_000;
    let tables: Vec<_> = tables.into_iter().filter(large).collect();
    assert!(tables.len() >= 2, "{tables:?}");

    let mut dice = Dice(seed());
    println!("SEED={}", dice.0);
    let mut errors = 0;
    for round in 0..8 {
        let folder = TempDir::new().unwrap();
        copy(image.path(), folder.path());
        let table = &tables[round % tables.len()];
        let table = folder.path().join(table.strip_prefix(image.path()).unwrap());
        let file = OpenOptions::new().read(true).write(true).open(&table).unwrap();
        let at = dice.below(file.metadata().unwrap().len());
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << dice.below(8))], at).unwrap();
        match counted(folder.path()) {
            Ok(counts) => assert_eq!(counts, whole),
            Err(error) => {
                assert_eq!(error.kind(), LogErrorKind::Corrupt, "{error}");
                errors += 1;
            }
        }
    }
    assert!(errors > 0, "no change was noticed");
}
