//! Somebody of an event as its owner and staff see them, with the name that the person goes by:
//! here and nowhere else are people told who comes.

use cityevents_domain::ids::UserId;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_kit::Problem;
use cityevents_kit::event_body::WireTime;
use cityevents_kit::openapi::IdText;
use cityevents_views::{Page, RegistrationRow, ViewsError};
use futures::future::{BoxFuture, try_join_all};
use serde::Serialize;
use utoipa::ToSchema;

use crate::card::as_text;
use crate::lists::{List, ListBody, Place};
use crate::state::Reads;

/// The columns of people as CSV.
pub(super) const COLUMNS: [&str; 8] =
    ["user_id", "status", "position", "joined_at", "updated_at", "checked_in_at", "reason", "name"];
/// Names that are looked up at the same time.
const AT_ONCE: usize = 32;
/// Rows that a search reads at once, and for one page.
const SEARCHED_AT_ONCE: usize = 256;
const SEARCHED_MAX: usize = 2_048;
/// Longest text to search for.
const CHARACTERS_MAX: usize = 200;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Participant {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    user_id: UserId,
    /// Of people who have given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    joined_at: WireTime,
    updated_at: WireTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_in_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Participant {
    pub(super) async fn of(reads: &Reads, row: &RegistrationRow) -> Result<Self, Problem> {
        let registration = &row.registration;
        let user = registration.user;
        let waits = registration.status == RegistrationStatus::Waitlisted;
        let position = waits.then(|| reads.lines.position(&row.event, &user)).flatten();
        Ok(Self {
            user_id: user,
            name: reads.names.name(&user).await.map(|name| name.to_string()),
            status: registration.status.as_str(),
            position,
            joined_at: WireTime(registration.joined_at),
            updated_at: WireTime(registration.updated_at),
            checked_in_at: registration.checked_in_at.map(WireTime),
            reason: reads.open_reason(row.event, user, row.reason.as_ref()).await?,
        })
    }

    /// As a row of [`COLUMNS`].
    fn into_cells(self) -> Vec<String> {
        let text = |value: Option<String>| value.unwrap_or_default();
        vec![
            self.user_id.to_string(),
            self.status.to_owned(),
            text(self.position.map(|position| position.to_string())),
            self.joined_at.to_string(),
            self.updated_at.to_string(),
            text(self.checked_in_at.map(|at| at.to_string())),
            text(self.reason),
            text(self.name),
        ]
    }
}

/// People as they stand in rows.
async fn people(reads: &Reads, rows: &[RegistrationRow]) -> Result<Vec<Participant>, Problem> {
    let mut people = Vec::with_capacity(rows.len());
    for some in rows.chunks(AT_ONCE) {
        people.extend(try_join_all(some.iter().map(|row| Participant::of(reads, row))).await?);
    }
    Ok(people)
}

/// People as rows of [`COLUMNS`].
pub(super) async fn cells(
    reads: &Reads,
    rows: &[RegistrationRow],
) -> Result<Vec<Vec<String>>, Problem> {
    let people = people(reads, rows).await?;
    Ok(people.into_iter().map(Participant::into_cells).collect())
}

/// What somebody looks for among the people of an event.
#[derive(Debug, Clone)]
pub(super) struct Sought {
    /// In small letters.
    text: String,
}

impl Sought {
    /// What a query asks for, if it asks for anything.
    pub(super) fn parse(q: Option<&str>) -> Result<Option<Self>, Problem> {
        let Some(text) = q else { return Ok(None) };
        if text.chars().count() > CHARACTERS_MAX {
            return Err(Problem::invalid(
                "q",
                format!("write at most {CHARACTERS_MAX} characters"),
            ));
        }
        Ok(Some(Self { text: text.trim().to_lowercase() }))
    }

    fn fits(&self, person: &Participant) -> bool {
        let name = person.name.as_deref().unwrap_or_default().to_lowercase();
        name.contains(&self.text) || person.user_id.to_string().starts_with(&self.text)
    }

    /// People who are sought, so many at most, and where to go on: names are not in the tables of
    /// an event, so its people are looked through, a bounded number for each page.
    async fn among<'a, P: Copy>(
        &self,
        reads: &'a Reads,
        mut after: Option<P>,
        limit: usize,
        place: impl Fn(&RegistrationRow) -> Option<P>,
        read: impl Fn(Option<P>, usize) -> BoxFuture<'a, Result<Page<RegistrationRow, P>, ViewsError>>,
    ) -> Result<(Vec<Participant>, Option<P>), Problem> {
        let (mut found, mut searched) = (Vec::new(), 0);
        loop {
            let page = read(after, SEARCHED_AT_ONCE).await;
            let Page { items, next } = page.map_err(|error| reads.failed(&error))?;
            for (row, person) in items.iter().zip(people(reads, &items).await?) {
                if self.fits(&person) {
                    found.push(person);
                }
                if found.len() == limit {
                    return Ok((found, place(row)));
                }
            }
            searched += items.len();
            after = next;
            if next.is_none() || searched >= SEARCHED_MAX {
                return Ok((found, next));
            }
        }
    }
}

/// A page of people: of those that are sought, or as they come. `place` says where a row stands, and
/// `read` reads behind a place.
pub(super) async fn shown<'a, P: Place + Copy>(
    reads: &'a Reads,
    list: &List<'_>,
    (sought, after): (Option<&Sought>, Option<P>),
    place: impl Fn(&RegistrationRow) -> Option<P>,
    read: impl Fn(Option<P>, usize) -> BoxFuture<'a, Result<Page<RegistrationRow, P>, ViewsError>>,
) -> Result<ListBody<Participant>, Problem> {
    let (items, next_cursor) = match sought {
        Some(sought) => {
            list.of_found(sought.among(reads, after, list.limit(), place, read).await?)?
        }
        None => {
            let fetched = read(after, list.fetched()).await;
            let fetched = fetched.map_err(|error| reads.failed(&error))?;
            let (rows, next_cursor) = list.turn(fetched, place)?.split();
            (people(reads, &rows).await?, next_cursor)
        }
    };
    Ok(ListBody::new(items, next_cursor))
}
