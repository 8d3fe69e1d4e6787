//! The only binary of CityEvents. This file reads the command line and hands over; every
//! subcommand has a file of its own in `commands/`.

mod admin;
mod cli;
mod commands;
mod console;
mod instance;
mod load;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes; everything else is wrong usage.
            let code = if error.use_stderr() { cli::USAGE } else { 0 };
            let _broken_pipe = error.print();
            return ExitCode::from(code);
        }
    };
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            let code = if error.is::<cli::Usage>() { cli::USAGE } else { cli::FAILURE };
            output::error(&error);
            ExitCode::from(code)
        }
    }
}
