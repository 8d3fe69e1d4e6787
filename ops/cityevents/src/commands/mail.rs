//! `mail`: mails to people.

use std::process::ExitCode;

use super::{preview, suppress};
use crate::cli::{MailAction, MailCommand};

pub(super) fn run(arguments: &MailCommand) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        MailAction::Preview(arguments) => preview::run(arguments),
        MailAction::Suppress(arguments) => suppress::run(arguments),
    }
}
