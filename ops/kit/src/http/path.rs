//! Ids in paths.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::problem::{InvalidFields, Problem};

/// The only id of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathId<A>(pub A);

/// Both ids of a path, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathIds<A, B>(pub A, pub B);

impl<S: Send + Sync, A: FromStr> FromRequestParts<S> for PathId<A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let values = params(parts, state).await?;
        let mut invalid = InvalidFields::default();
        let first = parse(&values, 0, &mut invalid);
        invalid.into_result()?;
        first.map(Self).ok_or_else(Problem::internal)
    }
}

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for PathIds<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let values = params(parts, state).await?;
        let mut invalid = InvalidFields::default();
        let (first, second) = (parse(&values, 0, &mut invalid), parse(&values, 1, &mut invalid));
        invalid.into_result()?;
        first.zip(second).map(|(a, b)| Self(a, b)).ok_or_else(Problem::internal)
    }
}

async fn params<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    params.map_err(|_| Problem::invalid("path", "is not UTF-8"))
}

fn parse<T: FromStr>(
    params: &RawPathParams,
    index: usize,
    invalid: &mut InvalidFields,
) -> Option<T> {
    let (name, value) = params.iter().nth(index)?;
    let parsed = value.parse().ok();
    if parsed.is_none() {
        invalid.add(name, "write a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    }
    parsed
}
