//! The list of events. Its filters stand in its address, so that it can be kept and sent.

use axum::extract::State;
use axum::response::Response;
use cityevents_kit::Problem;
use jiff::ToSpan as _;
use jiff::civil::Date;
use minijinja::context;

use super::Pages;
use super::address::encoded;
use super::calls::Call;
use super::forms::{Asked, Form};
use super::problem::shown;
use super::render::data;
use super::visitor::Visitor;

/// Events of a page.
const SHOWN: u32 = 24;
/// What is passed on as it is.
const FILTERS: [&str; 3] = ["q", "city", "category"];

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let kept = kept(&asked);
    let mut call = format!("/api/feed?limit={SHOWN}");
    for name in FILTERS {
        if let Some(value) = asked.given(name) {
            call.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    // Days are days in UTC here: an event near midnight is found from either side.
    for (name, value) in [("from", day(asked.text("from"), 0)), ("to", day(asked.text("to"), 1))] {
        if let Some(value) = value {
            call.push_str(&format!("&{name}={}", encoded(&value)));
        }
    }
    if let Some(cursor) = asked.given("cursor") {
        call.push_str(&format!("&cursor={}", encoded(cursor)));
    }
    let found = match pages.shared.calls.ask(&visitor, Call::get(call)).await {
        Ok(found) => found,
        Err(problem) if problem.meta().contains_key("fields") => {
            let known =
                context! { form => asked.shown(), kept => kept, problem => shown(&problem) };
            let status = problem.code().status();
            return Ok(pages.page_with(status, &visitor, "events.html", known));
        }
        Err(problem) => return Err(problem),
    };
    let next = found.body["next_cursor"].as_str().map(|cursor| {
        format!(
            "/events?{kept}{}cursor={}",
            if kept.is_empty() { "" } else { "&" },
            encoded(cursor)
        )
    });
    let known = context! {
        form => asked.shown(),
        kept => kept,
        is_first => asked.given("cursor").is_none(),
        list => data(&found.body),
        next => next,
    };
    Ok(pages.page(&visitor, "events.html", known))
}

/// The filters as a query, without the page.
fn kept(asked: &Form) -> String {
    let names = FILTERS.into_iter().chain(["from", "to"]);
    let given = names.filter_map(|name| Some((name, asked.given(name)?)));
    let pairs: Vec<_> = given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

/// A day as the call takes times, some days on. What is no day is passed on, and refused by name.
fn day(text: &str, days_on: i64) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let day = text.parse::<Date>().ok().and_then(|day| day.checked_add(days_on.days()).ok());
    Some(day.map_or_else(|| text.to_owned(), |day| format!("{day}T00:00:00Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_with_the_beginning_of_the_next() {
        assert_eq!(day("2026-12-31", 0).as_deref(), Some("2026-12-31T00:00:00Z"));
        assert_eq!(day("2026-12-31", 1).as_deref(), Some("2027-01-01T00:00:00Z"));
        assert_eq!(day("soon", 1).as_deref(), Some("soon"));
        assert_eq!(day(" ", 1), None);
    }

    #[test]
    fn filters_are_kept_and_the_page_is_not() {
        let asked = Form::parse(b"q=jazz+%26+wine&city=&cursor=abc&other=1&from=2026-01-01");
        assert_eq!(kept(&asked), "q=jazz+%26+wine&from=2026-01-01");
    }
}
