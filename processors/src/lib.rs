//! The topologies of CityEvents: what happens to records between the topics.
//!
//! - [`registration`]: commands → facts. The only place that decides.
//! - [`projection`]: facts → tables.
//! - [`audit`]: facts and commands → a verdict, by somebody who trusts none of the others.
//! - [`publisher`]: facts → the flat, compacted topics that others read.
//! - [`notifier`]: facts → mails to be sent.
//! - [`mailer`]: mails to be sent → mails.

pub mod audit;
pub mod emails;
pub mod mailer;
pub mod notifier;
pub mod projection;
pub mod publisher;
pub mod registration;

mod kept;

use cityevents_runtime::host::TaskError;
use cityevents_schemas::{DecodeError, ErrorClass};

/// A fact that counts is never passed: who cannot read it tries again, if that can help, or stops.
fn unreadable_fact(place: &str, error: &DecodeError) -> TaskError {
    match error.class() {
        ErrorClass::Retry => {
            TaskError::Restart(format!("the fact at {place} cannot be read now: {error}"))
        }
        ErrorClass::Reject => TaskError::Stop(format!(
            "the fact at {place} cannot be read: {error}; upgrade this program"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_tried_again_only_where_that_can_help() {
        let away = DecodeError::SchemaUnavailable { id: 7, reason: "no answer".into() };
        let error = unreadable_fact("facts/0 offset 3", &away);
        assert!(matches!(error, TaskError::Restart(_)), "{error}");
        assert!(error.to_string().contains("facts/0 offset 3 cannot be read now"), "{error}");
        let unknown = unreadable_fact("facts/0 offset 3", &DecodeError::UnknownSchema { id: 7 });
        assert!(matches!(unknown, TaskError::Stop(_)), "{unknown}");
        assert!(unknown.to_string().contains("upgrade this program"), "{unknown}");
    }
}
