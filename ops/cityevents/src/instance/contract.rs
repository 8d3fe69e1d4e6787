//! What the public listener promises: its description, as a document and as a page.

use axum::extract::State;
use axum::{Json, Router};
use cityevents_kit::keys::KeyRing;
use cityevents_kit::openapi;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

/// The routes, and beside them `/openapi.json` and the page at `/docs/`.
pub(super) fn describe(routes: OpenApiRouter) -> Router {
    let (routes, mut document) = routes.split_for_parts();
    openapi::finish(&mut document);
    routes.merge(SwaggerUi::new("/docs").url("/openapi.json", document))
}

/// Whether a route is of the page, and not a call.
pub(super) fn is_page(route: Option<&str>) -> bool {
    route.is_some_and(|route| route == "/openapi.json" || route.starts_with("/docs"))
}

/// The call that tells the public keys.
pub(super) fn keys(ring: KeyRing) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(jwks)).with_state(ring)
}

/// Public keys, current and next (RFC 7517).
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "identity",
    operation_id = "jwks",
    responses((status = 200, description = "the keys that tokens may be signed with", body = Object)),
)]
async fn jwks(State(ring): State<KeyRing>) -> Json<Value> {
    Json(ring.jwks())
}
