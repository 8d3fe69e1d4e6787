//! The reader rule once more, in few lines and from the description alone, so that a mistake in the
//! runtime's own is seen here.

use cityevents_runtime::log::Record;

use crate::failure::Failure;

const VERSION: u8 = 1;
const KIND_LINK: u8 = 0;
const KIND_GENESIS: u8 = 1;
const HEADER_BYTES: usize = 34;

/// A link that counts: it closes the commands from `first` to before `next`.
pub(super) struct Linked<'a> {
    pub(super) record: &'a Record,
    pub(super) first: u64,
    pub(super) next: u64,
}

/// The links that count, without the genesis.
pub(super) fn read_chain(
    partition: u32,
    records: &[Record],
    looks_at_digests: bool,
) -> Result<Vec<Linked<'_>>, Failure> {
    let mut kept: Option<(i64, [u8; 16])> = None;
    let mut chain = Vec::new();
    for record in records {
        let Some(header) = record.headers.get("link").filter(|it| it.len() == HEADER_BYTES) else {
            let seen = "a record without a link".to_owned();
            return Err(Failure::Chain { partition, offset: record.offset, seen });
        };
        let number = |from: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[from..from + 8]);
            i64::from_be_bytes(bytes)
        };
        let (kind, offset, previous) = (header[1], number(2), number(10));
        let (before, begins) = match kept {
            Some(kept) => (kept, false),
            None => ((-1, [0; 16]), true),
        };
        let expected = if begins { KIND_GENESIS } else { KIND_LINK };
        if kind != expected || previous != before.0 || (!begins && offset <= previous) {
            continue;
        }
        let digest = digest_of(&before.1, kind, offset, previous, record);
        if looks_at_digests && digest != header[18..] {
            continue;
        }
        kept = Some((offset, digest));
        if !begins {
            let (first, next) = ((previous + 1) as u64, (offset + 1) as u64);
            chain.push(Linked { record, first, next });
        }
    }
    Ok(chain)
}

fn digest_of(before: &[u8; 16], kind: u8, offset: i64, previous: i64, record: &Record) -> [u8; 16] {
    let mut all = Vec::with_capacity(256);
    all.extend_from_slice(before);
    all.extend_from_slice(&[VERSION, kind]);
    all.extend_from_slice(&offset.to_be_bytes());
    all.extend_from_slice(&previous.to_be_bytes());
    all.extend_from_slice(record.value.as_deref().unwrap_or_default());
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(&all).as_bytes()[..16]);
    digest
}
