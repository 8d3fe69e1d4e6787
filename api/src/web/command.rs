//! A write that was not decided in time: a page that waits with the visitor, and goes on.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::CommandId;
use cityevents_kit::Problem;
use cityevents_kit::http::PathId;
use minijinja::context;

use super::Pages;
use super::address::{encoded, own};
use super::calls::Call;
use super::forms::Asked;
use super::visitor::{Visitor, see_other};

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(command): PathId<CommandId>,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let then = own(asked.text("then")).unwrap_or("/");
    let mut call = format!("/api/commands/{command}");
    if let Some(receipt) = asked.given("receipt") {
        call.push_str(&format!("?receipt={}", encoded(receipt)));
    }
    let told = pages.shared.calls.ask(&visitor, Call::get(call)).await?.body;
    // The page that is shown once it is done, without saying that it is.
    let back = then.split('?').next().unwrap_or("/");
    Ok(match told["status"].as_str() {
        Some("accepted") => see_other(then),
        Some("refused") => {
            let code = told["error"]["code"].as_str().unwrap_or("internal_error");
            pages.page(&visitor, "pending.html", context! { refused => code, back => back })
        }
        _ => pages.page(&visitor, "pending.html", context! { back => back }),
    })
}
