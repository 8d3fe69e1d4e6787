//! Everything that is wrong with a configuration, at once.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, dotted; empty where the problem is a whole layer's.
    pub key: String,
    /// The value as it was given, redacted if it is a secret.
    pub value: Option<String>,
    /// Where it was given.
    pub origin: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.is_empty(), &self.value) {
            (true, _) => write!(formatter, "{}: {}", self.origin, self.message),
            (false, Some(value)) => {
                write!(formatter, "{} = {value} ({}): {}", self.key, self.origin, self.message)
            }
            (false, None) => write!(formatter, "{} ({}): {}", self.key, self.origin, self.message),
        }
    }
}

/// All of them, sorted by key. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(formatter, "the configuration has {count} {noun}:")?;
        for problem in &self.0 {
            write!(formatter, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}
