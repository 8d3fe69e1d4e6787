//! The public listener: routes that write, routes that read, and pages.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::Method;
use cityevents_api::feed::{self, Feed};
use cityevents_api::identity::{
    self, AllowanceMetrics, Identity, IdentityParts, LeaveEvents, Names, SharedAllowances,
};
use cityevents_api::index::{Index, IndexMetrics, IndexOptions, IndexPlace};
use cityevents_api::lines::{Lines, LinesMetrics, LinesOptions};
use cityevents_api::media::{self, Covers, Media, MediaMetrics, MediaParts};
use cityevents_api::standing::{
    AccountChanges, AccountStandings, StandingsMetrics, forget_sessions, sweep,
};
use cityevents_api::web::{self, Pages, PagesParts};
use cityevents_api::{ApiMetrics, ProjectionProgress, Reads, ReadsParts};
use cityevents_domain::ids::{CommandId, UserId};
use cityevents_ingest::track::{self, EngagementLog, Track, TrackMetrics};
use cityevents_ingest::{
    ClientOptions, CommandClient, IngestMetrics, IngestState, Reasons, WriteOptions,
};
use cityevents_kit::breaker::BreakerMetrics;
use cityevents_kit::http::{CallClass, Edge, EdgeParts, RoutePolicy, ServeOptions, listen, serve};
use cityevents_kit::keys::{self, ApiKeys, KeyRing, TokenSigner, TokenVerifier};
use cityevents_kit::ops_listener::public_health_router;
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::seal::{CursorSealer, InstanceSecret, VisitorCookies};
use cityevents_kit::telemetry::{HttpMetrics, MetricsRegistry, hash_accounts_with};
use cityevents_kit::{Component, Config, Lifecycle, Stage};
use cityevents_processors::projection;
use cityevents_schemas::topic;
use cityevents_trace::Tracer;
use cityevents_views::Views;
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;

use super::leaver::Leaver;
use super::mails::Requests;
use super::pictures;
use super::roles::{ProcessRole, ProcessRoles};
use super::{contract, key_store};
use crate::admin;

/// How often the probes look at what is folded here.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time for small parts to stop.
const STOP_BUDGET: Duration = Duration::from_secs(2);

/// What the listeners are made of.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) roles: &'a ProcessRoles,
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) metrics: &'a MetricsRegistry,
    /// Of all circuit breakers.
    pub(super) breakers: &'a BreakerMetrics,
    pub(super) context: &'a admin::Context,
    /// Name of this process.
    pub(super) member: &'a str,
    /// Gives spans of what belongs to traces that are kept.
    pub(super) tracer: &'a Tracer,
}

/// The public listener.
pub(super) async fn start(
    parts: &Parts<'_>,
    views: &Views,
    progress: &Arc<ProjectionProgress>,
) -> anyhow::Result<SocketAddr> {
    let Parts { config, roles, lifecycle, metrics, .. } = parts;
    let ring = key_store::open_with(config, views)?;
    let api_keys = ApiKeys::open(&config.keys_dir())?;
    let secret = InstanceSecret::open(config)?;
    hash_accounts_with(&secret);
    let followed = lifecycle.register("keys", Stage::Background, STOP_BUDGET);
    keys::follow(
        followed,
        vec![Arc::new(ring.clone()), Arc::new(api_keys.clone()), Arc::new(secret.clone())],
    )?;
    let health = public_health_router((*lifecycle).clone());
    let mut routes = contract::keys(ring.clone());
    let cursors = CursorSealer::new(secret.clone());
    // Whoever serves accounts gives commands too: people who are locked out leave their events.
    let gives_commands = roles.has(ProcessRole::Ingest) || roles.has(ProcessRole::Api);
    let client = gives_commands.then(|| start_client(parts)).transpose()?;
    let writes = match client.clone() {
        Some(client) => writes(parts, views, client, api_keys, cursors.clone())?,
        None => OpenApiRouter::new(),
    };
    // Pages write wherever they are served; programs write where this process is told to let them.
    let for_pages = writes.clone();
    if roles.has(ProcessRole::Ingest) {
        routes = routes.merge(writes);
        routes = routes.merge(track::router(start_track(parts, &cursors)?));
    }
    let standings = standings(parts)?;
    let verifier = TokenVerifier::new(ring.clone(), config).with_standings(standings.clone());
    let mut pages = None;
    if roles.has(ProcessRole::Api) {
        let keys = (ring.clone(), cursors.clone());
        let reads = reads(parts, views, progress, keys, standings.clone(), client.clone())?;
        let visitors = VisitorCookies::new(cursors.clone(), config);
        let feed = feed::router(Feed::new(reads.clone(), visitors));
        let reads = cityevents_api::router(reads).merge(feed);
        let signer = TokenSigner::new(ring.clone(), config);
        let clock = parts.context.source.clock.clone();
        let changes = account_changes(parts)?;
        let (told, forgetting) = (Some(changes.clone()), changes.clone());
        let leaving = client.map(|client| -> Arc<dyn LeaveEvents> { Arc::new(Leaver(client)) });
        let mails = Arc::new(mail_requests(parts)?);
        let pictures = media(parts, views, cursors.clone())?;
        let views = views.clone();
        let allowances = config.is_cluster().then(|| {
            let metrics = metrics.register(AllowanceMetrics::new);
            SharedAllowances::new(&views, clock.clone(), &secret, &config.limits, metrics)
        });
        let people = IdentityParts {
            views,
            leaving,
            signer,
            clock,
            changes: told,
            mails,
            cursors,
            allowances,
            media: Some(pictures.clone()),
            breakers: parts.breakers.clone(),
        };
        let identity = Identity::new(people, config).context("accounts cannot be served")?;
        let swept = lifecycle.register("account-changes-told", Stage::Background, STOP_BUDGET);
        let rows = identity.clone();
        tokio::spawn(async move { sweep(swept, &rows, &changes).await });
        let forgotten = lifecycle.register("sessions-forgotten", Stage::Background, STOP_BUDGET);
        let token_life = config.tokens.ttl + config.tokens.leeway;
        let (known, clock) = (standings.clone(), parts.context.source.clock.clone());
        tokio::spawn(async move {
            forget_sessions(forgotten, &known, &forgetting, &*clock, token_life).await;
        });
        let departing = lifecycle.register("departures", Stage::Background, STOP_BUDGET);
        let leaving = identity.clone();
        tokio::spawn(async move { leaving.sweep_departures(departing).await });
        let swept = lifecycle.register("pictures", Stage::Background, STOP_BUDGET);
        let (worked_on, people) = (pictures.clone(), identity.clone());
        tokio::spawn(async move { worked_on.sweep(swept, &people).await });
        // Set once, by the only listener of the process.
        let _is_first = parts.context.identity.set(identity.clone());
        let calls = reads.merge(identity::router(identity.clone())).merge(media::router(pictures));
        routes = routes.merge(calls.clone());
        let (calls, _) = calls.merge(for_pages).split_for_parts();
        let (clock, verifier) = (parts.context.source.clock.clone(), verifier.clone());
        let made = Pages::new(PagesParts {
            calls,
            identity,
            verifier,
            clock,
            pictures: PictureAddresses::of(config),
            upload_bytes_max: config.media.upload_max,
        });
        pages = Some(made.context("pages cannot be served")?);
    }
    let http_metrics = HttpMetrics::new(metrics);
    let tracer = parts.tracer.clone();
    let edge = EdgeParts { policy, verifier, metrics: http_metrics.clone(), tracer };
    let mut edge = Edge::new(config, edge);
    let mut all = contract::describe(routes).merge(health);
    if let Some(pages) = pages {
        edge = edge.with_pages(Arc::new(pages.clone()));
        all = all.merge(web::router(pages));
    }
    let public = edge.around(all);
    let (listener, address) = bind(config.http.listen, "--listen")?;
    let component = lifecycle.register("http", Stage::Http, config.ops.shutdown_budget);
    tokio::spawn(serve(listener, public, ServeOptions::of(config, http_metrics), component));
    Ok(address)
}

pub(super) fn bind(address: SocketAddr, option: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = listen(address).with_context(|| {
        format!("cannot listen on {address}; give another address with {option}")
    })?;
    let address = listener.local_addr()?;
    tracing::info!("listening at {address} ({option})");
    Ok((listener, address))
}

pub(super) fn start_client(parts: &Parts<'_>) -> anyhow::Result<CommandClient> {
    let ingest = &parts.config.ingest;
    let options = ClientOptions {
        prefix: parts.context.prefix.clone(),
        instance: parts.member.to_owned(),
        queue_delay_target: ingest.queue_delay_target,
        in_flight_bytes_max: usize::try_from(ingest.in_flight_max)?,
        tracer: parts.tracer.clone(),
    };
    let metrics = parts.metrics.register(IngestMetrics::new);
    let client = CommandClient::start(parts.context.log(), &options, metrics)?;
    let component = parts.lifecycle.register("commands", Stage::Background, 2 * STOP_BUDGET);
    component.ready();
    let stopped = client.clone();
    tokio::spawn(async move {
        component.shutdown().wait().await;
        if !stopped.shutdown(STOP_BUDGET).await {
            tracing::warn!("somebody still waited for a decision when the instance stopped");
        }
        component.finished();
    });
    Ok(client)
}

fn writes(
    parts: &Parts<'_>,
    views: &Views,
    client: CommandClient,
    api_keys: ApiKeys,
    sealer: CursorSealer,
) -> anyhow::Result<OpenApiRouter> {
    let ingest = &parts.config.ingest;
    let options = WriteOptions {
        wait: ingest.wait,
        wait_max: ingest.wait_max,
        line_bytes_max: usize::try_from(ingest.line_max)?,
        pictures: PictureAddresses::of(parts.config),
    };
    let reasons = Reasons::new(views.person_keys.clone());
    let draining = parts.lifecycle.draining();
    let covers = Covers::new(views, parts.context.source.clock.clone());
    let state = IngestState::new(client, reasons, api_keys, options, draining, sealer)
        .with_covers(Arc::new(pictures::Gate(covers)));
    Ok(cityevents_ingest::router(state))
}

/// What people were shown and looked at, on its way into the log.
fn start_track(parts: &Parts<'_>, cursors: &CursorSealer) -> anyhow::Result<Track> {
    let metrics = parts.metrics.register(TrackMetrics::new);
    let log = tokio::task::block_in_place(|| {
        EngagementLog::start(parts.context.log(), &parts.context.prefix, metrics.clone())
    })?;
    let component = parts.lifecycle.register("track", Stage::Background, 2 * STOP_BUDGET);
    component.ready();
    let stopped = log.clone();
    tokio::spawn(async move {
        component.shutdown().wait().await;
        if !stopped.shutdown(STOP_BUDGET).await {
            tracing::warn!("signals were still on their way when the instance stopped");
        }
        component.finished();
    });
    let visitors = VisitorCookies::new(cursors.clone(), parts.config);
    Ok(Track::new(log, visitors, &parts.config.limits, metrics))
}

fn reads(
    parts: &Parts<'_>,
    views: &Views,
    progress: &Arc<ProjectionProgress>,
    (keys, cursors): (KeyRing, CursorSealer),
    standings: Arc<AccountStandings>,
    client: Option<CommandClient>,
) -> anyhow::Result<Reads> {
    let source = &parts.context.source;
    let options =
        LinesOptions { topic: source.facts.clone(), partitions: parts.context.partitions };
    let metrics = parts.metrics.register(LinesMetrics::new);
    let lines = Lines::start(&source.log, &options, &source.clock, &source.metrics, metrics)?;
    let lines = Arc::new(lines);
    let component = parts.lifecycle.register("lines", Stage::Background, STOP_BUDGET);
    let watched = lines.clone();
    tokio::spawn(watch(component, move || watched.problem()));
    let index = Arc::new(index(parts)?);
    let component = parts.lifecycle.register("index", Stage::Background, STOP_BUDGET);
    let watched = index.clone();
    tokio::spawn(watch(component, move || watched.problem()));
    let is_pending = move |command: &CommandId, user: &UserId| {
        client.as_ref().is_some_and(|client| client.is_pending(command, user))
    };
    Ok(Reads::new(ReadsParts {
        views: views.clone(),
        names: Names::new(views.records.clone(), source.clock.clone()),
        index,
        lines,
        progress: progress.clone(),
        projection: projection::NAME.to_owned(),
        cursors,
        keys,
        standings,
        clock: source.clock.clone(),
        consistency_wait: parts.config.views.consistency_wait,
        is_pending: Arc::new(is_pending),
        draining: parts.lifecycle.draining(),
        pictures: PictureAddresses::of(parts.config),
        metrics: parts.metrics.register(ApiMetrics::new),
    }))
}

/// Pictures that people bring.
fn media(parts: &Parts<'_>, views: &Views, sealer: CursorSealer) -> anyhow::Result<Media> {
    let pictures = MediaParts {
        views: views.clone(),
        store: pictures::store(parts.config)?,
        clock: parts.context.source.clock.clone(),
        sealer,
        metrics: parts.metrics.register(MediaMetrics::new),
    };
    Media::new(pictures, parts.config).context("pictures cannot be worked on")
}

/// Asks for mails with links.
fn mail_requests(parts: &Parts<'_>) -> anyhow::Result<Requests> {
    let topic = topic::EMAILS.full_name(&parts.context.prefix);
    let log = parts.context.log().clone();
    let tracer = parts.tracer.clone();
    Ok(tokio::task::block_in_place(|| Requests::start(log, topic.into(), tracer))?)
}

/// Where the index is when nobody says. Processes of a cluster that are on one machine may have one
/// data folder, and an index belongs to one process.
fn index_folder(config: &Config, member: &str) -> PathBuf {
    let folder = config.data.dir.join("index");
    if !config.is_cluster() {
        return folder;
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    folder.join(member.replace(|letter| !is_plain(letter), "_"))
}

/// The public events.
fn index(parts: &Parts<'_>) -> anyhow::Result<Index> {
    let (config, source) = (parts.config, &parts.context.source);
    let folder = config.index.folder.clone();
    let folder = folder.unwrap_or_else(|| index_folder(config, parts.member));
    Ok(Index::start(IndexOptions {
        log: source.log.clone(),
        topic: topic::EVENTS.full_name(&parts.context.prefix).into(),
        place: IndexPlace::Folder(folder),
        memory_bytes: usize::try_from(config.index.memory)?,
        clock: source.clock.clone(),
        metrics: parts.metrics.register(IndexMetrics::new),
    })?)
}

/// Tells every instance of changes of accounts.
fn account_changes(parts: &Parts<'_>) -> anyhow::Result<AccountChanges> {
    let topic = topic::ACCOUNT_CHANGES.full_name(&parts.context.prefix);
    let log = parts.context.log().clone();
    Ok(tokio::task::block_in_place(|| AccountChanges::start(log, topic.into()))?)
}

/// How accounts stand, for every token that comes in: whatever this process does with it.
fn standings(parts: &Parts<'_>) -> anyhow::Result<Arc<AccountStandings>> {
    let topic = topic::ACCOUNT_CHANGES.full_name(&parts.context.prefix);
    let metrics = parts.metrics.register(StandingsMetrics::new);
    let standings = tokio::task::block_in_place(|| {
        AccountStandings::start(parts.context.log(), topic.into(), metrics)
    })?;
    let standings = Arc::new(standings);
    let component = parts.lifecycle.register("account-changes", Stage::Background, STOP_BUDGET);
    let watched = standings.clone();
    tokio::spawn(watch(component, move || watched.problem()));
    Ok(standings)
}

/// Not ready while something that is folded from the log, here, has a problem: it has not caught up
/// with what was there at the start, or it stopped.
async fn watch(component: Component, problem: impl Fn() -> Option<String> + Send) {
    let mut told = None;
    loop {
        let problem = problem();
        if told.as_ref() != Some(&problem) {
            match &problem {
                None => component.ready(),
                Some(problem) => component.restoring(problem),
            }
            told = Some(problem);
        }
        tokio::select! {
            () = component.shutdown().wait() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    component.finished();
}

fn policy(method: &Method, route: Option<&str>) -> RoutePolicy {
    if matches!(route, Some("/healthz" | "/readyz")) {
        return RoutePolicy::of(CallClass::Unlimited);
    }
    if contract::is_page(route) {
        return RoutePolicy::of(CallClass::Page);
    }
    cityevents_ingest::routes::route_policy(method, route)
        .or_else(|| identity::route_policy(method, route))
        .or_else(|| media::route_policy(method, route))
        .or_else(|| web::route_policy(method, route))
        .unwrap_or(RoutePolicy::GENERAL)
}
