//! What goes wrong, as a page that helps.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::{AskedPage, ProblemPages};
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use minijinja::value::Value;

use super::Pages;
use super::forms::Form;
use super::messages::Language;
use super::render::Frame;
use super::visitor::Visitor;

impl ProblemPages for Pages {
    fn page(&self, problem: &Problem, asked: &AskedPage) -> Option<String> {
        let frame = Frame {
            language: Language::of(&asked.headers),
            address: "/",
            role: self.role_of(asked),
            site: self.shared.identity.site(),
            now: self.now(),
        };
        let shown = context! {
            problem => shown(problem),
            request_id => asked.context.request_id().as_str(),
        };
        self.shared.templates.page("problem.html", &frame, shown).ok()
    }
}

impl Pages {
    fn role_of(&self, asked: &AskedPage) -> Option<cityevents_domain::actor::Role> {
        let token = self.shared.cookie.read(&asked.headers)?;
        self.shared.verifier.verify(token).ok().map(|claims| claims.role)
    }

    /// A form again, with what was typed and what is wrong with it.
    pub(super) fn form_again(
        &self,
        visitor: &Visitor,
        name: &str,
        form: &Form,
        problem: &Problem,
    ) -> Response {
        let status = problem.code().status();
        // A page that has the form still is one for people: what only programs send stays as it is.
        if matches!(problem.code(), ErrorCode::Unauthenticated | ErrorCode::TokenExpired) {
            return problem.clone().into_response();
        }
        let providers = self.providers();
        let known = context! { form => form.shown(), problem => shown(problem), providers };
        self.page_with(status, visitor, name, known)
    }
}

/// A problem as templates show it.
pub(super) fn shown(problem: &Problem) -> Value {
    let fields: BTreeMap<_, _> = problem
        .meta()
        .get("fields")
        .and_then(|fields| fields.as_object())
        .map(|fields| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            fields.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        })
        .unwrap_or_default();
    // When somebody came through the door before.
    let first_at = problem.meta().get("first_at").cloned();
    let retry_after = problem.meta().get("retry_after_seconds").and_then(|value| value.as_u64());
    context! {
        code => problem.code().as_str(),
        status => problem.code().status().as_u16(),
        fields => fields,
        retry_after => retry_after,
        first_at => first_at.as_ref().map(super::render::data),
        is_ours => problem.code().status() >= StatusCode::INTERNAL_SERVER_ERROR,
    }
}
