//! Whatever is wrong with a request, the answer is a named problem and never a 500.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, request};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Method, path, headers, body; status, code and field of the answer.
type Row<'a> = (Method, String, Vec<(&'a str, &'a str)>, &'a str, u16, &'static str, &'static str);

#[tokio::test]
async fn every_bad_request_has_its_code_and_names_its_field() {
    let app = App::new(&[]);
    let id = "0191d6a8-0000-7000-8000-000000000000";
    let people = |event: &str, user: &str| format!("/events/{event}/people/{user}");
    let huge = "x".repeat(2 << 20);
    let deep = "[".repeat(10_000);
    let long = format!("/page?cursor={}", "a".repeat(9000));
    let bearer_long = format!("Bearer {}", "a".repeat(5000));
    let unlisted: &[(&str, &str)] = &[];
    let rows: Vec<Row<'_>> = vec![
        (Method::GET, "/nowhere".into(), unlisted.into(), "", 404, "not_found", ""),
        (Method::GET, "/echo".into(), unlisted.into(), "", 405, "method_not_allowed", ""),
        (Method::DELETE, "/page".into(), unlisted.into(), "", 405, "method_not_allowed", ""),
        (Method::POST, "/echo".into(), vec![], "{}", 415, "unsupported_media_type", ""),
        (
            Method::POST,
            "/echo".into(),
            vec![("content-type", "text/plain")],
            "{}",
            415,
            "unsupported_media_type",
            "",
        ),
        (Method::POST, "/echo".into(), vec![JSON], "", 400, "validation_failed", "body"),
        (Method::POST, "/echo".into(), vec![JSON], "{", 400, "validation_failed", "body"),
        (Method::POST, "/echo".into(), vec![JSON], "{} {}", 400, "validation_failed", "title"),
        (Method::POST, "/echo".into(), vec![JSON], "\u{0}", 400, "validation_failed", "body"),
        (Method::POST, "/echo".into(), vec![JSON], "5", 400, "validation_failed", "body"),
        (Method::POST, "/echo".into(), vec![JSON], &deep, 400, "validation_failed", "body"),
        (Method::POST, "/echo".into(), vec![JSON], "{}", 400, "validation_failed", "title"),
        (
            Method::POST,
            "/echo".into(),
            vec![JSON],
            r#"{"title":"a","titel":"b"}"#,
            400,
            "validation_failed",
            "titel",
        ),
        (
            Method::POST,
            "/echo".into(),
            vec![JSON],
            r#"{"title":"a","size":-1}"#,
            400,
            "validation_failed",
            "size",
        ),
        (
            Method::POST,
            "/echo".into(),
            vec![JSON],
            r#"{"title":"a","title":"b"}"#,
            400,
            "validation_failed",
            "body",
        ),
        (Method::POST, "/echo".into(), vec![JSON], &huge, 413, "payload_too_large", ""),
        (
            Method::POST,
            "/echo".into(),
            vec![JSON, ("content-encoding", "br")],
            "{}",
            415,
            "unsupported_media_type",
            "",
        ),
        (
            Method::POST,
            "/echo".into(),
            vec![JSON, ("content-encoding", "gzip")],
            "not gzip",
            400,
            "validation_failed",
            "body",
        ),
        (
            Method::POST,
            "/echo".into(),
            vec![JSON, ("content-encoding", "zstd")],
            "not zstd",
            400,
            "validation_failed",
            "body",
        ),
        (Method::POST, "/nothing".into(), vec![], r#"{"a":1}"#, 400, "validation_failed", "a"),
        (Method::POST, "/nothing".into(), vec![], "[]", 400, "validation_failed", "body"),
        (Method::POST, "/nothing".into(), vec![], "tru", 400, "validation_failed", "body"),
        (Method::GET, "/page?limit=0".into(), vec![], "", 400, "validation_failed", "limit"),
        (Method::GET, "/page?limit=101".into(), vec![], "", 400, "validation_failed", "limit"),
        (Method::GET, "/page?limit=-1".into(), vec![], "", 400, "validation_failed", "limit"),
        (Method::GET, "/page?limit=ten".into(), vec![], "", 400, "validation_failed", "limit"),
        (Method::GET, "/page?limit=".into(), vec![], "", 400, "validation_failed", "limit"),
        (
            Method::GET,
            "/page?limit=1&limit=2".into(),
            vec![],
            "",
            400,
            "validation_failed",
            "limit",
        ),
        (Method::GET, long, vec![], "", 400, "validation_failed", "query"),
        (Method::GET, "/filters?above=x".into(), vec![], "", 400, "validation_failed", "above"),
        (
            Method::GET,
            "/filters?city=a&city=b".into(),
            vec![],
            "",
            400,
            "validation_failed",
            "city",
        ),
        (Method::GET, people("1", id), vec![], "", 400, "validation_failed", "id"),
        (Method::GET, people(id, "me"), vec![], "", 400, "validation_failed", "user"),
        (Method::GET, people("%ff", id), vec![], "", 400, "validation_failed", "path"),
        (Method::GET, "/me".into(), vec![], "", 401, "unauthenticated", ""),
        (Method::GET, "/me".into(), vec![("authorization", "")], "", 401, "unauthenticated", ""),
        (
            Method::GET,
            "/me".into(),
            vec![("authorization", "Basic YTpi")],
            "",
            401,
            "unauthenticated",
            "",
        ),
        (
            Method::GET,
            "/maybe".into(),
            vec![("authorization", "Bearer a.b.c")],
            "",
            401,
            "unauthenticated",
            "",
        ),
        (
            Method::GET,
            "/me".into(),
            vec![("authorization", &bearer_long)],
            "",
            401,
            "unauthenticated",
            "",
        ),
    ];
    for (method, path, headers, body, status, code, field) in rows {
        let shown =
            format!("{method} {} {}", &path[..path.len().min(60)], &body[..body.len().min(40)]);
        let answer = app.send(request(method, &path, &headers, Body::from(body.to_owned()))).await;
        assert_eq!(answer.status.as_u16(), status, "{shown}: {:?}", answer.body);
        assert_eq!(answer.code(), code, "{shown}");
        let body = answer.json();
        if !field.is_empty() {
            let fields = body["error"]["meta"]["fields"].as_object().unwrap();
            assert!(fields.contains_key(field), "{shown}: {fields:?}");
        }
        assert_eq!(body["instance"], path.split('?').next().unwrap(), "{shown}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{shown}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_which_ones_there_are() {
    let app = App::new(&[]);
    assert_eq!(app.get("/echo", &[]).await.header("allow"), "POST");
    let traced = app.send(request(Method::TRACE, "/echo", &[], Body::empty())).await;
    assert_eq!(traced.code(), "method_not_allowed", "nobody sees their own request");
}

#[tokio::test]
async fn calls_without_fields_take_nothing_null_and_an_empty_object() {
    let app = App::new(&[]);
    for body in ["", "null", "{}", " {} \n"] {
        let answer = app.post("/nothing", &[], body).await;
        assert_eq!(answer.status, StatusCode::OK, "{body:?}");
    }
}

#[tokio::test]
async fn good_requests_reach_their_handlers() {
    let app = App::new(&[]);
    let answer = app.post("/echo", &[JSON], r#"{"title":"a","size":3}"#).await;
    assert_eq!(answer.body, "a3");
    assert_eq!(app.get("/page", &[]).await.body, "20 ");
    assert_eq!(app.get("/page?limit=100&cursor=x", &[]).await.body, "100 x");
    assert_eq!(app.get("/filters?city=Z%C3%BCrich&above=3&else=1", &[]).await.body, "Zürich 3");
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit() {
    let app = App::new(&[("http.body_max", "1 KiB")]);
    let chunks = futures::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>("x".repeat(100))));
    let answer = app.post("/echo", &[JSON], Body::from_stream(chunks)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large")
    );
    assert_eq!(answer.json()["error"]["meta"]["bytes_max"], 1024);
}

#[tokio::test]
async fn compressed_bodies_are_read_and_bombs_are_not() {
    let app = App::new(&[("http.body_max", "64 KiB"), ("http.decompressed_max", "64 KiB")]);
    let zstd = ("content-encoding", "zstd");
    let fine = zstd::encode_all(br#"{"title":"packed"}"#.as_slice(), 3).unwrap();
    assert_eq!(app.post("/echo", &[JSON, zstd], fine.clone()).await.body, "packed0");
    let bomb = zstd::encode_all(vec![b' '; 50 << 20].as_slice(), 3).unwrap();
    assert!(bomb.len() < 64 << 10);
    let answer = app.post("/echo", &[JSON, zstd], bomb).await;
    assert_eq!(answer.code(), "payload_too_large");
    let cut = fine[..fine.len() - 4].to_vec();
    let answer = app.post("/echo", &[JSON, zstd], cut).await;
    assert_eq!(answer.json()["error"]["meta"]["fields"].as_object().map(|f| f.len()), Some(1));
}

#[tokio::test(start_paused = true)]
async fn bodies_that_trickle_are_given_up() {
    let app = App::new(&[("http.body_timeout", "5s"), ("http.body_idle_timeout", "2s")]);
    let stalls = futures::StreamExt::chain(
        futures::stream::iter([Ok::<_, std::io::Error>("{")]),
        futures::stream::pending(),
    );
    let answer = app.post("/echo", &[JSON], Body::from_stream(stalls)).await;
    assert_eq!(answer.code(), "request_timeout");
    let trickles = futures::stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        Some((Ok::<_, std::io::Error>(" "), ()))
    });
    let started = tokio::time::Instant::now();
    let answer = app.post("/echo", &[JSON], Body::from_stream(trickles)).await;
    assert_eq!(answer.code(), "request_timeout");
    assert!(started.elapsed() < std::time::Duration::from_secs(8));
}

#[tokio::test]
async fn random_bodies_never_make_an_error_of_ours() {
    let app = App::new(&[]);
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut state = seed.as_nanos() as u64 | 1;
    println!("seed {state}");
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet = br#"{}[]",:0123456789.-+eEtrufalsn\titlesize/ "#;
    for _ in 0..2_000 {
        let length = (next() % 40) as usize;
        let body: Vec<u8> = (0..length)
            .map(|_| match next() % 8 {
                0 => next() as u8,
                _ => alphabet[next() as usize % alphabet.len()],
            })
            .collect();
        let encoding = ["identity", "gzip", "zstd", "deflate"][(next() % 4) as usize];
        let headers = [JSON, ("content-encoding", encoding)];
        let answer = app.post("/echo", &headers, body.clone()).await;
        assert!(!answer.status.is_server_error(), "{:?} {encoding}", body);
        if !answer.status.is_success() {
            let problem: Value = answer.json();
            assert_ne!(problem["error"]["code"], json!(null));
        }
    }
}
