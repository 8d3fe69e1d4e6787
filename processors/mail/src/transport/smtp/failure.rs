//! What a failure means, by where in the conversation it happened.
//!
//! | | answered 4xx | answered 5xx | lost, or not answered in time |
//! |---|---|---|---|
//! | until the server is ready for mails | downstream | downstream | downstream |
//! | sender | transient | downstream: it is the same for every mail | transient |
//! | recipient, before the content is sent | transient | permanent | transient |
//! | the whole content is sent | transient | permanent | **unknown** |
//!
//! 421 is downstream wherever it is said. What servers say beside the codes is told of the first
//! row only: later it may name the person, or repeat the mail.

use std::error::Error as _;
use std::fmt;

use lettre::transport::smtp::Error;

use crate::{DeliveryError, FailureClass};

/// Longest words of a server that are told, in characters.
const WORDS_CHARACTERS_MAX: usize = 200;
/// What a server says when it goes away.
const GOING_AWAY: u16 = 421;

/// Where in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connect,
    Greeting,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    /// While the content is written: without its end, no server may take it.
    Content,
    /// After its end was written.
    Answer,
    /// Between two mails.
    Reset,
}

impl Stage {
    const fn is_opening(self) -> bool {
        matches!(self, Self::Connect | Self::Greeting | Self::StartTls | Self::Login)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "connecting",
            Self::Greeting => "greeting",
            Self::StartTls => "starting TLS",
            Self::Login => "signing in",
            Self::Sender => "giving the sender",
            Self::Recipient => "giving the recipient",
            Self::Data => "announcing the content",
            Self::Content => "sending the content",
            Self::Answer => "waiting for the answer to the content",
            Self::Reset => "resetting",
        })
    }
}

/// A step that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) stage: Stage,
    pub(super) error: DeliveryError,
    /// The server answered, so that the connection may be used for another mail.
    pub(super) is_answered: bool,
    /// The server had closed, or was about to.
    pub(super) is_gone: bool,
}

impl Failure {
    /// A failure without an answer: lost, or too late.
    pub(super) fn lost(stage: Stage, what: &str) -> Self {
        let class = match stage {
            Stage::Answer => FailureClass::Unknown,
            stage if stage.is_opening() => FailureClass::Downstream,
            _ => FailureClass::Transient,
        };
        let error = DeliveryError::new(class, format!("{stage}: {what}"));
        Self { stage, error, is_answered: false, is_gone: true }
    }

    /// A failure of a class, whatever the stage says.
    pub(super) fn of(stage: Stage, class: FailureClass, what: &str) -> Self {
        let error = DeliveryError::new(class, format!("{stage}: {what}"));
        Self { stage, error, is_answered: true, is_gone: false }
    }

    /// What the library tells.
    pub(super) fn told(stage: Stage, error: &Error) -> Self {
        let Some(code) = error.status() else {
            return Self::lost(stage, &cause(error));
        };
        let code = u16::from(code);
        let class = match (stage, code) {
            (_, GOING_AWAY) => FailureClass::Downstream,
            (stage, _) if stage.is_opening() => FailureClass::Downstream,
            (Stage::Sender, 500..) => FailureClass::Downstream,
            (_, 500..) => FailureClass::Permanent,
            _ => FailureClass::Transient,
        };
        let words = error.source().map(ToString::to_string).unwrap_or_default();
        let said = if stage.is_opening() {
            let plain = words.chars().map(|one| if one.is_control() { ' ' } else { one });
            plain.take(WORDS_CHARACTERS_MAX).collect()
        } else {
            enhanced_code(&words).unwrap_or_default()
        };
        let reason = format!("{stage}: the server answered {code} {said}");
        let error = DeliveryError::new(class, reason.trim_end());
        Self { stage, error, is_answered: true, is_gone: code == GOING_AWAY }
    }
}

/// The innermost cause, which says most.
fn cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The code of RFC 3463 at the beginning of what a server says: 5.1.1.
fn enhanced_code(words: &str) -> Option<String> {
    let first = words.split_whitespace().next()?;
    let parts: Vec<_> = first.split('.').collect();
    let is_number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(is_number)).then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_is_taken_of_what_a_server_says() {
        assert_eq!(enhanced_code("5.1.1 <ada@example.org>: no").as_deref(), Some("5.1.1"));
        for words in ["", "<ada@example.org> 5.1.1", "5.1", "a.b.c", "5.1.1111 x", "5.1.1.1"] {
            assert_eq!(enhanced_code(words), None, "{words}");
        }
    }

    #[test]
    fn what_is_lost_may_have_arrived_only_after_the_end_of_the_content() {
        for (stage, class) in [
            (Stage::Connect, FailureClass::Downstream),
            (Stage::Login, FailureClass::Downstream),
            (Stage::Sender, FailureClass::Transient),
            (Stage::Content, FailureClass::Transient),
            (Stage::Answer, FailureClass::Unknown),
        ] {
            assert_eq!(Failure::lost(stage, "x").error.class, class, "{stage}");
        }
    }
}
