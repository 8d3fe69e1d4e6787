//! `replay commands`: what this program would have decided.

use std::process::ExitCode;

use cityevents_kit::Config;
use cityevents_processors::replay::commands::Decided;

use super::tell_differences;
use crate::admin::replay::ReplayQuestion;
use crate::output::{self, Format};

pub(super) fn run(config: &Config, format: Format) -> anyhow::Result<ExitCode> {
    let is_same = |one: &Decided| one.differing == 0;
    tell_differences(config, ReplayQuestion::Commands, format, is_same, print)
}

fn print(decided: &[Decided]) {
    let row = |one: &Decided| {
        let numbers = [u64::from(one.partition), one.commands, one.expired, one.differing];
        numbers.map(|number| number.to_string()).to_vec()
    };
    let headings = ["partition", "decided again", "not kept any more", "differing"];
    output::table(&headings, decided.iter().map(row));
    for one in decided {
        for difference in &one.differences {
            output::line(&format!(
                "partition {} command {} ({} of event {}), answered by fact {}:",
                one.partition,
                difference.command_offset,
                difference.command.as_deref().unwrap_or("unreadable"),
                difference.event.as_deref().unwrap_or("unknown"),
                difference.fact_offset
            ));
            output::line(&format!("  the log       {}", difference.logged));
            output::line(&format!("  this program  {}", difference.now));
        }
    }
    let sum = |of: fn(&Decided) -> u64| decided.iter().map(of).sum::<u64>();
    let (commands, differing) = (sum(|one| one.commands), sum(|one| one.differing));
    output::line(&match differing {
        0 => format!("this program decides all {commands} commands as the log says"),
        _ => format!("this program decides {differing} of {commands} commands otherwise"),
    });
}
