//! Spans on their way to whoever takes them: a receiver that speaks OTLP, and one that is away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::post;
use cityevents_kit::Lifecycle;
use cityevents_kit::config::{Config, Sources};
use cityevents_kit::telemetry::{MetricsRegistry, start_tracing};
use cityevents_trace::{SpanKind, TraceParent, Tracer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use super::app::App;

const KEPT: TraceParent = TraceParent { trace_id: [1; 16], parent_id: [2; 8], flags: 1 };

const PATH: &str =
    "/events/01010101-0101-0101-0101-010101010101/people/02020202-0202-0202-0202-020202020202";

/// What a receiver answers, and what it was given.
struct Receiver {
    status: StatusCode,
    taken: mpsc::UnboundedSender<ExportTraceServiceRequest>,
}

async fn take(State(receiver): State<Arc<Receiver>>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    receiver.taken.send(request).unwrap();
    receiver.status
}

fn receiver_on(
    listener: TcpListener,
    status: StatusCode,
) -> (SocketAddr, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let (taken, requests) = mpsc::unbounded_channel();
    let state = Arc::new(Receiver { status, taken });
    let router = Router::new().route("/v1/traces", post(take)).with_state(state);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, requests)
}

async fn receiver(
    status: StatusCode,
) -> (SocketAddr, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    receiver_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), status)
}

struct Process {
    tracer: Tracer,
    metrics: MetricsRegistry,
    lifecycle: Lifecycle,
}

impl Process {
    fn start(address: SocketAddr) -> Self {
        let endpoint = ("telemetry.otlp_endpoint".to_owned(), format!("http://{address}/"));
        let sources = Sources { overrides: vec![endpoint], ..Sources::default() };
        let telemetry = Config::load(sources).unwrap().config.telemetry;
        let (metrics, lifecycle) = (MetricsRegistry::new("0", "0"), Lifecycle::new());
        let tracer = start_tracing(&telemetry, "one", &metrics, &lifecycle).unwrap();
        Self { tracer, metrics, lifecycle }
    }

    fn span(&self, name: &'static str) {
        self.tracer.child(&KEPT, name, SpanKind::Consumer).unwrap().end();
    }

    fn count(&self, outcome: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let series = format!("cityevents_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
        value.parse().unwrap()
    }

    async fn until(&self, outcome: &str, count: u64) {
        while self.count(outcome) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let resources = request.resource_spans.into_iter();
    resources.flat_map(|one| one.scope_spans).flat_map(|one| one.spans).collect()
}

#[tokio::test]
async fn spans_arrive_with_the_name_of_their_process() {
    let (address, mut requests) = receiver(StatusCode::OK).await;
    let process = Process::start(address);
    let mut span = process.tracer.child(&KEPT, "decide", SpanKind::Consumer).unwrap();
    span.set("outcome", "accepted").link(TraceParent { trace_id: [7; 16], ..KEPT });
    let own = span.context();
    span.end();
    let request = requests.recv().await.unwrap();
    let resource = request.resource_spans[0].resource.clone().unwrap();
    let attribute = |key| resource.attributes.iter().any(|one| one.key == key);
    assert!(attribute("service.name") && attribute("service.instance.id"), "{resource:?}");
    let [span] = &spans(request)[..] else { panic!("not one span") };
    assert_eq!((span.name.as_str(), &span.trace_id[..]), ("decide", &[1; 16][..]));
    assert_eq!((&span.parent_span_id[..], &span.span_id[..]), (&[2; 8][..], &own.parent_id[..]));
    assert_eq!(span.links[0].trace_id, [7; 16]);
    assert_eq!(span.attributes[0].key, "outcome");
    assert!(span.status.is_none() && span.start_time_unix_nano <= span.end_time_unix_nano);
    process.until("taken", 1).await;
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_spans_beyond_the_queue_and_nothing_else() {
    // The port is taken, and nobody listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let process = Process::start(socket.local_addr().unwrap());
    // More than wait: nobody is held up, and what is too much is counted.
    let given = 40_000;
    for _ in 0..given {
        process.span("decide");
    }
    process.until("dropped", 1).await;
    let (_, mut requests) = receiver_on(socket.listen(1_024).unwrap(), StatusCode::OK);
    let mut taken = 0;
    while taken + process.count("dropped") < given {
        taken += spans(requests.recv().await.unwrap()).len() as u64;
    }
    assert_eq!(taken + process.count("dropped"), given);
    assert!(taken > 0);
}

#[tokio::test]
async fn what_a_receiver_rejects_is_not_given_again() {
    let (address, mut requests) = receiver(StatusCode::BAD_REQUEST).await;
    let process = Process::start(address);
    process.span("first");
    requests.recv().await.unwrap();
    process.until("rejected", 1).await;
    process.span("second");
    assert_eq!(spans(requests.recv().await.unwrap())[0].name, "second");
}

#[tokio::test]
async fn spans_that_wait_are_handed_over_when_the_process_stops() {
    let (address, mut requests) = receiver(StatusCode::OK).await;
    let process = Process::start(address);
    process.span("last");
    assert!(process.lifecycle.drain(Duration::from_secs(60)).await.is_clean());
    assert_eq!(spans(requests.recv().await.unwrap())[0].name, "last");
}

#[tokio::test]
async fn a_request_has_a_span_named_by_its_template() {
    let (tracer, mut ended) = Tracer::with_queue(8, Default::default());
    let endpoint = ("telemetry.otlp_endpoint", "http://127.0.0.1:1");
    let app = App::traced(&[endpoint, ("telemetry.trace_ratio", "1.0")], tracer);
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    app.get(PATH, &[("traceparent", caller), ("x-request-id", "r-1")]).await;
    app.send(super::app::request(Method::GET, "/nowhere", &[], axum::body::Body::empty())).await;
    let span = ended.try_recv().unwrap();
    assert_eq!(span.name, "GET /events/{id}/people/{user}");
    let caller = TraceParent::parse(caller).unwrap();
    assert_eq!((span.trace_id, span.parent_id), (caller.trace_id, Some(caller.parent_id)));
    let attributes = format!("{:?}", span.attributes);
    assert!(attributes.contains("r-1") && attributes.contains("Number(200)"), "{attributes}");
    let other = ended.try_recv().unwrap();
    assert_eq!((&*other.name, other.parent_id), ("GET unmatched", None));
    assert_ne!(other.trace_id, span.trace_id);
}

#[tokio::test]
async fn without_a_receiver_no_trace_is_kept() {
    let (tracer, mut ended) = Tracer::with_queue(8, Default::default());
    let app = App::traced(&[("telemetry.trace_ratio", "1.0")], tracer);
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    app.get(PATH, &[("traceparent", caller)]).await;
    assert!(ended.try_recv().is_err());
}
