//! `completions`: what a shell needs to complete our command line.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output;

pub(super) fn run(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cityevents", &mut script);
    output::line(&String::from_utf8(script)?);
    Ok(ExitCode::SUCCESS)
}
