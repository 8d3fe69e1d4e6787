//! The operations listener, and what the public one tells.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use cityevents_kit::lifecycle::{Lifecycle, Stage};
use cityevents_kit::ops_listener::{ops_router, public_health_router};
use cityevents_kit::telemetry::MetricsRegistry;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn get(router: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn probes_follow_the_components() {
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("registration/0", Stage::Workers, Duration::from_secs(5));
    let assignment = Arc::new(|| json!({"partitions": [0, 3]}));
    let registry = MetricsRegistry::new("1", "abc");
    let ops = ops_router(lifecycle.clone(), registry, assignment);
    let public = public_health_router(lifecycle.clone());
    lifecycle.all_registered();

    component.restoring("reading facts");
    let (status, body) = get(&ops, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["components"][0]["name"], "registration/0");
    assert_eq!(body["components"][0]["state"], "restoring");
    assert_eq!(body["components"][0]["reason"], "reading facts");
    assert_eq!(get(&ops, "/livez").await.0, StatusCode::OK);
    assert_eq!(get(&ops, "/startupz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, body) = get(&public, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!body.contains("registration"), "names are for operators: {body}");

    component.ready();
    for path in ["/readyz", "/startupz", "/livez"] {
        assert_eq!(get(&ops, path).await.0, StatusCode::OK, "{path}");
    }
    assert_eq!(get(&public, "/readyz").await.0, StatusCode::OK);
    lifecycle.request_stop("test");
    assert_eq!(get(&ops, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&public, "/healthz").await.0, StatusCode::OK);
    drop(component);
    assert_eq!(get(&ops, "/livez").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&public, "/healthz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&ops, "/debug/assignment").await.1, r#"{"partitions":[0,3]}"#);
    let (_, metrics) = get(&ops, "/metrics").await;
    assert!(metrics.contains("cityevents_build_info") && metrics.ends_with("# EOF\n"));
}
