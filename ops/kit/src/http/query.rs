//! Queries: `?city=Bern&limit=20`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{InvalidFields, Problem};

/// Items of a page when nobody says how many.
pub const PAGE_LIMIT_DEFAULT: u32 = 20;

/// Most items of a page.
pub const PAGE_LIMIT_MAX: u32 = 100;

/// Longest query that is looked at.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// The parameters of a query. Those that `T` does not know are nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Items at most: 1 to [`PAGE_LIMIT_MAX`].
    pub limit: u32,
    /// Where the page before ended, sealed.
    pub cursor: Option<String>,
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = form_urlencoded::parse(query(parts)?.as_bytes());
        let value = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(query));
        value.map(Self).map_err(|error| {
            let path = error.path().to_string();
            let text = error.into_inner().to_string();
            let named = text.split('`').nth(1).unwrap_or("query");
            let field = if path == "." { named.to_owned() } else { path };
            Problem::invalid(field, text.clone())
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let pairs = pairs(parts)?;
        let mut invalid = InvalidFields::default();
        let mut single = |name: &str| {
            let mut values = pairs.iter().filter(|(given, _)| given == name);
            let first = values.next().map(|(_, value)| value.clone());
            if values.next().is_some() {
                invalid.add(name, "is given twice");
            }
            first
        };
        let (limit, cursor) = (single("limit"), single("cursor"));
        let limit = match limit.as_deref().map(str::parse) {
            None => PAGE_LIMIT_DEFAULT,
            Some(Ok(limit)) if (1..=PAGE_LIMIT_MAX).contains(&limit) => limit,
            Some(_) => {
                invalid.add("limit", format!("a whole number from 1 to {PAGE_LIMIT_MAX}"));
                PAGE_LIMIT_DEFAULT
            }
        };
        invalid.into_result()?;
        Ok(Self { limit, cursor: cursor.filter(|cursor| !cursor.is_empty()) })
    }
}

fn pairs(parts: &Parts) -> Result<Vec<(String, String)>, Problem> {
    Ok(form_urlencoded::parse(query(parts)?.as_bytes()).into_owned().collect())
}

fn query(parts: &Parts) -> Result<&str, Problem> {
    let query = parts.uri.query().unwrap_or_default();
    if query.len() > QUERY_BYTES_MAX {
        return Err(Problem::invalid("query", format!("at most {QUERY_BYTES_MAX} bytes")));
    }
    Ok(query)
}
