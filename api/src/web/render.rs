//! Templates: how a page is put together from what it shows.

use std::io;
use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cityevents_domain::actor::Role;
use cityevents_domain::time::Timestamp;
use cityevents_kit::Problem;
use cityevents_kit::pictures::{PictureAddresses, Shown};
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, context};

use super::address::encoded;
use super::messages::{Language, Messages};
use super::visitor::Visitor;
use super::{Pages, assets, times};

macro_rules! templates {
    ($($name:literal)*) => {
        const TEMPLATES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../web/templates/", $name))),)*];
    };
}

templates! {
    "account.html"
    "card.html"
    "door.html"
    "door_list.html"
    "event.html"
    "event_form.html"
    "events.html"
    "field.html"
    "forgot.html"
    "layout.html"
    "login.html"
    "manage.html"
    "message.html"
    "mine.html"
    "notice.html"
    "pending.html"
    "picture.html"
    "problem.html"
    "register.html"
    "reset.html"
    "search.html"
    "staff.html"
    "standing.html"
    "start.html"
    "ticket.html"
    "trail.html"
    "unsubscribe.html"
    "verify.html"
}

/// Everything that is needed to write a page.
pub(super) struct Templates {
    environment: Environment<'static>,
}

/// What every page knows.
pub(super) struct Frame<'a> {
    pub(super) language: Language,
    pub(super) address: &'a str,
    pub(super) role: Option<Role>,
    pub(super) site: &'a str,
    pub(super) now: Timestamp,
}

impl Templates {
    pub(super) fn new(pictures: PictureAddresses) -> io::Result<Self> {
        let mut environment = Environment::new();
        // What is not there prints nothing: fields of a form that nobody filled in yet, for one.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        let messages = Arc::new(Messages::new()?);
        let rules = Arc::clone(&messages);
        environment.add_function("says", move |state: &State<'_, '_>, rule: &str| {
            rules.rule(language_of(state), rule)
        });
        environment.add_function("t", {
            move |state: &State<'_, '_>, key: &str, gaps: Kwargs| {
                let gaps = gaps_of(&gaps, language_of(state))?;
                let gaps: Vec<_> =
                    gaps.iter().map(|(name, text)| (&**name, text.clone())).collect();
                Ok::<_, Error>(messages.text(language_of(state), key, &gaps))
            }
        });
        environment.add_function("asset", |name: &str| {
            // Of names that are known, and a hash.
            let address = assets::address(name).map(Value::from_safe_string);
            address.ok_or_else(|| wrong(format!("no asset {name}")))
        });
        environment.add_function("picture", move |id: &str, name: &str| {
            let named = id.parse().ok().zip(Shown::parse(name));
            let (id, shown) = named.ok_or_else(|| wrong(format!("no picture {id}/{name}")))?;
            Ok::<_, Error>(pictures.address(&id, shown))
        });
        environment.add_filter("urlencode", |text: &str| encoded(text));
        environment.add_filter("number", |state: &State<'_, '_>, count: u64| {
            times::number(language_of(state), count)
        });
        environment.add_filter("when", |state: &State<'_, '_>, at: &str, form: &str| {
            times::text(language_of(state), at, form)
                .ok_or_else(|| wrong(format!("{at} has no form {form}")))
        });
        environment.add_filter("truncated", |text: &str, most: usize| {
            let mut letters = text.chars();
            let start: String = letters.by_ref().take(most).collect();
            if letters.next().is_some() { format!("{}…", start.trim_end()) } else { start }
        });
        for (name, source) in TEMPLATES {
            environment.add_template(name, source).map_err(io::Error::other)?;
        }
        Ok(Self { environment })
    }

    /// The text of a page. What a template does with what it is given is tested; what is left is
    /// noted, and answered with 500.
    pub(super) fn page(
        &self,
        name: &str,
        frame: &Frame<'_>,
        shown: Value,
    ) -> Result<String, Problem> {
        let languages: Vec<_> = Language::ALL
            .iter()
            .map(|language| context! { code => language.code(), name => language.own_name() })
            .collect();
        let all = context! {
            lang => frame.language.code(),
            languages => languages,
            address => frame.address,
            signed_in => frame.role.is_some(),
            is_staff => frame.role.is_some_and(Role::is_staff),
            is_admin => frame.role == Some(Role::Admin),
            site => frame.site,
            now_ms => frame.now.as_millis(),
            ..shown
        };
        let template = self.environment.get_template(name);
        template.and_then(|template| template.render(all)).map_err(|error| {
            tracing::error!(page = name, %error, "a page cannot be written: {error:#}");
            Problem::internal()
        })
    }
}

impl Pages {
    /// A page for a visitor.
    pub(super) fn page(&self, visitor: &Visitor, name: &str, shown: Value) -> Response {
        self.page_with(StatusCode::OK, visitor, name, shown)
    }

    /// The same with another status: a form that was not filled in well.
    pub(super) fn page_with(
        &self,
        status: StatusCode,
        visitor: &Visitor,
        name: &str,
        shown: Value,
    ) -> Response {
        let frame = Frame {
            language: visitor.language(),
            address: visitor.address(),
            role: visitor.caller().map(|caller| caller.role),
            site: self.shared.identity.site(),
            now: self.now(),
        };
        match self.shared.templates.page(name, &frame, shown) {
            Ok(text) => (status, html(), text).into_response(),
            Err(problem) => problem.into_response(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.shared.clock.now_ms())
    }
}

fn html() -> HeaderMap {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    HeaderMap::from_iter([(CONTENT_TYPE, kind)])
}

fn language_of(state: &State<'_, '_>) -> Language {
    let code = state.lookup("lang");
    let code = code.as_ref().and_then(|code| code.as_str());
    code.and_then(Language::parse).unwrap_or(Language::English)
}

/// What a call answered, for a template.
pub(super) fn data(body: &serde_json::Value) -> Value {
    Value::from(Serde(body))
}

/// What fills the gaps of a message. Numbers are written as the language does, but for `n`'s one.
fn gaps_of(gaps: &Kwargs, language: Language) -> Result<Vec<(String, String)>, Error> {
    let names: Vec<_> = gaps.args().map(str::to_owned).collect();
    let mut texts = Vec::with_capacity(names.len());
    for name in names {
        let value: Value = gaps.get(&name)?;
        let text = match u64::try_from(value.clone()) {
            Ok(count) => times::number(language, count),
            Err(_) => value.to_string(),
        };
        texts.push((name, text));
    }
    Ok(texts)
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_a_template_is_in_the_catalogue() {
        let messages = Messages::new().unwrap();
        let mut keys = 0;
        for (name, source) in TEMPLATES {
            // Not `asset("`.
            for after in source.split(" t(\"").skip(1) {
                let key = after.split('"').next().unwrap();
                // Keys that end in a point go on with a code.
                if key.ends_with('.') {
                    continue;
                }
                keys += 1;
                let forms = [key.to_owned(), format!("{key}.one")];
                let is_there =
                    forms.iter().any(|key| messages.find(Language::English, key).is_some());
                assert!(is_there, "{key} of {name} is not in the catalogue");
            }
        }
        assert!(keys > 50, "{keys} keys were found: is this how they are written?");
    }

    #[test]
    fn templates_carry_no_script_and_no_style_of_their_own() {
        for (name, source) in TEMPLATES {
            let lower = source.to_lowercase();
            for forbidden in ["<style", " style=", " onclick=", " onload=", "javascript:", "|safe"]
            {
                assert!(!lower.contains(forbidden), "{forbidden} in {name}");
            }
            let scripts = lower.matches("<script").count();
            assert_eq!(scripts, lower.matches("<script src=").count(), "{name}");
        }
    }
}
