//! One record: its key, its headers and its value.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use cityevents_runtime::log::Record;
use cityevents_schemas::catalog::{Key, Topic};
use cityevents_schemas::{DecodeError, ErrorClass, Leaf, LeafReader, LeafValue};

use super::forms::{Form, form_of, is_id, is_sealed, is_word};
use super::search::{Hit, Search};

/// Key of an account's record about one session.
const SESSION_KEY: &str = "session/";
/// Hexadecimal digits of the hash of a recipient.
const RECIPIENT_BYTES: usize = 16;
/// Headers whose words are ours, and who on the staff did something: no names are looked for there.
const OUR_HEADERS: [&str; 6] =
    ["ce_type", "ce_source", "content-type", "failure-class", "handled-action", "handled-by"];

/// What was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) records: u64,
    /// Texts and pieces of bytes, each in a field whose form is known.
    pub(super) texts: u64,
    /// Those that only the key of a person opens.
    pub(super) sealed: u64,
    /// Records that are none of ours.
    pub(super) undecodable: u64,
    /// Accounts in what organisers publish.
    pub(super) published: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.texts += other.texts;
        self.sealed += other.sealed;
        self.undecodable += other.undecodable;
        self.published += other.published;
    }
}

/// Texts that organisers publish and that have somebody in them. Whatever repeats them publishes them
/// too.
pub(super) type Published = BTreeSet<Vec<u8>>;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offence {
    /// Where in it.
    pub(super) field: String,
    /// What, without saying it.
    pub(super) what: String,
}

impl Offence {
    fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self { field: field.into(), what: what.into() }
    }
}

/// Checks a record.
///
/// # Errors
/// When its schema cannot be had now. What is no record of ours is searched as it is.
pub(super) fn check(
    topic: &Topic,
    record: &Record,
    leaves: &mut LeafReader<'_>,
    search: &Search,
    published: &mut Published,
) -> Result<Result<Seen, Offence>, DecodeError> {
    let value = record.value.as_deref().unwrap_or_default();
    let read = match leaves.read(value) {
        Ok(read) => Some(read.leaves),
        Err(error) if error.class() == ErrorClass::Retry => return Err(error),
        Err(_) => None,
    };
    let judged = judge(topic, record, value, read.as_deref(), search);
    Ok(judged.map(|(seen, texts)| {
        published.extend(texts);
        seen
    }))
}

fn judge(
    topic: &Topic,
    record: &Record,
    value: &[u8],
    leaves: Option<&[Leaf]>,
    search: &Search,
) -> Result<(Seen, Vec<Vec<u8>>), Offence> {
    let key = record.key.as_deref().unwrap_or_default();
    // What is no record of ours may have any key.
    if (leaves.is_some() || value.is_empty()) && !is_key(topic.key, key) {
        return Err(Offence::new("its key", "is none of this topic's"));
    }
    no_person_in("its key", key, search)?;
    for (name, value) in record.headers.iter() {
        if let Some(hit) = search.texts_in(name.as_bytes()).next() {
            return Err(Offence::new("the name of a header", hit.what));
        }
        header(name, value, search)?;
    }
    let mut seen = Seen { records: 1, ..Seen::default() };
    let Some(leaves) = leaves else {
        if !value.is_empty() {
            seen.undecodable = 1;
            no_person_in("its value, which is no record of ours,", value, search)?;
        }
        return Ok((seen, Vec::new()));
    };
    for leaf in leaves {
        seen.texts += 1;
        seen.sealed += u64::from(has_form(leaf, search)? == Form::Sealed);
    }
    let published = everywhere(value, leaves, search)?;
    seen.published = published.len() as u64;
    Ok((seen, published))
}

fn no_person_in(field: &str, text: &[u8], search: &Search) -> Result<(), Offence> {
    search.wrong_with(text).map_or(Ok(()), |what| Err(Offence::new(field, what)))
}

fn header(name: &str, value: &[u8], search: &Search) -> Result<(), Offence> {
    let field = || format!("the header {name}");
    if OUR_HEADERS.contains(&name) {
        let hit = search.texts_in(value).next();
        return hit.map_or(Ok(()), |hit| Err(Offence::new(field(), hit.what)));
    }
    no_person_in(&field(), value, search)
}

fn is_key(kind: Key, key: &[u8]) -> bool {
    let Ok(key) = std::str::from_utf8(key) else { return false };
    // Where the writer says the partition, or nothing is closed but time has passed.
    if key.is_empty() {
        return true;
    }
    match kind {
        Key::EventId | Key::UserId => is_id(key),
        Key::AccountId => is_id(key.strip_prefix(SESSION_KEY).unwrap_or(key)),
        Key::EventUser => {
            key.split_once(':').is_some_and(|(event, user)| is_id(event) && is_id(user))
        }
        Key::Recipient => {
            key.len() == RECIPIENT_BYTES && key.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        Key::Source => true,
        Key::None => false,
    }
}

/// Whether a field holds what it may.
fn has_form(leaf: &Leaf, search: &Search) -> Result<Form, Offence> {
    let path = &*leaf.path;
    let is_bytes = matches!(leaf.value, LeafValue::Bytes(_));
    let Some(form) = form_of(path, is_bytes) else {
        return Err(Offence::new(path, "is a field of which nobody has said what may be in it"));
    };
    match (&leaf.value, form) {
        (LeafValue::Bytes(bytes), _) if !is_sealed(bytes) => {
            Err(Offence::new(path, "is about a person, and not sealed"))
        }
        (LeafValue::Text(text), Form::Id) if !is_id(text) => Err(Offence::new(path, "is no id")),
        (LeafValue::Text(text), Form::Word) if !is_word(text) => {
            Err(Offence::new(path, "is no word of ours"))
        }
        (LeafValue::Text(text), Form::Given) => {
            no_person_in(path, text.as_bytes(), search).map(|()| form)
        }
        _ => Ok(form),
    }
}

/// Looks for people in the bytes of a value, whatever they mean, and tells the published texts that
/// they stand in.
fn everywhere(value: &[u8], leaves: &[Leaf], search: &Search) -> Result<Vec<Vec<u8>>, Offence> {
    let texts = |wanted: fn(Form) -> bool| {
        let text = move |leaf: &Leaf| match &leaf.value {
            LeafValue::Text(text) if form_of(&leaf.path, false).is_some_and(wanted) => {
                Some(text.clone().into_bytes())
            }
            _ => None,
        };
        leaves.iter().filter_map(text).collect::<Vec<_>>()
    };
    let mut published = Vec::new();
    let hits = search.texts_in(value).map(|hit| (hit, true));
    for (hit, is_address) in hits.chain(search.names_in_bytes(value).map(|hit| (hit, false))) {
        let place = text_around(&hit, value, texts(|form| form == Form::Published));
        match place {
            Some(text) if !hit.is_given => published.push(text),
            // Words of ours, and ids, were looked at as such.
            None if !is_address
                && text_around(&hit, value, texts(|form| form != Form::Given)).is_some() => {}
            _ => return Err(Offence::new("its value", hit.what)),
        }
    }
    Ok(published)
}

/// The text among these that what was found is a part of.
pub(super) fn text_around(
    hit: &Hit,
    bytes: &[u8],
    texts: impl IntoIterator<Item = Vec<u8>>,
) -> Option<Vec<u8>> {
    let length = hit.range.len();
    texts.into_iter().find(|text| {
        let last = text.len().checked_sub(length);
        last.is_some_and(|last| {
            (0..=last).any(|inside| {
                let start = hit.range.start.checked_sub(inside);
                start.is_some_and(|start| bytes.get(start..start + text.len()) == Some(text))
            })
        })
    })
}
