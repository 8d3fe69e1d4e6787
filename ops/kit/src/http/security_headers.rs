//! Headers that every answer carries.

use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(self), geolocation=(), microphone=(), payment=()"),
    ),
];

const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// What pages may load: what is here, and pictures from the origin that has them.
pub(super) fn content_security_policy(pictures: Option<&str>) -> HeaderValue {
    let pictures = pictures.map_or_else(String::new, |origin| format!(" {origin}"));
    let policy = format!(
        "default-src 'self'; script-src 'self'; style-src 'self'; \
         img-src 'self' data: blob:{pictures}; connect-src 'self'{pictures}; \
         object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    );
    // An origin that the configuration takes is printable.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Adds them; a handler's own ones stay.
pub(super) fn add_security_headers(headers: &mut HeaderMap, policy: &HeaderValue, is_tls: bool) {
    headers.reserve(ALWAYS.len() + 5);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| policy.clone());
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    if is_tls {
        headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(HSTS);
    }
}
