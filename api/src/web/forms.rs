//! What people fill in.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use cityevents_kit::http::collect_body;
use cityevents_kit::{ErrorCode, Problem};

/// The fields of a form, as they were filled in. Of one that is there twice, the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    fields: BTreeMap<String, String>,
}

impl Form {
    /// Of a query, or of a body that a browser made.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            // Browsers end the lines of a form as mails do.
            let value = value.replace("\r\n", "\n");
            fields.entry(name.into_owned()).or_insert(value);
        }
        Self { fields }
    }

    /// A field; empty where it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field that somebody filled in.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty())
    }

    /// What a page says first, after something was done: the `done` of its address, if it is one
    /// of those that are known there. Anything else says nothing.
    pub(super) fn done(&self, known: &[&'static str]) -> Option<&'static str> {
        known.iter().copied().find(|done| *done == self.text("done"))
    }

    /// What was typed, to be shown again, without what nobody should see again.
    pub(super) fn shown(&self) -> BTreeMap<String, String> {
        let fields = self.fields.iter().filter(|(name, _)| !name.contains("password"));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_form = kind.is_none_or(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        if !is_form {
            let detail = "send the form as application/x-www-form-urlencoded";
            return Err(Problem::because(ErrorCode::UnsupportedMediaType, detail));
        }
        Ok(Self::parse(&collect_body(request.into_body()).await?))
    }
}

/// What an address asks a page for.
pub(super) struct Asked(pub(super) Form);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Form::parse(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

/// A new key for a form: sent twice, it acts once.
pub(super) fn new_key() -> Result<String, Problem> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the operating system gives no random numbers: {error}");
        Problem::internal()
    })?;
    Ok(format!("page-{:032x}", u128::from_be_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_kept_but_for_passwords() {
        let form = Form::parse(b"name=Ada+L%C3%B6w&password=secret&new_password=x&text=a%0D%0Ab");
        assert_eq!(form.text("name"), "Ada Löw");
        assert_eq!(form.text("text"), "a\nb");
        assert_eq!(form.text("password"), "secret");
        assert_eq!(form.given("missing"), None);
        assert_eq!(Form::parse(b"done=saved").done(&["sent", "saved"]), Some("saved"));
        assert_eq!(Form::parse(b"done=%3Cb%3E").done(&["sent", "saved"]), None);
        assert_eq!(form.shown().into_keys().collect::<Vec<_>>(), ["name", "text"]);
    }
}
