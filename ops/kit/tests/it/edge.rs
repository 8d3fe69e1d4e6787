//! What the edge adds to every answer.

use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, StatusCode};

use crate::app::{App, request};

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_an_id() {
    let app = App::new(&[]);
    for path in ["/limited", "/nowhere", "/me", "/internal", "/page?limit=0"] {
        let answer = app.get(path, &[]).await;
        for (name, part) in [
            ("content-security-policy", "default-src 'self'"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("permissions-policy", "geolocation=()"),
        ] {
            assert!(answer.header(name).contains(part), "{path} {name}");
        }
        let policy = answer.header("content-security-policy");
        for part in ["frame-ancestors 'none'", "object-src 'none'", "base-uri 'self'"] {
            assert!(policy.contains(part), "{path} {part}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}");
    }
    let answer = app.get("/limited", &[("x-request-id", "mine-1")]).await;
    assert_eq!(answer.header("x-request-id"), "mine-1");
}

#[tokio::test]
async fn hsts_is_sent_over_tls_and_only_then() {
    let hsts = "max-age=31536000; includeSubDomains";
    let public = App::new(&[("http.public_url", "https://city.example")]);
    let answer = public.get("/limited", &[]).await;
    assert_eq!(answer.header("strict-transport-security"), hsts);

    let behind = App::new(&[("http.trusted_proxies", "10.0.0.0/8")]);
    for (peer, expected) in [("10.1.1.1:9", hsts), ("9.9.9.9:9", "")] {
        let headers = [("x-forwarded-proto", "https")];
        let mut request = request(Method::GET, "/limited", &headers, Body::empty());
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = behind.send(request).await;
        assert_eq!(answer.header("strict-transport-security"), expected, "{peer}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_a_counted_500_and_the_next_request_is_fine() {
    let app = App::new(&[]);
    let answer = app.get("/panic", &[]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.code(), "internal_error");
    assert!(!String::from_utf8_lossy(&answer.body).contains("for the test"));
    assert_eq!(app.get("/limited", &[]).await.status, StatusCode::OK);
    let text = app.registry.encode().unwrap();
    assert!(text.contains("cityevents_http_handler_panics_total 1"), "{text}");
    assert!(text.contains("cityevents_http_requests_in_flight 0"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_answers_is_a_504() {
    let app = App::new(&[]);
    let started = tokio::time::Instant::now();
    let answer = app.get("/never", &[]).await;
    assert_eq!(answer.code(), "upstream_timeout");
    assert_eq!(started.elapsed().as_secs(), app.config.http.request_timeout.as_secs());
}

#[tokio::test]
async fn the_allowance_is_told_and_what_is_too_much_is_refused() {
    // Nothing comes back while it is counted.
    let app = App::new(&[("limits.general.requests", "3"), ("limits.general.window", "1h")]);
    for left in [2, 1, 0] {
        let answer = app.get("/limited", &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("ratelimit-policy"), "\"general\";q=3;w=3600");
        let expected = format!("\"general\";r={left};");
        assert!(answer.header("ratelimit").starts_with(&expected));
    }
    let answer = app.get("/limited", &[]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.code(), "rate_limited");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=1_200).contains(&seconds), "{seconds}");
    let bearer = format!("Bearer {}", app.token());
    let answer = app.get("/limited", &[("authorization", &bearer)]).await;
    assert_eq!(answer.status, StatusCode::OK, "somebody signed in has an allowance of their own");
    assert_eq!(app.get("/page", &[]).await.header("ratelimit"), "");
    let text = app.registry.encode().unwrap();
    assert!(text.contains("cityevents_http_rate_limited_total{class=\"general\"} 1"), "{text}");
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask() {
    let app = App::new(&[]);
    let plain = app.get("/large", &[]).await;
    assert_eq!((plain.body.len(), plain.header("content-encoding")), (80_000, ""));
    let packed = app.get("/large", &[("accept-encoding", "zstd")]).await;
    assert_eq!(packed.header("content-encoding"), "zstd");
    assert_eq!(zstd::decode_all(packed.body.as_ref()).unwrap(), plain.body);
    let gzip = app.get("/large", &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert!(gzip.body.len() < 1000);
    let problem = app.get("/nowhere", &[("accept-encoding", "zstd")]).await;
    let body = zstd::decode_all(problem.body.as_ref()).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["request_id"], problem.header("x-request-id"));
}

#[tokio::test]
async fn only_listed_origins_may_call_from_a_browser() {
    let app = App::new(&[("http.cors_origins", "https://app.example")]);
    let preflight = |origin| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "idempotency-key"),
        ];
        app.send(request(Method::OPTIONS, "/join", &headers, Body::empty()))
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!(allowed.status, StatusCode::OK);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    let headers = allowed.header("access-control-allow-headers");
    assert!(headers.contains("idempotency-key") && headers.contains("x-idempotency-key"));
    let refused = preflight("https://evil.example").await;
    assert_eq!(refused.header("access-control-allow-origin"), "");
    let simple = app.get("/limited", &[("origin", "https://app.example")]).await;
    assert_eq!(simple.header("access-control-allow-origin"), "https://app.example");
    let closed = App::new(&[]);
    let answer = closed.get("/limited", &[("origin", "https://app.example")]).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_long_but_not_idle() {
    let app = App::new(&[("http.body_max", "1 KiB")]);
    let chunks = futures::stream::unfold(0, |count| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (count < 100).then(|| (Ok::<_, std::io::Error>("x".repeat(100)), count + 1))
    });
    let answer = app.post("/stream", &[], Body::from_stream(chunks)).await;
    assert_eq!(answer.body.len(), 10_000);
}
