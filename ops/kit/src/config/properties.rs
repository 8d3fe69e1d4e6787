//! A section whose keys are not ours: properties that are passed on as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

/// The section: its keys may have dots, and every value is a text in the end.
pub(super) const SECTION: &str = "kafka.properties";

/// Parts of names whose values are never shown.
const SECRET_PARTS: [&str; 4] = ["password", "secret", "key.pem", "sasl.jaas"];

/// Names and values. Those that look like secrets are neither printed nor serialised.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// The names and values, for the one place that needs them.
    pub const fn expose(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    fn shown(&self) -> BTreeMap<&str, &str> {
        let mut shown = BTreeMap::new();
        for (name, value) in &self.0 {
            shown.insert(name.as_str(), if is_secret(name) { "[redacted]" } else { value });
        }
        shown
    }
}

/// Whether the value of a property is never shown.
pub(super) fn is_secret(name: &str) -> bool {
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

impl std::fmt::Debug for Properties {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let texts = table.into_iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Integer(_) | Value::Boolean(_) | Value::Float(_) => {
                Ok((name, value.to_string()))
            }
            _ => Err(serde::de::Error::custom(format!("{name}: a text or a number is needed"))),
        });
        texts.collect::<Result<_, _>>().map(Self)
    }
}
