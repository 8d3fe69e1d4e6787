//! The program on real servers: `ops/test` starts them, or `ops/stack` by hand.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test, in its helpers too"
)]

#[path = "../it/ages.rs"]
mod ages;
mod bad_deployment;
mod bad_start;
mod bench;
#[allow(dead_code, reason = "its other users are the tests without servers")]
#[path = "../it/calls.rs"]
mod calls;
mod chaos;
mod cluster;
#[allow(dead_code, reason = "its other users are the tests without servers")]
#[path = "../it/command_line.rs"]
mod command_line;
mod connect;
mod doctor;
mod lag;
mod lists;
#[path = "../it/mail_burst.rs"]
mod mail_burst;
mod mailer_kills;
mod mails;
mod people;
mod personal_data;
#[allow(dead_code, reason = "its other users are the tests without servers")]
#[path = "../it/picture_calls.rs"]
mod picture_calls;
mod pictures;
mod proxy;
mod readiness;
mod rebuilt_registry;
mod registry;
mod replay;
mod replay_facts;
mod rotation;
#[path = "../it/smtp_sink.rs"]
mod smtp_sink;
mod stack;
mod topics;
mod trends;
#[allow(dead_code, reason = "its other users are the tests without servers")]
#[path = "../it/web.rs"]
mod web;
mod wired;
