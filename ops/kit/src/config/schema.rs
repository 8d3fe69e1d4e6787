//! Which keys there are: read from the manual itself, commented ones included.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{oauth, properties};

/// The manual: every key, its default, its meaning.
pub const DEFAULT_TOML: &str = include_str!("../../../config/default.toml");

/// Every key of the manual with the default or, where there is none, an example.
pub(super) struct Schema {
    /// Dotted key → default or example.
    pub(super) keys: BTreeMap<String, Value>,
}

impl Schema {
    /// Reads the manual.
    pub(super) fn read() -> Result<Self, toml::de::Error> {
        let text: Vec<String> = DEFAULT_TOML.lines().map(uncommented).collect();
        let mut keys = BTreeMap::new();
        flatten(&text.join("\n").parse()?, "", &mut keys);
        keys.remove(properties::SECTION);
        Ok(Self { keys })
    }

    /// Default or example of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).or_else(|| self.keys.get(&oauth::described(key)?))
    }

    /// Whether the key names a section.
    pub(super) fn is_section(&self, key: &str) -> bool {
        let is_section = |key: &str| self.keys.keys().any(|known| is_below(known, key));
        is_section(key) || oauth::described(key).is_some_and(|key| is_section(&key))
    }

    /// The known key that looks most like a wrong one.
    pub(super) fn nearest(&self, wrong: &str) -> Option<String> {
        let sought = oauth::described(wrong).unwrap_or_else(|| wrong.to_owned());
        let distances = self.keys.keys().map(|key| (distance(key, &sought), key));
        let (distance, key) = distances.min()?;
        (distance <= sought.len().div_ceil(3)).then(|| oauth::named_like(key, wrong))
    }
}

/// `# key = example` without the sign; other comments as they are.
fn uncommented(line: &str) -> String {
    let rest = line.strip_prefix("# ").unwrap_or_default();
    let is_key = rest.split_once(" = ").is_some_and(|(name, _)| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    if is_key { rest.to_owned() } else { line.to_owned() }
}

pub(super) fn is_below(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// Dotted key → value, for all values that are not tables.
pub(super) fn flatten(table: &Table, prefix: &str, keys: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) if !inner.is_empty() => flatten(inner, &key, keys),
            _ => drop(keys.insert(key, value.clone())),
        }
    }
}

/// Insertions, deletions and replacements from one text to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn every_key_of_the_manual_is_a_field_and_every_field_is_in_the_manual() {
        let schema = Schema::read().unwrap();
        let config = Config::load(Sources::default()).unwrap().config;
        let mut fields = BTreeSet::new();
        leaves(&serde_json::to_value(&config).unwrap(), "", &mut fields);
        let manual: BTreeSet<String> = schema.keys.keys().cloned().collect();
        assert_eq!(manual, fields);
    }

    #[test]
    fn every_secret_can_be_given_as_a_file() {
        let schema = Schema::read().unwrap();
        let files = schema.keys.keys().filter_map(|key| key.strip_suffix("_file"));
        for secret in files {
            assert!(schema.keys.contains_key(secret), "{secret}");
        }
        assert!(schema.keys.contains_key("keys.instance_secret_file"));
    }

    #[test]
    fn a_misspelled_key_finds_its_neighbour() {
        let schema = Schema::read().unwrap();
        assert_eq!(schema.nearest("http.lisen").as_deref(), Some("http.listen"));
        assert_eq!(schema.nearest("completely.else"), None);
    }

    fn leaves(value: &serde_json::Value, prefix: &str, keys: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, member) in members {
                    let key =
                        if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    leaves(member, &key, keys);
                }
            }
            _ => drop(keys.insert(prefix.to_owned())),
        }
    }
}
