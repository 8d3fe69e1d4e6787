//! The page of one event: what it is, and where one stands.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::Problem;
use cityevents_kit::http::PathId;
use minijinja::context;
use minijinja::value::Value;

use super::Pages;
use super::address::encoded;
use super::calls::Call;
use super::forms::{Asked, new_key};
use super::render::data;
use super::visitor::Visitor;

/// Other events of the kind that are shown.
const SIMILAR: usize = 3;
/// What the page says first, after something was done.
const DONE: [&str; 3] = ["joined", "left", "published"];

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let told = context! { done => asked.done(&DONE) };
    pages.event(&visitor, event, StatusCode::OK, told).await
}

impl Pages {
    /// An event, and how the visitor stands to it.
    pub(super) async fn view(
        &self,
        visitor: &Visitor,
        event: EventId,
    ) -> Result<serde_json::Value, Problem> {
        let call = Call::get(format!("/api/events/{event}/view"));
        Ok(self.shared.calls.ask(visitor, call).await?.body)
    }

    /// The page of an event, with something to tell.
    pub(super) async fn event(
        &self,
        visitor: &Visitor,
        event: EventId,
        status: StatusCode,
        told: Value,
    ) -> Result<Response, Problem> {
        let view = self.view(visitor, event).await?;
        let event = &view["event"];
        let similar = self.similar(visitor, event).await?;
        let count = |name: &str| event[name].as_u64().unwrap_or_default();
        let (capacity, active) = (count("capacity"), count("active_participants"));
        let waiting = count("waitlist_count");
        let is_unlimited = capacity == 0;
        let opens_at = event["opens_at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let opens_in_ms = opens_at.map(|at| at.as_millisecond() - self.now().as_millis());
        let shown = context! {
            key => new_key()?,
            free => capacity.saturating_sub(active),
            is_unlimited => is_unlimited,
            has_place => is_unlimited || (active < capacity && waiting == 0),
            // Without a script the page looks again by itself, when the time has come.
            opens_in => opens_in_ms.filter(|ms| *ms > 0).map(|ms| (ms + 999) / 1_000),
            event => data(event),
            view => data(&view),
            similar => similar.iter().map(data).collect::<Vec<_>>(),
            ..told
        };
        Ok(self.page_with(status, visitor, "event.html", shown))
    }

    /// What is talked about of the same kind in the same city, and where that is nothing, what there
    /// is at all of the kind.
    async fn similar(
        &self,
        visitor: &Visitor,
        event: &serde_json::Value,
    ) -> Result<Vec<serde_json::Value>, Problem> {
        let text = |name: &str| encoded(event[name].as_str().unwrap_or_default());
        let kind = format!("category={}", text("category"));
        let near = format!("/api/feed/recommended?type=trending&{kind}&city={}", text("city"));
        let anywhere = format!("/api/feed?{kind}");
        let mut similar = Vec::new();
        for call in [near, anywhere] {
            // One more than is shown: the event itself may be among them.
            let call = Call::get(format!("{call}&limit={}", SIMILAR + 1));
            let mut found = self.shared.calls.ask(visitor, call).await?.body;
            let found = found["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            similar.extend(found.into_iter().filter(|found| found["id"] != event["id"]));
            if !similar.is_empty() {
                break;
            }
        }
        similar.truncate(SIMILAR);
        Ok(similar)
    }
}
