//! The binary as a person or a script meets it: real processes, real signals, real sockets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test, in its helpers too"
)]

mod access;
mod accounts;
mod ages;
mod audit;
mod bench;
mod calls;
mod cli;
mod command_line;
mod compose;
mod console;
mod crash;
mod crowd;
mod dead_letters;
mod doctor;
mod explain;
mod faults;
mod http;
mod import;
mod instance;
mod lag;
mod lag_view;
mod mail_burst;
mod mailer_kills;
mod mails;
mod metrics;
mod personal_data;
mod picture_calls;
mod pictures;
mod planted;
mod previews;
mod replay;
mod replay_commands;
mod replay_drop;
mod replay_facts;
mod replay_switch;
mod rows;
mod security;
mod shutdown;
mod smtp_sink;
mod trends;
mod web;
mod what_is_logged;
