//! Calls without fields.

use axum::extract::{FromRequest, Request};
use serde_json::Value;

use super::body::collect_body;
use crate::problem::{InvalidFields, Problem};

/// No body, an empty one, `null` or `{}`; anything else is refused and its fields are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoBody;

impl<S: Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let bytes = collect_body(request.into_body()).await?;
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            return Ok(Self);
        }
        match super::json::parse::<Value>(bytes)? {
            Value::Null => Ok(Self),
            Value::Object(members) => {
                let mut unknown = InvalidFields::default();
                for name in members.keys() {
                    unknown.add(name, "unknown field");
                }
                unknown.into_result().map(|()| Self)
            }
            _ => Err(Problem::invalid("body", "this call takes no fields; send nothing or {}")),
        }
    }
}
