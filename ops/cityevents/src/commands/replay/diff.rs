//! `replay diff`: prints where tables differ from the live ones.

use std::process::ExitCode;

use cityevents_kit::Config;
use cityevents_processors::replay::compare::Compared;

use super::tell_differences;
use crate::admin::replay::ReplayQuestion;
use crate::output::{self, Format};

pub(super) fn run(config: &Config, name: &str, format: Format) -> anyhow::Result<ExitCode> {
    let question = ReplayQuestion::Diff { name: name.to_owned() };
    tell_differences(config, question, format, Compared::is_same, |compared| print(name, compared))
}

/// Prints what came of a comparison.
fn print(name: &str, compared: &[Compared]) {
    let row = |one: &Compared| {
        let [events, rows, live, other, differing] =
            [one.events, one.rows, one.live_offset, one.other_offset, one.differing]
                .map(|number| number.to_string());
        let partition = one.partition.to_string();
        let (live_hash, other_hash) = (one.live_hash.clone(), one.other_hash.clone());
        vec![partition, events, rows, live, other, live_hash, other_hash, differing]
    };
    let headings = [
        "partition",
        "events",
        "rows",
        "live up to",
        "these up to",
        "live state",
        "this state",
        "differing",
    ];
    output::table(&headings, compared.iter().map(row));
    let none = || "none".to_owned();
    for difference in compared.iter().flat_map(|one| &one.differences) {
        output::line(&format!("event {}, {}:", difference.event, difference.row));
        output::line(&format!("  live   {}", difference.live.clone().unwrap_or_else(none)));
        output::line(&format!("  {name}  {}", difference.other.clone().unwrap_or_else(none)));
    }
    let sum = |of: fn(&Compared) -> u64| compared.iter().map(of).sum::<u64>();
    let (rows, differing, moving) =
        (sum(|one| one.rows), sum(|one| one.differing), sum(|one| one.moving));
    if moving > 0 {
        output::line(&format!(
            "{moving} rows changed all the while and were not compared; ask again when less is going on"
        ));
    }
    let verdict = match (differing, moving) {
        (0, 0) => format!("the tables {name} and the live ones say the same in {rows} rows"),
        (0, _) => "no difference was found in the others".to_owned(),
        _ => format!("{differing} of {rows} rows differ"),
    };
    output::line(&verdict);
}
