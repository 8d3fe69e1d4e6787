//! `topics`: the topics against the catalogue.

use std::process::ExitCode;

use super::print_rows;
use crate::admin::{self, Question};
use crate::cli::{FAILURE, Topics, TopicsAction};
use crate::output::{self, Format};

pub(super) fn run(arguments: &Topics) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let format = arguments.place.output;
    match arguments.action {
        TopicsAction::List => {
            let answer = admin::ask(&config, &Question::Topics)?;
            let fields = ["topic", "partitions", "records", "cleanup", "timestamps", "durable"];
            print_rows(&answer, &fields, format)?;
        }
        TopicsAction::Create => {
            let answer = admin::ask(&config, &Question::CreateTopics)?;
            print_rows(&answer, &["topic", "created"], format)?;
        }
        TopicsAction::Check => {
            let answer = admin::ask(&config, &Question::CheckTopics)?;
            let is_good = answer.as_array().is_some_and(Vec::is_empty);
            if is_good && format == Format::Table {
                output::line("all topics are as the catalogue says");
                return Ok(ExitCode::SUCCESS);
            }
            print_rows(&answer, &["topic", "setting", "expected", "actual"], format)?;
            if !is_good {
                return Ok(ExitCode::from(FAILURE));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
