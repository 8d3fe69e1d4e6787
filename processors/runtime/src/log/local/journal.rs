//! Looks through the storage engine's journal before the engine does.
//!
//! After loss of power the last writes may be torn: some of their pages on the disk, others not.
//! The engine refuses to open some of that, and takes other damage, wherever it is, for the end of
//! the journal and forgets what comes behind. Neither is right: what nobody was told of may go, and
//! what was acknowledged may not.
//!
//! Every round of the writer carries a [`Stamp`]: its number, and the newest round that was durable
//! when it began. So a batch behind the damage tells whether the damaged one was acknowledged. If
//! so, the log is damaged; if not, the journal is cut before the damage and all is well.
//!
//! The journal's form is that of the engine's third version of its files: batches of
//! `1, count u32, sequence u64`, then entries, then `3, XXH3 of the entries u64, "FJL" 3`; an entry
//! is `2, kind u8, compression u8, keyspace u64, key length u16, value length u32, stored length
//! u32, key, value` or `4, keyspace u64`. Little endian.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::log::{LogError, LogErrorKind};

/// Where the stamp stands in the store.
pub(super) const STAMP_KEY: &[u8] = b"round";

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";

/// What a round of the writer says of itself and of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    /// Counted from 1.
    pub(super) round: u64,
    /// The newest round that was durable when this one began.
    pub(super) durable: u64,
}

impl Stamp {
    pub(super) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.round.to_be_bytes());
        bytes[8..].copy_from_slice(&self.durable.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (round, durable) = bytes.split_first_chunk::<8>()?;
        let durable = <[u8; 8]>::try_from(durable).ok()?;
        Some(Self { round: u64::from_be_bytes(*round), durable: u64::from_be_bytes(durable) })
    }
}

/// Checks all journals in the folder of a store; cuts off a torn end of the newest.
pub(super) fn inspect(folder: &Path) -> Result<(), LogError> {
    let cannot = |error: io::Error| {
        let message = format!("cannot read the journal in {}: {error}", folder.display());
        LogError::new(LogErrorKind::Unavailable, message)
    };
    let journals = journals(folder).map_err(cannot)?;
    let mut newest = None;
    for (index, path) in journals.iter().enumerate() {
        let bytes = fs::read(path).map_err(cannot)?;
        let whole = whole(&bytes, &mut newest);
        let rest = &bytes[whole..];
        if rest.iter().all(|byte| *byte == 0) {
            // Room that was never written to.
            continue;
        }
        // A journal is made durable as a whole before the next one begins.
        let is_newest = index + 1 == journals.len();
        if !is_newest || vouched(rest, newest) {
            let message = format!(
                "the journal {} is damaged at byte {whole}, in records that were acknowledged; \
                 restore the data folder from a backup",
                path.display()
            );
            return Err(LogError::new(LogErrorKind::Corrupt, message));
        }
        tracing::warn!(
            journal.path = %path.display(),
            journal.bytes = whole,
            "the last write before the machine stopped was torn and is dropped"
        );
        let file = OpenOptions::new().write(true).open(path).map_err(cannot)?;
        file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(cannot)?;
    }
    Ok(())
}

/// The journals, oldest first.
fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|it| it == "jnl")) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// How far the batches of a journal are whole, and the newest round in them.
fn whole(bytes: &[u8], newest: &mut Option<u64>) -> usize {
    let mut at = 0;
    while let Some(batch) = batch(&bytes[at..]) {
        at += batch.bytes;
        *newest = batch.stamp.map(|stamp| stamp.round).or(*newest);
    }
    at
}

/// Whether a batch somewhere in `rest` tells that the round after `newest` was durable.
fn vouched(rest: &[u8], newest: Option<u64>) -> bool {
    let starts = (0..rest.len()).filter(|at| rest[*at] == START);
    let stamps = starts.filter_map(|at| batch(&rest[at..])?.stamp);
    for stamp in stamps {
        let first_damaged = newest.map_or(stamp.round.saturating_sub(1), |newest| newest + 1);
        if first_damaged <= stamp.durable && first_damaged < stamp.round {
            return true;
        }
    }
    false
}

struct Batch {
    bytes: usize,
    stamp: Option<Stamp>,
}

/// The batch at the beginning of `bytes`, if there is a whole one.
fn batch(bytes: &[u8]) -> Option<Batch> {
    let mut rest = bytes;
    let [start] = take(&mut rest)?;
    let count = u32::from_le_bytes(take(&mut rest)?);
    let _sequence: [u8; 8] = take(&mut rest)?;
    if start != START {
        return None;
    }
    let entries = rest;
    let mut stamp = None;
    for _ in 0..count {
        match take(&mut rest)? {
            [ITEM] => {
                let _kind_compression_keyspace: [u8; 10] = take(&mut rest)?;
                let key_bytes = u16::from_le_bytes(take(&mut rest)?);
                let _value_bytes: [u8; 4] = take(&mut rest)?;
                let stored_bytes = u32::from_le_bytes(take(&mut rest)?);
                let (key, after) = rest.split_at_checked(usize::from(key_bytes))?;
                let (value, after) = after.split_at_checked(stored_bytes as usize)?;
                rest = after;
                if key == STAMP_KEY {
                    stamp = Stamp::decode(value);
                }
            }
            [CLEAR] => {
                let _keyspace: [u8; 8] = take(&mut rest)?;
            }
            _ => return None,
        }
    }
    let checksum = xxh3_64(&entries[..entries.len() - rest.len()]);
    let [end] = take(&mut rest)?;
    let expected = u64::from_le_bytes(take(&mut rest)?);
    let rest = rest.strip_prefix(TRAILER)?;
    (end == END && expected == checksum).then_some(Batch { bytes: bytes.len() - rest.len(), stamp })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(round: u64, durable: u64, filling: usize) -> Vec<u8> {
        let mut entries = Vec::new();
        let value = vec![9; filling];
        let stamp = Stamp { round, durable }.encode();
        for (key, value) in [(&b"records"[..], &value[..]), (STAMP_KEY, &stamp)] {
            entries.extend([ITEM, 0, 0]);
            entries.extend(7_u64.to_le_bytes());
            entries.extend((key.len() as u16).to_le_bytes());
            entries.extend((value.len() as u32).to_le_bytes());
            entries.extend((value.len() as u32).to_le_bytes());
            entries.extend([key, value].concat());
        }
        let mut bytes = vec![START];
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(round.to_le_bytes());
        bytes.extend(&entries);
        bytes.push(END);
        bytes.extend(xxh3_64(&entries).to_le_bytes());
        bytes.extend(TRAILER);
        bytes
    }

    /// What is left of three rounds of which the second is damaged.
    fn inspected(durable_of_third: u64) -> Result<usize, LogErrorKind> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("3.jnl");
        let (first, mut second) = (encode(1, 0, 100), encode(2, 1, 5_000));
        second[2_000..3_000].fill(0);
        let third = encode(3, durable_of_third, 50);
        let room = vec![0; 10_000];
        fs::write(&path, [&first[..], &second, &third, &room].concat()).unwrap();
        inspect(folder.path()).map_err(|error| error.kind())?;
        let left = fs::read(&path).unwrap();
        assert!(first.starts_with(&left));
        Ok(left.len())
    }

    #[test]
    fn a_torn_end_that_nobody_was_told_of_is_cut_off() {
        assert_eq!(inspected(1), Ok(encode(1, 0, 100).len()));
    }

    #[test]
    fn damage_in_what_was_acknowledged_is_an_error() {
        assert_eq!(inspected(2), Err(LogErrorKind::Corrupt));
    }

    #[test]
    fn damage_at_the_beginning_is_told_by_the_round_behind_it() {
        let damaged = vec![7; 500];
        assert!(vouched(&[&damaged[..], &encode(9, 8, 10)].concat(), None));
        assert!(!vouched(&[&damaged[..], &encode(9, 7, 10)].concat(), None));
        assert!(vouched(&[&damaged[..], &encode(9, 7, 10)].concat(), Some(6)));
        assert!(!vouched(&damaged, None));
    }

    #[test]
    fn an_older_journal_must_be_whole() {
        let folder = tempfile::TempDir::new().unwrap();
        let batch = encode(1, 0, 100);
        fs::write(folder.path().join("9.jnl"), &batch[..batch.len() - 1]).unwrap();
        fs::write(folder.path().join("10.jnl"), encode(2, 1, 100)).unwrap();
        let refused = inspect(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), LogErrorKind::Corrupt);
        fs::write(folder.path().join("9.jnl"), [&batch[..], &[0; 50]].concat()).unwrap();
        inspect(folder.path()).unwrap();
    }

    #[test]
    fn a_store_that_is_not_there_yet_has_nothing_to_inspect() {
        inspect(Path::new("/there is no such folder")).unwrap();
    }
}
