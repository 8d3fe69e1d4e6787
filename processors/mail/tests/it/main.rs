//! Mails as people get them.

mod letters;
