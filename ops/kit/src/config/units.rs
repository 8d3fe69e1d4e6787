//! Lengths of time and sizes as people write them.

/// `"2s"`, `"500ms"`, `"1h 30min"`.
pub mod duration {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Reads a length of time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(Error::custom)
    }

    /// Writes a length of time so that it reads back.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    /// Reads a length of time.
    pub fn parse(text: &str) -> Result<Duration, String> {
        humantime::parse_duration(text.trim())
            .map_err(|error| format!("{error}; write a length of time such as \"500ms\" or \"2s\""))
    }
}

/// `["10s", "1min"]`.
pub mod durations {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Reads lengths of time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Duration>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| super::duration::parse(text).map_err(Error::custom)).collect()
    }

    /// Writes lengths of time so that they read back.
    pub fn serialize<S: Serializer>(values: &[Duration], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|value| humantime::format_duration(*value).to_string()))
    }
}

/// `"512 B"`, `"64 KiB"`, `"10 MiB"`, `"2 GiB"`.
pub mod size {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const UNITS: [(&str, u64); 4] =
        [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

    /// Reads a size in bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(Error::custom)
    }

    /// Writes a size with the largest unit that keeps it whole.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format(*value))
    }

    /// Reads a size in bytes.
    pub fn parse(text: &str) -> Result<u64, String> {
        let wrong =
            || format!("\"{text}\" is not a size; write \"512 B\", \"64 KiB\" or \"10 MiB\"");
        let text = text.trim();
        let (unit, factor) =
            UNITS.into_iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(wrong)?;
        let number = text.strip_suffix(unit).unwrap_or_default().trim_end();
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).ok_or_else(wrong)
    }

    /// Writes a size with the largest unit that keeps it whole.
    pub fn format(bytes: u64) -> String {
        let unit =
            UNITS.into_iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
        let (unit, factor) = unit.unwrap_or(("B", 1));
        format!("{} {unit}", bytes / factor)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sizes_read_back_what_they_print() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1 MiB"), (3 << 30, "3 GiB")]
        {
            assert_eq!(size::format(bytes), text);
            assert_eq!(size::parse(text), Ok(bytes));
        }
        for wrong in ["", "5", "MiB", "-1 B", "1.5 MiB", "99999999999999 GiB", "5 MB"] {
            assert!(size::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_of_time_are_read_with_their_unit_and_refused_without() {
        assert_eq!(duration::parse("1h 30min"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration::parse("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration::parse("5").is_err());
        assert!(duration::parse("soon").is_err());
    }
}
