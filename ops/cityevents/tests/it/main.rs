//! The binary as a person or a script meets it: real processes, real signals, real sockets.

mod audit;
mod cli;
mod command_line;
mod crash;
mod crowd;
mod dead_letters;
mod faults;
mod http;
mod instance;
mod keys;
mod planted;
mod rows;
mod shutdown;
mod web;
