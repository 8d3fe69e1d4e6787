//! What each field of our records may hold.
//!
//! By the name of the field: the same name means the same in all records. A field that is not here is
//! a finding of its own, since nobody has said what may be in it; a test reads all schemas.

use cityevents_domain::ids::EventId;

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The id of something.
    Id,
    /// A word of ours.
    Word,
    /// What an organiser publishes, or says to everybody who comes.
    Published,
    /// Whatever a program handed in to recognise it again.
    Given,
    /// Bytes that only the key of a person opens.
    Sealed,
}

/// Longest word of ours.
const WORD_BYTES_MAX: usize = 64;
/// The first byte of what is sealed, its nonce and its seal: `cityevents_kit::seal`.
const SEALED_FORMAT: u8 = 1;
const SEALED_BYTES_MIN: usize = 1 + 24 + 16;

const IDS: [&str; 9] = [
    "account_id",
    "cover_image_id_1",
    "cover_image_id_2",
    "ended_session",
    "event_id",
    "kept_session",
    "owner_id",
    "person_id",
    "user_id",
];
const WORDS: [&str; 13] = [
    "cause",
    "code",
    "feed_type",
    "kind",
    "person_kind",
    "role",
    "standing",
    "state",
    "status",
    "template",
    "to",
    "topic_id",
    "verdict",
];
/// Reasons among them are those for calling an event off or taking it back, which all are told; those
/// about one person are bytes.
const PUBLISHED: [&str; 8] =
    ["category", "city", "description", "location", "reason", "subject", "text", "title"];
const GIVEN: [&str; 1] = ["request_id"];

/// What a field may hold; `None`: nobody has said.
pub(super) fn form_of(path: &str, is_bytes: bool) -> Option<Form> {
    if is_bytes {
        return Some(Form::Sealed);
    }
    let name = path.rsplit('.').next().unwrap_or(path).trim_end_matches("[]");
    let sets: [(&[&str], Form); 4] = [
        (&IDS, Form::Id),
        (&WORDS, Form::Word),
        (&PUBLISHED, Form::Published),
        (&GIVEN, Form::Given),
    ];
    sets.into_iter().find(|(names, _)| names.contains(&name)).map(|(_, form)| form)
}

/// Whether a text is an id.
pub(super) fn is_id(text: &str) -> bool {
    // Ids of all kinds are written alike.
    text.parse::<EventId>().is_ok()
}

/// Whether a text can be a word of ours. Ids of topics are among them.
pub(super) fn is_word(text: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.len() <= WORD_BYTES_MAX && text.bytes().all(usual)
}

/// Whether bytes can be sealed: their form, and that nobody can read them.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    let has_form = bytes.first() == Some(&SEALED_FORMAT) && bytes.len() >= SEALED_BYTES_MIN;
    has_form && std::str::from_utf8(bytes).is_err()
}

#[cfg(test)]
mod tests {
    use cityevents_kit::seal::PersonKey;
    use cityevents_schemas::Record;
    use serde_json::Value;

    use super::*;

    /// Names of the fields that hold text or bytes, and whether it is bytes.
    fn fields(schema: &Value, name: &str, found: &mut Vec<(String, bool)>) {
        match schema {
            Value::String(kind) if kind == "string" || kind == "bytes" => {
                found.push((name.to_owned(), kind == "bytes"));
            }
            Value::Array(branches) => branches.iter().for_each(|one| fields(one, name, found)),
            Value::Object(schema) => {
                for field in schema.get("fields").and_then(Value::as_array).into_iter().flatten() {
                    fields(&field["type"], field["name"].as_str().unwrap(), found);
                }
                for inner in ["items", "values", "type"] {
                    schema.get(inner).into_iter().for_each(|one| fields(one, name, found));
                }
            }
            _ => {}
        }
    }

    #[test]
    fn what_may_be_in_it_is_said_of_every_field_of_every_version() {
        let mut seen = 0;
        for version in Record::ALL.into_iter().flat_map(Record::versions) {
            let mut found = Vec::new();
            fields(&serde_json::from_str(version.source).unwrap(), "", &mut found);
            for (name, is_bytes) in found {
                seen += 1;
                let form = form_of(&name, is_bytes);
                assert!(form.is_some(), "{:?} {}: {name}", version.record, version.number);
            }
        }
        assert!(seen > 50, "{seen} fields");
        assert_eq!(form_of("fact.changes[].event.reason", false), Some(Form::Published));
        assert_eq!(form_of("fact.changes[].banned.reason", true), Some(Form::Sealed));
        assert_eq!(form_of("fact.display_name", false), None);
    }

    #[test]
    fn only_what_is_sealed_passes_for_sealed() {
        for text in ["", "no", "a reason that is quite a bit longer than that"] {
            let sealed = PersonKey::generate().unwrap().seal(b"place", text).unwrap();
            assert!(is_sealed(&sealed), "{text}");
            assert!(!is_sealed(text.as_bytes()), "{text}");
            assert!(!is_sealed(&[&[1], text.as_bytes()].concat()), "{text}");
        }
    }
}
