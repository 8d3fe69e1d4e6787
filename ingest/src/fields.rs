//! Bodies as what is asked of an event.

use cityevents_domain::command::CommandKind;
use cityevents_domain::event::{Capacity, EventFields, EventPatch, REASON_CHARACTERS_MAX};
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::SealedText;
use cityevents_domain::time::Timestamp;
use cityevents_kit::problem::Problem;

use crate::body::{Fields, digest_bytes};
use crate::reasons::{ReasonError, Reasons};

/// What is asked, before free text about a person is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Nothing to seal.
    Plain(CommandKind),
    Kick {
        user: UserId,
        reason: Option<String>,
    },
    Ban {
        user: UserId,
        reason: Option<String>,
        expires_at: Option<Timestamp>,
    },
}

/// What is asked, and what tells its body from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) digest: u64,
}

impl Asked {
    /// A call without fields.
    pub(crate) const fn plain(kind: CommandKind) -> Self {
        Self { ask: Ask::Plain(kind), digest: 0 }
    }

    /// A call whose body tells it from another one.
    pub(crate) const fn with_digest(kind: CommandKind, digest: u64) -> Self {
        Self { ask: Ask::Plain(kind), digest }
    }

    /// Make an event. Without a capacity everybody fits.
    pub(crate) fn create(mut body: Fields) -> Result<Self, Problem> {
        let digest = body.digest();
        let patch = patch(&mut body);
        for (name, is_there) in [
            ("title", patch.title.is_some()),
            ("description", patch.description.is_some()),
            ("city", patch.city.is_some()),
            ("category", patch.category.is_some()),
            ("start_time", patch.start_time.is_some()),
            ("end_time", patch.end_time.is_some()),
        ] {
            body.required(name, is_there.then_some(()));
        }
        check(&patch, &mut body);
        body.finish()?;
        let fields = patch.applied_to(&blank());
        Ok(Self { ask: Ask::Plain(CommandKind::Create(Box::new(fields))), digest })
    }

    /// Change an event.
    pub(crate) fn update(mut body: Fields, expected_version: Option<u32>) -> Result<Self, Problem> {
        let digest = match expected_version {
            None => body.digest(),
            Some(version) => {
                let both = [body.digest().to_be_bytes(), u64::from(version).to_be_bytes()];
                digest_bytes(both.as_flattened())
            }
        };
        if body.is_empty() {
            return Err(Problem::invalid("body", "send at least one field to change"));
        }
        let patch = Box::new(patch(&mut body));
        check(&patch, &mut body);
        body.finish()?;
        Ok(Self { ask: Ask::Plain(CommandKind::Update { patch, expected_version }), digest })
    }

    /// Take an event back or call it off, for a reason about the event.
    pub(crate) fn withdraw(
        mut body: Fields,
        needs_reason: bool,
        kind: impl FnOnce(Option<String>) -> CommandKind,
    ) -> Result<Self, Problem> {
        let digest = body.digest();
        let reason = body.brief("reason", REASON_CHARACTERS_MAX);
        if needs_reason {
            body.required("reason", reason.as_ref());
        }
        body.finish()?;
        Ok(Self { ask: Ask::Plain(kind(reason)), digest })
    }

    /// Remove somebody.
    pub(crate) fn kick(mut body: Fields, user: UserId) -> Result<Self, Problem> {
        let digest = body.digest();
        let reason = body.brief("reason", REASON_CHARACTERS_MAX);
        body.finish()?;
        Ok(Self { ask: Ask::Kick { user, reason }, digest })
    }

    /// Keep somebody out.
    pub(crate) fn ban(mut body: Fields) -> Result<Self, Problem> {
        let digest = body.digest();
        let user = body.id("user_id");
        let user = if body.invalid.is_empty() { body.required("user_id", user) } else { user };
        let reason = body.brief("reason", REASON_CHARACTERS_MAX);
        let expires_at = body.time("expires_at");
        body.finish()?;
        let user = user.ok_or_else(Problem::internal)?;
        Ok(Self { ask: Ask::Ban { user, reason, expires_at }, digest })
    }
}

impl Ask {
    /// The command, with what is said about a person sealed.
    pub(crate) async fn sealed(
        self,
        event: &EventId,
        reasons: &Reasons,
    ) -> Result<CommandKind, ReasonError> {
        match self {
            Self::Plain(kind) => Ok(kind),
            Self::Kick { user, reason } => {
                let reason = seal(event, &user, reason, reasons).await?;
                Ok(CommandKind::Kick { user, reason })
            }
            Self::Ban { user, reason, expires_at } => {
                let reason = seal(event, &user, reason, reasons).await?;
                Ok(CommandKind::Ban { user, reason, expires_at })
            }
        }
    }
}

async fn seal(
    event: &EventId,
    user: &UserId,
    reason: Option<String>,
    reasons: &Reasons,
) -> Result<Option<SealedText>, ReasonError> {
    match reason {
        Some(text) => reasons.seal(event, user, &text).await,
        None => Ok(None),
    }
}

/// Takes the fields of an event that were sent.
fn patch(body: &mut Fields) -> EventPatch {
    let clearable = |body: &Fields, name| body.has(name);
    let has_limit = clearable(body, "waitlist_limit");
    let has_opens_at = clearable(body, "opens_at");
    let clears_location = body.has("location");
    EventPatch {
        title: body.text("title"),
        description: body.text("description"),
        city: body.text("city"),
        category: body.text("category"),
        location: clears_location.then(|| body.text("location").unwrap_or_default()),
        start_time: body.time("start_time"),
        end_time: body.time("end_time"),
        capacity: body.whole("capacity").map(Capacity::from_wire),
        waitlist_limit: has_limit.then(|| body.whole("waitlist_limit")),
        opens_at: has_opens_at.then(|| body.time("opens_at")),
        cover_image_ids: body.ids("cover_image_ids"),
    }
}

/// Notes what is out of its limits among the fields that were sent. What depends on a field that
/// was not sent is looked at when the change is decided.
fn check(patch: &EventPatch, body: &mut Fields) {
    for problem in patch.applied_to(&blank()).problems() {
        body.invalid.add(problem.field, problem.rule);
    }
}

/// An event that breaks no rule, whatever else is put into it.
fn blank() -> EventFields {
    EventFields {
        title: "-".to_owned(),
        description: "-".to_owned(),
        city: "-".to_owned(),
        category: "-".to_owned(),
        location: String::new(),
        start_time: Timestamp::MIN,
        end_time: Timestamp::from_millis(i64::MAX),
        capacity: Capacity::Unlimited,
        waitlist_limit: None,
        opens_at: None,
        cover_image_ids: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Fields {
        Fields::of_optional(text.as_bytes()).unwrap()
    }

    fn bad_fields(result: Result<Asked, Problem>) -> Vec<String> {
        let problem = result.unwrap_err();
        problem.meta()["fields"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_new_event_without_capacity_has_room_for_everybody() {
        let asked = Asked::create(body(
            r#"{"title":"t","description":"d","city":"c","category":"k",
                "start_time":"2030-01-01T10:00:00Z","end_time":"2030-01-01T12:00:00Z"}"#,
        ));
        let Ask::Plain(CommandKind::Create(fields)) = asked.unwrap().ask else { panic!() };
        assert_eq!(fields.capacity, Capacity::Unlimited);
        assert_eq!(fields.waitlist_limit, None);
        assert!(fields.problems().is_empty());
    }

    #[test]
    fn a_new_event_names_all_that_is_missing_and_all_that_is_out_of_its_limits() {
        assert_eq!(
            bad_fields(Asked::create(body("{}"))),
            ["category", "city", "description", "end_time", "start_time", "title"]
        );
        let wrong = format!(
            r#"{{"title":"{}","description":" ","city":"c","category":"k","capacity":1000001,
                "waitlist_limit":100001,"start_time":"2030-01-01T10:00:00Z",
                "end_time":"2030-01-01T10:00:00Z","x":1}}"#,
            "t".repeat(121)
        );
        assert_eq!(
            bad_fields(Asked::create(body(&wrong))),
            ["capacity", "description", "end_time", "title", "waitlist_limit", "x"]
        );
    }

    #[test]
    fn a_change_takes_values_away_with_null() {
        let asked = Asked::update(
            body(r#"{"opens_at":null,"waitlist_limit":null,"location":null}"#),
            Some(3),
        );
        let asked = asked.unwrap();
        let Ask::Plain(CommandKind::Update { patch, expected_version }) = asked.ask else {
            panic!()
        };
        assert_eq!(expected_version, Some(3));
        assert_eq!(patch.opens_at, Some(None));
        assert_eq!(patch.waitlist_limit, Some(None));
        assert_eq!(patch.location.as_deref(), Some(""));
        assert_eq!(patch.title, None);
        assert_eq!(bad_fields(Asked::update(body("{}"), None)), ["body"]);
    }

    #[test]
    fn the_expected_version_is_a_part_of_what_is_asked() {
        let asked = |version| Asked::update(body(r#"{"city":"c"}"#), version).unwrap().digest;
        assert_ne!(asked(None), asked(Some(1)));
        assert_ne!(asked(Some(2)), asked(Some(1)));
        assert_eq!(asked(Some(2)), asked(Some(2)));
    }

    #[test]
    fn a_needed_reason_is_named() {
        let kind = |reason| CommandKind::Cancel { reason };
        assert!(Asked::withdraw(body(""), false, kind).is_ok());
        assert_eq!(bad_fields(Asked::withdraw(body(""), true, kind)), ["reason"]);
        assert_eq!(bad_fields(Asked::withdraw(body(r#"{"reason":" "}"#), true, kind)), ["reason"]);
        let long = format!(r#"{{"reason":"{}"}}"#, "r".repeat(501));
        assert_eq!(bad_fields(Asked::withdraw(body(&long), false, kind)), ["reason"]);
        assert_eq!(bad_fields(Asked::ban(body("{}"))), ["user_id"]);
    }
}
