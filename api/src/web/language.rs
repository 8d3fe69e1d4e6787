//! The switch between languages.

use axum::http::header::HeaderValue;
use axum::response::Response;

use super::address::own;
use super::forms::Form;
use super::messages::{LANGUAGE_COOKIE, Language};
use super::visitor::{Visitor, see_other};

/// A year: nobody wants to choose twice.
const COOKIE_SECONDS: u32 = 365 * 86_400;

/// Remembers a language in the browser. One that is not there changes nothing.
pub(super) async fn switch(visitor: Visitor, form: Form) -> Response {
    if let Some(language) = Language::parse(form.text("language")) {
        let secure = if visitor.context().is_tls() { "; Secure" } else { "" };
        let code = language.code();
        let text = format!(
            "{LANGUAGE_COOKIE}={code}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; \
             SameSite=Lax{secure}"
        );
        if let Ok(cookie) = HeaderValue::try_from(text) {
            visitor.keep(cookie);
        }
    }
    see_other(own(form.text("return_to")).unwrap_or("/"))
}
