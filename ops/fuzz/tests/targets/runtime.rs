//! Headers, links of chains, cursors and snapshots.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use cityevents_fuzz::Seen;
use cityevents_fuzz::values::{number, offset, text};
use cityevents_runtime::chain::{ChainReader, ChainWriter, Cursor, LINK_HEADER, Linked};
use cityevents_runtime::log::{Headers, Record, headers::HeadersBuilder};
use cityevents_runtime::replies::{ATTEMPT_HEADER, REPLY_TO_HEADER, ReplyTo, attempt_of};
use cityevents_runtime::snapshot::{Description, SnapshotError, SnapshotStore};
use futures::executor::block_on;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::{fuzz, reads_back};

fn some_bytes(rng: &mut SmallRng) -> Vec<u8> {
    (0..rng.random_range(0..60)).map(|_| rng.random()).collect()
}

fn headers(rng: &mut SmallRng) -> HeadersBuilder {
    let mut builder = HeadersBuilder::default();
    for _ in 0..rng.random_range(0..5) {
        builder.push(&text(rng), &some_bytes(rng));
    }
    builder
}

#[test]
fn blocks_of_headers_are_read_or_refused() {
    fuzz(
        "runtime Headers::from_bytes",
        |rng| headers(rng).build().as_bytes().to_vec(),
        |input| {
            let Some(headers) = Headers::from_bytes(Bytes::copy_from_slice(input)) else {
                return Ok(Seen::Refused);
            };
            let mut again = HeadersBuilder::default();
            for (name, value) in headers.iter() {
                again.push(name, value);
            }
            // Each look-up goes through all of them.
            for (name, _) in headers.iter().take(16) {
                let last = headers.iter().filter(|(known, _)| *known == name).last();
                if headers.get(name) != last.map(|(_, value)| value) {
                    return Err(format!("the last value of {name:?} does not count"));
                }
                let _ = headers.get_text(name);
            }
            let _ = format!("{headers:?}");
            match again.build() == headers
                && HeadersBuilder::from_headers(&headers).build() == headers
            {
                true => Ok(Seen::Accepted),
                false => Err("put together again, they are other headers".to_owned()),
            }
        },
    );
}

#[test]
fn where_an_answer_goes_is_read_or_not_there() {
    let make = |rng: &mut SmallRng| {
        let to = ReplyTo { partition: number(rng), attempt: rng.random() };
        let mut builder = headers(rng);
        builder.push(REPLY_TO_HEADER, &to.to_bytes()).push(ATTEMPT_HEADER, &to.attempt);
        builder.build().as_bytes().to_vec()
    };
    fuzz("runtime ReplyTo::of", make, |input| {
        let Some(headers) = Headers::from_bytes(Bytes::copy_from_slice(input)) else {
            return Ok(Seen::Refused);
        };
        let (to, attempt) = (ReplyTo::of(&headers), attempt_of(&headers));
        let written = to.map(|to| to.to_bytes().to_vec());
        if written.is_some() && written.as_deref() != headers.get(REPLY_TO_HEADER) {
            return Err(format!("{to:?} is not what the header says"));
        }
        if attempt.is_some_and(|attempt| headers.get(ATTEMPT_HEADER) != Some(&attempt[..])) {
            return Err(format!("{attempt:?} is not what the header says"));
        }
        Ok(Seen::of(to.is_some()))
    });
}

/// Reads a cursor and asks it for the next command.
pub(super) fn check_cursor(input: &[u8]) -> Result<Seen, String> {
    let read = |bytes: &[u8]| {
        let cursor = std::str::from_utf8(bytes).ok().and_then(Cursor::parse).ok_or(())?;
        Ok::<_, ()>((cursor, cursor.next_command()))
    };
    reads_back(read(input), |(cursor, _)| cursor.to_text().into_bytes(), read)
}

#[test]
fn cursors_are_read_or_refused() {
    let make = |rng: &mut SmallRng| {
        let offset = offset(rng) as i64 - 1;
        Cursor { offset, digest: rng.random() }.to_text().into_bytes()
    };
    fuzz("runtime Cursor::parse", make, check_cursor);
}

/// Records one after the other: each part is preceded by its length.
fn joined(records: &[(Headers, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (headers, value) in records {
        for part in [&headers.as_bytes()[..], value] {
            out.extend_from_slice(&(part.len() as u16).to_le_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

/// As many records as can be read.
fn parted(input: &[u8]) -> Vec<(Headers, Bytes)> {
    fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (part, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
        *rest = after;
        Some(part)
    }
    let mut rest = input;
    let mut records = Vec::new();
    while let (Some(headers), Some(value)) = (part(&mut rest), part(&mut rest)) {
        let headers = Headers::from_bytes(Bytes::copy_from_slice(headers)).unwrap_or_default();
        records.push((headers, Bytes::copy_from_slice(value)));
    }
    records
}

#[test]
fn a_chain_takes_no_link_that_nobody_made() {
    /// A link header and the value it speaks for.
    type Made = BTreeSet<(Vec<u8>, Vec<u8>)>;
    let made: RefCell<Made> = RefCell::default();
    let make = |rng: &mut SmallRng| {
        let mut records = Vec::new();
        let first = u64::from(number(rng));
        let value = some_bytes(rng);
        let mut builder = HeadersBuilder::default();
        ChainWriter::genesis(&text(rng), first, &value, &mut builder);
        records.push((builder.build(), value));
        let mut reader = ChainReader::new(None);
        reader.accept(&record(&records[0].0, &Bytes::copy_from_slice(&records[0].1)));
        let mut writer = ChainWriter::new(reader.cursor().unwrap(), 1);
        let mut command = first;
        for _ in 0..rng.random_range(0..6) {
            let (mut builder, value) = (headers(rng), some_bytes(rng));
            writer.link(command, &value, &mut builder);
            command += rng.random_range(1..5);
            records.push((builder.build(), value));
        }
        for (headers, value) in &records {
            let link = headers.get(LINK_HEADER).unwrap().to_vec();
            made.borrow_mut().insert((link, value.clone()));
        }
        joined(&records)
    };
    fuzz("runtime ChainReader::accept", make, |input| {
        let mut reader = ChainReader::new(None);
        let mut accepted = false;
        for (headers, value) in parted(input) {
            let before = reader.cursor();
            if let Linked::Dropped(_) = reader.accept(&record(&headers, &value)) {
                if reader.cursor() != before {
                    return Err("a dropped record moved the cursor".to_owned());
                }
                continue;
            }
            accepted = true;
            let link = headers.get(LINK_HEADER).unwrap_or_default().to_vec();
            if !made.borrow().contains(&(link, value.to_vec())) {
                return Err(format!("a record counts that nobody made: {headers:?}"));
            }
            let cursor = reader.cursor().ok_or("a record counts, and there is no cursor")?;
            if before.is_some_and(|before| before.offset >= cursor.offset) {
                return Err(format!("the chain went from {before:?} to {cursor:?}"));
            }
            if Cursor::parse(&cursor.to_text()) != Some(cursor) {
                return Err(format!("{cursor:?} does not read back"));
            }
        }
        Ok(Seen::of(accepted))
    });
}

fn record(headers: &Headers, value: &Bytes) -> Record {
    Record {
        offset: 0,
        timestamp_ms: 0,
        key: None,
        value: Some(value.clone()),
        headers: headers.clone(),
    }
}

/// A snapshot store, and the store below it.
pub(super) struct Snapshots {
    files: Arc<InMemory>,
    store: SnapshotStore,
}

impl Snapshots {
    pub(super) fn new() -> Self {
        let files = Arc::new(InMemory::new());
        let store = SnapshotStore::new(Arc::<InMemory>::clone(&files)).unwrap();
        Self { files, store }
    }

    /// The bytes of the file of a random snapshot.
    fn file(&self, rng: &mut SmallRng) -> Vec<u8> {
        let state: Vec<u8> = some_bytes(rng).repeat(rng.random_range(0..9));
        let description = Description {
            topology: format!("t{}", number(rng)),
            fold_version: number(rng),
            command_topic_id: text(rng),
            fact_topic_id: text(rng),
            partition: number(rng),
            fact_offset: offset(rng),
            cursor: Cursor { offset: offset(rng) as i64 - 1, digest: rng.random() }.to_text(),
            taken_at_ms: rng.random(),
            state_bytes: state.len() as u64,
        };
        self.file_of(&description, &state)
    }

    /// The bytes of the file of a snapshot.
    pub(super) fn file_of(&self, description: &Description, state: &[u8]) -> Vec<u8> {
        let path = Path::parse(self.store.put(description, state).unwrap()).unwrap();
        let file = block_on(async { self.files.get(&path).await.unwrap().bytes().await.unwrap() });
        block_on(self.files.delete(&path)).unwrap();
        file.to_vec()
    }

    /// Reads a file through the store; what was read is put and read again.
    pub(super) fn check(&self, file: &[u8]) -> Result<Seen, String> {
        let name = Path::from("registration/00000/x/1.snapshot");
        let payload = PutPayload::from(file.to_vec());
        block_on(self.files.put(&name, payload)).unwrap();
        let (description, state) = match self.store.get(name.as_ref()) {
            Ok(read) => read,
            Err(SnapshotError::Damaged { .. }) => return Ok(Seen::Refused),
            Err(other) => return Err(format!("it is damaged, and this is said: {other}")),
        };
        if description.state_bytes != state.len() as u64 {
            return Err(format!("{} bytes, and {description:?}", state.len()));
        }
        let _ = description.position().map(|position| position.cursor.next_command());
        let again = self.store.put(&description, &state).map_err(|error| error.to_string())?;
        let read = self.store.get(&again).map_err(|error| error.to_string())?;
        block_on(self.files.delete(&Path::parse(again).unwrap())).unwrap();
        match read == (description, state) {
            true => Ok(Seen::Accepted),
            false => Err("put and read again, it is another snapshot".to_owned()),
        }
    }
}

/// A file with a checksum that fits.
pub(super) fn sealed(body: &[u8]) -> Vec<u8> {
    [body, blake3::hash(body).as_bytes()].concat()
}

#[test]
fn a_snapshot_file_with_any_byte_changed_is_refused() {
    let snapshots = Snapshots::new();
    let made: RefCell<BTreeSet<Vec<u8>>> = RefCell::default();
    let make = |rng: &mut SmallRng| {
        let file = snapshots.file(rng);
        made.borrow_mut().insert(file.clone());
        file
    };
    fuzz("runtime SnapshotStore::get", make, |input| match snapshots.check(input)? {
        Seen::Accepted if !made.borrow().contains(input) => {
            Err("a file is read that nobody wrote".to_owned())
        }
        seen => Ok(seen),
    });
}

#[test]
fn a_snapshot_file_whose_checksum_fits_is_read_or_refused() {
    let snapshots = Snapshots::new();
    let make = |rng: &mut SmallRng| {
        let mut file = snapshots.file(rng);
        file.truncate(file.len() - blake3::OUT_LEN);
        file
    };
    let check = |input: &[u8]| snapshots.check(&sealed(input));
    fuzz("runtime SnapshotStore::get, resealed", make, check);
}
