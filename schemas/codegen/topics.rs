//! Writes the topic catalogue (`topics.toml`) as Rust constants, one for each topic, so that a
//! topic's name stands nowhere else and a misspelled one does not compile.

use std::collections::BTreeMap;
use std::fmt::{Error, Write as _};

use serde::Deserialize;

use super::Problem;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    default_partitions: u32,
    default_partitions_dev: u32,
    groups: BTreeMap<String, Group>,
    topics: Vec<Topic>,
}

/// Topics with the same number of partitions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    divisor: u32,
}

/// One topic, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    name: String,
    doc: String,
    group: String,
    key: String,
    cleanup: String,
    retention: String,
    #[serde(default = "create_time")]
    timestamps: String,
    #[serde(default = "yes")]
    durable: bool,
    discipline: String,
    value: String,
    writers: Vec<String>,
    readers: Vec<String>,
    #[serde(default)]
    retries: String,
    #[serde(default)]
    delay: String,
    #[serde(default)]
    dead_letters: String,
}

fn create_time() -> String {
    "create".into()
}

fn yes() -> bool {
    true
}

/// The source of the module `topic`.
pub fn generate(source: &str) -> Result<String, Problem> {
    let file: File = toml::from_str(source).map_err(|error| error.to_string())?;
    let mut out = String::from("// Generated from schemas/topics.toml by schemas/codegen.\n\n");
    write_defaults(&mut out, &file).map_err(|error| error.to_string())?;
    for topic in &file.topics {
        let group = file.groups.get(&topic.group);
        let group = group.ok_or_else(|| format!("{}: no group {}", topic.name, topic.group))?;
        if group.divisor == 0 {
            return Err(format!("group {}: a divisor is at least 1", topic.group));
        }
        let constant = constant(&topic.name)?;
        let fields = fields(topic, group).map_err(|error| format!("{}: {error}", topic.name))?;
        out.push_str(&format!("/// {}\npub const {constant}: Topic = Topic {{\n", topic.doc));
        out.push_str(&fields);
        out.push_str("};\n\n");
    }
    let names: Result<Vec<_>, _> = file.topics.iter().map(|topic| constant(&topic.name)).collect();
    let names = names?;
    out.push_str("/// All topics in the order of the catalogue.\n");
    out.push_str(&format!("pub static ALL: [Topic; {}] = [{}];\n", names.len(), names.join(", ")));
    Ok(out)
}

fn write_defaults(out: &mut String, file: &File) -> Result<(), Error> {
    writeln!(out, "/// Partitions of a topic of a full group in a cluster.")?;
    writeln!(out, "pub const PARTITIONS: u32 = {};\n", file.default_partitions)?;
    writeln!(out, "/// Partitions of a topic of a full group on one machine.")?;
    writeln!(out, "pub const PARTITIONS_DEV: u32 = {};\n", file.default_partitions_dev)
}

fn fields(topic: &Topic, group: &Group) -> Result<String, Problem> {
    let mut out = String::new();
    let mut field = |name: &str, value: String| {
        out.push_str(&format!("    {name}: {value},\n"));
    };
    field("name", format!("{:?}", topic.name));
    field("group", format!("{:?}", topic.group));
    field("divisor", group.divisor.to_string());
    field("key", variant("Key", &topic.key));
    field("cleanup", variant("Cleanup", &topic.cleanup));
    field("retention_ms", optional(duration(&topic.retention)?));
    field("timestamps", variant("Timestamps", &topic.timestamps));
    field("durable", topic.durable.to_string());
    field("discipline", variant("Discipline", &topic.discipline));
    field(
        "value",
        match topic.value.as_str() {
            "raw" => "Value::Raw".into(),
            record => format!("Value::Record({record:?})"),
        },
    );
    field("writers", format!("&{:?}", topic.writers));
    field("readers", format!("&{:?}", topic.readers));
    field("retries", optional_text(&topic.retries));
    let delay = if topic.delay.is_empty() { None } else { duration(&topic.delay)? };
    field("delay_ms", optional(delay));
    field("dead_letters", optional_text(&topic.dead_letters));
    Ok(out)
}

/// `event-commands` becomes `EVENT_COMMANDS`.
fn constant(name: &str) -> Result<String, Problem> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("a topic's name has a-z, 0-9 and -, is {name:?}"));
    }
    Ok(name.to_ascii_uppercase().replace('-', "_"))
}

/// `event-id` becomes `Key::EventId`; the compiler refuses what is no variant.
fn variant(kind: &str, word: &str) -> String {
    let mut name = String::new();
    for part in word.split('-') {
        let (head, tail) = part.split_at(part.len().min(1));
        name.push_str(&head.to_ascii_uppercase());
        name.push_str(tail);
    }
    format!("{kind}::{name}")
}

fn duration(text: &str) -> Result<Option<u64>, Problem> {
    if text == "forever" {
        return Ok(None);
    }
    let bad = || format!("not a length of time (10s, 1m, 2h, 7d, forever): {text:?}");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    Ok(Some(number.checked_mul(unit).ok_or_else(bad)?))
}

fn optional(value: Option<u64>) -> String {
    format!("{value:?}")
}

fn optional_text(text: &str) -> String {
    if text.is_empty() { "None".into() } else { format!("Some({text:?})") }
}
