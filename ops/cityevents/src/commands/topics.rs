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
            let fields = [
                "topic",
                "partitions",
                "records",
                "cleanup",
                "timestamps",
                "durable",
                "replication",
                "min_insync",
            ];
            print_rows(&answer, &fields, format)?;
        }
        TopicsAction::Create => {
            let answer = admin::ask(&config, &Question::CreateTopics)?;
            print_rows(&answer, &["topic", "created"], format)?;
        }
        TopicsAction::Check => {
            let answer = admin::ask(&config, &Question::CheckTopics)?;
            let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            let is_good = rows.is_empty();
            if is_good && format == Format::Table {
                output::line("all topics are as the catalogue says");
                return Ok(ExitCode::SUCCESS);
            }
            let fields = ["topic", "setting", "expected", "actual", "harmless"];
            print_rows(&answer, &fields, format)?;
            if format == Format::Table {
                for row in rows.iter().filter(|row| row["harmless"] != true) {
                    let text = |field: &str| row[field].as_str().unwrap_or_default();
                    output::line(&format!("{}: {}", text("topic"), text("fix")));
                }
            }
            if !is_good {
                return Ok(ExitCode::from(FAILURE));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
