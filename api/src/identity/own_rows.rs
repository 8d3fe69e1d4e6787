//! The rows of one person, read page by page as somebody asks for more.

use cityevents_domain::event::EventStatus;
use cityevents_domain::ids::UserId;
use cityevents_views::{EventRow, OwnEventsQuery, RegistrationRow, Views, ViewsError};
use futures::stream::{self, Stream, TryStreamExt as _};

/// Rows that are read at once.
const PAGE: usize = 200;

/// Registrations in every state, the last joined first.
pub(super) fn joins(
    views: &Views,
    user: UserId,
) -> impl Stream<Item = Result<RegistrationRow, ViewsError>> + Send + '_ {
    pages(move |after| async move {
        let page = views.registrations.own_joins(user, after, PAGE).await?;
        Ok((page.items, page.next))
    })
}

/// Own events in some states, or in all of them, the newest first.
pub(super) fn events(
    views: &Views,
    owner: UserId,
    statuses: Option<Vec<EventStatus>>,
) -> impl Stream<Item = Result<EventRow, ViewsError>> + Send + '_ {
    pages(move |after| {
        let query = OwnEventsQuery { owner, statuses: statuses.clone(), after, limit: PAGE };
        async move {
            let page = views.events.own_events(query).await?;
            Ok((page.items, page.next))
        }
    })
}

/// What pages have, one after the other; the next is read when the one before is through.
fn pages<'a, T: Send + 'a, P: Send + 'a, F>(
    read: impl Fn(Option<P>) -> F + Send + 'a,
) -> impl Stream<Item = Result<T, ViewsError>> + Send + 'a
where
    F: Future<Output = Result<(Vec<T>, Option<P>), ViewsError>> + Send + 'a,
{
    // The state: behind which position to go on, if at all.
    stream::try_unfold(Some(None), move |next: Option<Option<P>>| {
        let reading = next.map(&read);
        async move {
            let Some(reading) = reading else { return Ok::<_, ViewsError>(None) };
            let (items, next) = reading.await?;
            Ok(Some((stream::iter(items.into_iter().map(Ok::<T, ViewsError>)), next.map(Some))))
        }
    })
    .try_flatten()
}
