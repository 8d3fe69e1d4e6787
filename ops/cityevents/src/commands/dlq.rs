//! `dlq`: dead letters.

use std::process::ExitCode;

use super::{print_rows, who};
use crate::admin::{self, Question};
use crate::cli::{Dlq, DlqAction};
use crate::output;

const FIELDS: [&str; 7] = ["id", "source", "kind", "key", "class", "reason", "redrives"];

pub(super) fn run(arguments: &Dlq) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let format = arguments.place.output;
    let by = who();
    let (question, fields) = match &arguments.action {
        DlqAction::List { filter } => (
            Question::DeadLetters { filter: filter.clone() },
            &[&FIELDS[..], &["handled"]].concat(),
        ),
        DlqAction::Show { id } => {
            let answer = admin::ask(&config, &Question::DeadLetter { id: id.clone() })?;
            output::json(&answer)?;
            return Ok(ExitCode::SUCCESS);
        }
        DlqAction::Redrive { filter, execute, rate } => (
            Question::Redrive { filter: filter.clone(), execute: *execute, rate: *rate, by },
            &[&FIELDS[..], &["result"]].concat(),
        ),
        DlqAction::Drop { filter, execute } => (
            Question::DropLetters { filter: filter.clone(), execute: *execute, by },
            &[&FIELDS[..], &["result"]].concat(),
        ),
    };
    let answer = admin::ask(&config, &question)?;
    print_rows(&answer, fields, format)?;
    let is_dry = matches!(
        arguments.action,
        DlqAction::Redrive { execute: false, .. } | DlqAction::Drop { execute: false, .. }
    );
    if is_dry {
        output::note("nothing was done; --execute does it");
    }
    Ok(ExitCode::SUCCESS)
}
