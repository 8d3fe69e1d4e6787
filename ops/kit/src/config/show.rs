//! What is in effect, and why.

use std::fmt;

use serde_json::Value;

use super::load::{Loaded, Origin};

/// One value in effect.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ShownValue {
    /// The dotted key.
    pub key: String,
    /// The value; `null` where none is given, redacted where it is secret.
    pub value: Value,
    /// Where it comes from.
    pub origin: String,
}

impl fmt::Display for ShownValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.value.is_null() { "(not given)" } else { &self.value.to_string() };
        write!(formatter, "{} = {value}  # {}", self.key, self.origin)
    }
}

impl Loaded {
    /// Every key with its value in effect and where that comes from, sorted by key.
    pub fn show(&self) -> Vec<ShownValue> {
        let mut shown = Vec::new();
        // Plain structs with text keys always serialise.
        let value = serde_json::to_value(&self.config).unwrap_or_default();
        self.collect(value, String::new(), &mut shown);
        shown.sort_by(|left, right| left.key.cmp(&right.key));
        shown
    }

    fn collect(&self, value: Value, key: String, shown: &mut Vec<ShownValue>) {
        if let Value::Object(members) = value {
            for (name, member) in members {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                self.collect(member, key, shown);
            }
        } else {
            let origin = self.origins.get(&key).unwrap_or(&Origin::Default).describe(&key);
            shown.push(ShownValue { key, value, origin });
        }
    }
}

/// Keys whose values are never printed: those that may be given as a file too.
pub(super) fn is_secret(key: &str) -> bool {
    super::schema::DEFAULT_TOML.lines().any(|line| {
        let name = key.rsplit('.').next().unwrap_or(key);
        line.strip_prefix("# ").unwrap_or(line).starts_with(&format!("{name}_file = "))
    })
}
