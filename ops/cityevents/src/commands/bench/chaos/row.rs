//! What came of one fault, as a row.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ask::{Learnt, Verdict};
use super::faults::Struck;
use super::load::Answers;
use super::options::Fault;
use super::oracle::Findings;

/// One row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ChaosRow {
    pub(super) fault: String,
    pub(super) seed: u64,
    /// How often it struck.
    pub(super) strikes: u32,
    /// Joins asked for, and how many people left again.
    pub(super) joins: u64,
    pub(super) leaves: u64,
    /// Requests with a decision in the end.
    pub(super) answered: u64,
    /// Decisions that were refusals.
    pub(super) refused: u64,
    /// Requests answered 202 at first, and how many of them learnt the decision by asking for it;
    /// the others repeated their key.
    pub(super) pending: u64,
    pub(super) resolved: u64,
    pub(super) asked_for: u64,
    /// On the way: 503, connections refused, connections broken within a request, no answer.
    pub(super) busy: u64,
    pub(super) unreached: u64,
    pub(super) cut: u64,
    pub(super) unanswered: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) oversold: u64,
    pub(super) overtaken: u64,
    pub(super) contradictions: u64,
    /// Records of the facts that do not count, of this cluster so far.
    pub(super) unlinked: u64,
    /// Longest time in which nobody was answered by a partition.
    pub(super) silence_ms: u64,
    /// Longest time that anybody waited for a decision.
    pub(super) wait_ms: u64,
    /// Longest time from the group's word to the first answer of a partition's new owner.
    pub(super) takeover_ms: Option<u64>,
    pub(super) seconds: f64,
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<String>,
    /// Whether every promise was kept.
    pub(super) is_kept: bool,
}

impl ChaosRow {
    pub(super) fn new(
        fault: Fault,
        seed: u64,
        answers: &Answers,
        struck: Struck,
        findings: Findings,
        takeover: Option<Duration>,
    ) -> Self {
        let count = |test: fn(&Verdict) -> bool| {
            answers.told.iter().filter(|told| test(&told.verdict)).count() as u64
        };
        let pending = answers.told.iter().filter(|told| told.was_pending);
        let troubles = &answers.troubles;
        let is_kept_by_findings = findings.is_clean();
        let mut problems = struck.problems;
        problems.extend(findings.examples);
        // Only a process that is killed may break a connection within a request.
        if troubles.cut > 0 && fault != Fault::IngestKilled {
            problems.push(format!("{} requests were cut", troubles.cut));
        }
        if troubles.unanswered > 0 {
            problems.push(format!("{} requests had no answer in time", troubles.unanswered));
        }
        Self {
            fault: fault.name(),
            seed,
            strikes: struck.times,
            joins: answers.joins,
            leaves: answers.told.len() as u64 - answers.joins,
            answered: count(Verdict::is_decision),
            refused: count(|verdict| matches!(verdict, Verdict::Refused { .. })),
            pending: pending.clone().count() as u64,
            resolved: pending.clone().filter(|told| told.verdict.is_decision()).count() as u64,
            asked_for: pending.filter(|told| told.learnt == Learnt::Asked).count() as u64,
            busy: troubles.busy,
            unreached: troubles.unreached,
            cut: troubles.cut,
            unanswered: troubles.unanswered,
            lost: findings.lost,
            doubled: findings.doubled,
            oversold: findings.oversold,
            overtaken: findings.overtaken,
            contradictions: findings.contradictions,
            unlinked: findings.unlinked,
            silence_ms: millis(answers.silence_max),
            wait_ms: millis(answers.wait_max()),
            takeover_ms: takeover.map(millis),
            seconds: answers.took.as_secs_f64(),
            notes: struck.notes,
            is_kept: is_kept_by_findings && problems.is_empty(),
            problems,
        }
    }

    /// What stands above the cells.
    pub(super) const HEADINGS: [&str; 16] = [
        "fault",
        "strikes",
        "joins",
        "answered",
        "202, resolved",
        "503",
        "cut",
        "lost",
        "doubled",
        "oversold",
        "overtaken",
        "contra-\ndictions",
        "not\nlinked",
        "silence",
        "takeover",
        "verdict",
    ];

    /// The cells of a table.
    pub(super) fn cells(&self) -> Vec<String> {
        let seconds = |millis: u64| format!("{:.2} s", millis as f64 / 1_000.0);
        vec![
            self.fault.clone(),
            self.strikes.to_string(),
            self.joins.to_string(),
            self.answered.to_string(),
            format!("{}, {}", self.pending, self.resolved),
            self.busy.to_string(),
            self.cut.to_string(),
            self.lost.to_string(),
            self.doubled.to_string(),
            self.oversold.to_string(),
            self.overtaken.to_string(),
            self.contradictions.to_string(),
            self.unlinked.to_string(),
            seconds(self.silence_ms),
            self.takeover_ms.map_or_else(String::new, seconds),
            if self.is_kept { "kept" } else { "BROKEN" }.to_owned(),
        ]
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
