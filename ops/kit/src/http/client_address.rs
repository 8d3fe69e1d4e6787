//! Where a request comes from, looking through proxies only if they are known.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};

use crate::config::Network;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The first address, from the nearest on, that is not a trusted proxy's. What stands before it in
/// the header was written by somebody who is not trusted, and is not looked at.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let lines: Vec<_> = headers.get_all(&FORWARDED_FOR).iter().collect();
    let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    for hop in hops {
        let Some(address) = parse_hop(hop.trim()) else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// Whether a trusted proxy says that the client used TLS.
pub(super) fn is_forwarded_tls(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> bool {
    let is_https = headers.get(&FORWARDED_PROTO).is_some_and(|value| {
        let nearest = value.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
        nearest.trim_ascii().eq_ignore_ascii_case(b"https")
    });
    is_https && trusted.iter().any(|network| network.contains(peer))
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_header_counts_only_behind_trusted_proxies_and_only_from_them() {
        assert_eq!(seen("9.9.9.9", &["1.1.1.1"]), "9.9.9.9");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"]), "1.1.1.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "1.1.1.1"]), "1.1.1.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, nonsense"]), "10.0.0.1");
        assert_eq!(seen("::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(seen("::ffff:10.0.0.1", &["1.1.1.1:80"]), "1.1.1.1");
    }
}
