//! A second opinion on how far each partition went.
//!
//! After a crash the storage engine reads its journal up to the first damaged entry and takes that
//! for the end. That is right for what was being written when the machine stopped, and wrong for a
//! disk that lost or changed bytes in the middle: records that were acknowledged would be gone and
//! nobody would say so. So the high watermarks of what is durable are written to a small file now
//! and then and at a clean end, and a start that finds less than that refuses.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::replace;
use super::keys::take;

const FILE: &str = "durable";

/// Begins the file.
const MAGIC: &[u8] = b"durable1";

/// High watermarks by topic and partition.
pub(super) type Marks = BTreeMap<(u32, u32), u64>;

pub(super) struct Witness {
    path: PathBuf,
    /// What the file says.
    written: Marks,
}

impl Witness {
    /// Reads the file; a missing or damaged one tells nothing.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let written = match std::fs::read(&path) {
            Ok(bytes) => decode(&bytes).unwrap_or_else(|| {
                tracing::warn!(path = %path.display(), "a file of watermarks is damaged and ignored");
                Marks::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Marks::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, written })
    }

    /// What was durable for sure.
    pub(super) fn mark(&self, topic: u32, partition: u32) -> u64 {
        self.written.get(&(topic, partition)).copied().unwrap_or(0)
    }

    /// Whether these marks are news.
    pub(super) fn differs(&self, marks: &Marks) -> bool {
        self.written != *marks
    }

    /// Writes the file anew. All up to these marks must be durable.
    pub(super) fn write(&mut self, marks: Marks) -> io::Result<()> {
        replace(&self.path, &encode(&marks))?;
        self.written = marks;
        Ok(())
    }
}

fn encode(marks: &Marks) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for ((topic, partition), high) in marks {
        bytes.extend_from_slice(&topic.to_be_bytes());
        bytes.extend_from_slice(&partition.to_be_bytes());
        bytes.extend_from_slice(&high.to_be_bytes());
    }
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Marks> {
    let (mut marks, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(marks) != u32::from_be_bytes(*checksum) {
        return None;
    }
    marks = marks.strip_prefix(MAGIC)?;
    let mut decoded = Marks::new();
    while !marks.is_empty() {
        let topic = u32::from_be_bytes(take(&mut marks)?);
        let partition = u32::from_be_bytes(take(&mut marks)?);
        decoded.insert((topic, partition), u64::from_be_bytes(take(&mut marks)?));
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back_unless_a_byte_changed() {
        let marks = Marks::from([((0, 0), 7), ((3, 1), u64::MAX)]);
        let bytes = encode(&marks);
        assert_eq!(decode(&bytes), Some(marks));
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(decode(&changed), None, "byte {index}");
            assert_eq!(decode(&bytes[..index]), None, "cut to {index}");
        }
    }
}
