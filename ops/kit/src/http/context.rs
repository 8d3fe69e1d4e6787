//! What the edge knows about a request, for handlers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use cityevents_trace::{Sampler, Scope, Scoped, TraceParent};

use super::client_address::{client_address, is_forwarded_tls};
use super::request_id::RequestId;
use super::trace_context::TraceContext;
use crate::config::Network;
use crate::problem::Problem;

/// What is known about a request before its handler runs. Cheap to clone; an argument of any
/// handler behind the edge.
#[derive(Debug, Clone)]
pub struct RequestContext {
    shared: Arc<Known>,
}

#[derive(Debug)]
struct Known {
    request_id: RequestId,
    trace: TraceContext,
    client_address: IpAddr,
    is_tls: bool,
}

impl RequestContext {
    pub(super) fn of(
        request: &Request,
        trusted: &[Network],
        public_tls: bool,
        sampler: &Sampler,
    ) -> Self {
        let headers = request.headers();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
        let (mut id, mut trace, mut random) = ([0; 10], [0; 24], [0; 34]);
        // Without random numbers the ids are less unique, which costs nobody an answer.
        let _ = getrandom::fill(&mut random);
        id.copy_from_slice(&random[..10]);
        trace.copy_from_slice(&random[10..]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let is_tls = public_tls || is_forwarded_tls(peer, headers, trusted);
        Self {
            shared: Arc::new(Known {
                request_id: RequestId::of(headers, now_ms, &id),
                trace: TraceContext::of(headers, &trace, sampler),
                client_address: client_address(peer, headers, trusted),
                is_tls,
            }),
        }
    }

    /// The id of the request.
    pub fn request_id(&self) -> &RequestId {
        &self.shared.request_id
    }

    /// The trace it belongs to.
    pub fn trace(&self) -> &TraceContext {
        &self.shared.trace
    }

    /// What is done for this request.
    pub fn scope(&self) -> Scope {
        Scope::of(Arc::<Known>::clone(&self.shared))
    }

    /// Where it comes from.
    pub fn client_address(&self) -> IpAddr {
        self.shared.client_address
    }

    /// Whether the client speaks TLS, to us or to a trusted proxy.
    pub fn is_tls(&self) -> bool {
        self.shared.is_tls
    }
}

impl Scoped for Known {
    fn trace(&self) -> TraceParent {
        *self.trace.own()
    }

    fn request_id(&self) -> Option<&str> {
        Some(self.request_id.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a route that needs the edge is not behind it");
            Problem::internal()
        })
    }
}
