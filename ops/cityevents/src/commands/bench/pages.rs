//! The page of an event, as many people open it: how soon it comes, how many a second there can be,
//! and what it weighs with everything that belongs to it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::header::{ACCEPT_ENCODING, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Plan;
use super::feed::gets::{Offered, offer};
use super::http::run;
use super::measure::{Goal, Row, ThreadTimes, per_second, process_cpu};
use super::stage::{Stage, load_runtime};

/// The answer is one piece, so that its first byte comes with its last.
const FIRST_BYTE_MS_MAX: f64 = 20.0;
const KILOBYTES_MAX: f64 = 40.0;
/// Events that stand beside the one that is asked for.
const EVENTS: usize = 24;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let stage = Stage::start(folder.path(), |_| Ok(()))?;
    let (load, http) = (load_runtime()?, stage.http);
    let events = stage.publish(&load, EVENTS)?;
    let event = events.first().context("an event was made")?;
    let page = format!("/events/{event}");
    let weight = run(&load, weight(http, page.clone()))?;
    let request = format!("GET {page} HTTP/1.1\r\nhost: {http}\r\naccept: text/html\r\n\r\n");
    let requests = Arc::new(vec![request.into_bytes()]);
    let offered = Offered {
        rate: plan.rate.max(1),
        p99_ms: FIRST_BYTE_MS_MAX,
        warm_up: plan.warm_up,
        seconds: plan.seconds,
    };
    let (cpu, times) = (process_cpu(), ThreadTimes::now());
    let open = offer(&load, http, &requests, Some(offered.rate), offered)?;
    let cpu = (process_cpu() - cpu).as_secs_f64();
    let threads = ThreadTimes::now().since(&times);
    let closed = offer(&load, http, &requests, None, offered)?;
    stage.stop();
    let latency = |percent| open.latencies.percentile_ms(percent);
    let conditions = format!(
        "one event, as nobody; open loop, {} /s due, {} bytes a page before compression; processor \
         seconds {cpu:.1}: {threads}",
        offered.rate,
        open.bytes / open.count.max(1)
    );
    Ok(vec![
        Row::new("pages of an event", per_second(open.count, offered.seconds), "/s")
            .goal(Goal::AtLeast(f64::from(offered.rate) * 0.99))
            .under(conditions),
        Row::new("    p50", latency(50.0), "ms").under("from the due time, to the last byte"),
        Row::new("    p99", latency(99.0), "ms").goal(Goal::AtMost(offered.p99_ms)),
        Row::new("    as many as go", per_second(closed.count, offered.seconds), "/s"),
        Row::new("    weight", weight as f64 / 1_000.0, "kB")
            .goal(Goal::AtMost(KILOBYTES_MAX))
            .under("compressed, with style and scripts, without a cover"),
    ])
}

/// Bytes of a page and of what it names as its own, as they travel.
async fn weight(http: SocketAddr, page: String) -> anyhow::Result<u64> {
    let plain = fetched(http, &page, "identity").await?;
    let plain = String::from_utf8(plain)?;
    let assets = plain.split('"').filter(|part| part.starts_with("/assets/"));
    let needed = assets.filter(|asset| asset.ends_with(".css") || asset.ends_with(".js"));
    let mut bytes = fetched(http, &page, "gzip").await?.len();
    let mut found = 0_u32;
    for asset in needed {
        found += 1;
        bytes += fetched(http, asset, "gzip").await?.len();
    }
    ensure!(found >= 2, "the page names neither style nor script");
    Ok(u64::try_from(bytes)?)
}

async fn fetched(http: SocketAddr, path: &str, encoding: &str) -> anyhow::Result<Vec<u8>> {
    let stream = TokioIo::new(TcpStream::connect(http).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(HOST, http.to_string())
        .header(ACCEPT_ENCODING, encoding)
        .body(Empty::<bytes::Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    ensure!(answer.status().is_success(), "{path} was answered with {}", answer.status());
    Ok(answer.into_body().collect().await?.to_bytes().to_vec())
}
