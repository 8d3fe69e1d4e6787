//! One look after the other, and how every group gets on from one to the next.

use std::time::Duration;

use anyhow::Context as _;
use cityevents_kit::Config;
use jiff::Timestamp;
use serde_json::Value;

use crate::admin::lag::{Lookout, Row};
use crate::admin::{Asker, Question};
use crate::console::Judged;

/// What one look has seen.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// When it was over.
    pub(super) at: Timestamp,
    /// How long it took.
    pub(super) took: Duration,
    /// Every group in every partition.
    pub(super) rows: Vec<Judged>,
    /// The oldest undecided command, and how long commands are kept.
    pub(super) commands: Value,
}

impl Look {
    /// Rows whose verdict says where a group stands, and how it gets on if that is not well.
    pub(super) fn rows_in_words(&self) -> Vec<Row> {
        let row = |judged: &Judged| {
            let is_good = judged.row.good && judged.verdict.is_none_or(|verdict| verdict.is_good());
            Row { verdict: verdict_in_words(judged), good: is_good, ..judged.row.clone() }
        };
        self.rows.iter().map(row).collect()
    }
}

/// Where a group stands, and how it gets on if that is not well.
pub(super) fn verdict_in_words(judged: &Judged) -> String {
    match judged.verdict {
        Some(verdict) if !verdict.is_good() => {
            format!("{}: {}", verdict.as_str(), judged.row.verdict)
        }
        _ => judged.row.verdict.clone(),
    }
}

/// Looks.
pub(super) struct Looker {
    config: Config,
    question: Question,
    lookout: Lookout,
    /// Whoever answered the last look, on a cluster.
    asker: Option<Asker>,
}

impl Looker {
    pub(super) fn new(config: Config, question: Question) -> Self {
        Self { config, question, lookout: Lookout::default(), asker: None }
    }

    /// Looks once. The connections to a cluster are kept until a look fails. Whoever answers for a folder is
    /// found anew each time: an instance may have been started or have ended since, and one that is about to
    /// start finds its folder free between two looks.
    pub(super) fn look(&mut self) -> anyhow::Result<Look> {
        let began = Timestamp::now();
        let asker = match self.asker.take() {
            Some(asker) => asker,
            None => Asker::find(&self.config, self.question.schemas())?,
        };
        let answer = asker.ask(&self.question)?;
        self.asker = self.config.is_cluster().then_some(asker);
        let at = Timestamp::now();
        let judged = |row: Row| {
            let verdict = self.lookout.judge(&row, at.as_millisecond());
            Judged { verdict, pace: self.lookout.pace(&row), row }
        };
        let rows = rows_of(&answer)?.into_iter().map(judged).collect();
        let took = at.duration_since(began).unsigned_abs();
        Ok(Look { at, took, rows, commands: answer["commands"].clone() })
    }
}

/// The rows of an answer.
pub(super) fn rows_of(answer: &Value) -> anyhow::Result<Vec<Row>> {
    serde_json::from_value(answer["rows"].clone())
        .context("the running instance is of another version: ask it with its own program")
}
