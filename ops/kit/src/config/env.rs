//! Texts from the environment and the command line as typed values.
//!
//! Both give text only. What it means is decided by the kind of value that the manual has for the
//! key, so that a prefix of digits stays a text and a port becomes a number.

use toml::Value;

/// What every variable begins with.
const PREFIX: &str = "CITYEVENTS__";

/// The key that a variable sets, if it is one of ours.
pub(super) fn key_of(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix(PREFIX)?;
    Some(rest.split("__").collect::<Vec<_>>().join(".").to_ascii_lowercase())
}

/// The variable that sets a key.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// A text as the kind of value that `like` is. What does not read as that kind stays a text, and is
/// refused with the others later.
pub(super) fn typed(text: &str, like: &Value) -> Value {
    let as_text = || Value::String(text.to_owned());
    match like {
        Value::Integer(_) => text.trim().parse().map_or_else(|_| as_text(), Value::Integer),
        Value::Boolean(_) => text.trim().parse().map_or_else(|_| as_text(), Value::Boolean),
        Value::Float(_) => text.trim().parse().map_or_else(|_| as_text(), Value::Float),
        Value::Array(_) => list(text),
        _ => as_text(),
    }
}

/// `a, b` or `["a", "b"]`.
fn list(text: &str) -> Value {
    if text.trim_start().starts_with('[') {
        let parsed = format!("list = {text}").parse::<toml::Table>();
        let list = parsed.ok().and_then(|mut table| table.remove("list"));
        return list.unwrap_or_else(|| Value::String(text.to_owned()));
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_the_kind_of_value_that_the_manual_has() {
        assert_eq!(typed("8", &Value::Integer(4)), Value::Integer(8));
        assert_eq!(typed("8", &Value::String(String::new())), Value::String("8".to_owned()));
        assert_eq!(typed("many", &Value::Integer(4)), Value::String("many".to_owned()));
        let both = Value::Array(vec!["a".into(), "b".into()]);
        assert_eq!(typed("a, b", &Value::Array(Vec::new())), both);
        assert_eq!(typed("[\"a\", \"b\"]", &Value::Array(Vec::new())), both);
    }

    #[test]
    fn variables_and_keys_name_each_other() {
        assert_eq!(key_of("CITYEVENTS__LOG__LOCAL__CACHE").as_deref(), Some("log.local.cache"));
        assert_eq!(variable_of("log.local.cache"), "CITYEVENTS__LOG__LOCAL__CACHE");
        assert_eq!(key_of("PATH"), None);
    }
}
