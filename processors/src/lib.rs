//! The topologies of CityEvents: what happens to records between the topics.
//!
//! - [`registration`]: commands → facts. The only place that decides.
//! - [`projection`]: facts → tables.
//! - [`audit`]: facts and commands → a verdict, by somebody who trusts none of the others.
//! - [`publisher`]: facts → the flat, compacted topics that others read.
//! - [`notifier`]: facts → mails to be sent.
//! - [`mailer`]: mails to be sent → mails.
//! - [`trending`]: facts and engagements → what is talked about.
//! - [`trend_rows`]: what is talked about → tables.
//! - [`profiles`]: what people did → what they like.
//! - [`replay`]: facts → tables beside the live ones.
//! - [`switched`]: a task is made anew when the tables that it writes are live no more.
//! - [`records`]: what consumers of topics whose records stand alone have in common.

pub mod audit;
pub mod emails;
pub mod mailer;
pub mod notifier;
pub mod profiles;
pub mod projection;
pub mod publisher;
pub mod records;
pub mod registration;
pub mod replay;
pub mod switched;
pub mod trend_rows;
pub mod trending;

mod kept;

use cityevents_runtime::host::TaskError;
use cityevents_schemas::{DecodeError, ErrorClass};
use cityevents_views::ViewsError;

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

/// Tables that are away may come back; others need somebody who looks.
fn from_views(error: ViewsError) -> TaskError {
    if error.is_transient() {
        TaskError::Restart(error.to_string())
    } else {
        TaskError::Stop(error.to_string())
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
