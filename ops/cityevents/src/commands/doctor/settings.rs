//! What the settings themselves tell.

use cityevents_kit::Config;
use cityevents_mail::Site;

use super::row::Finding;

/// Security protocols of Kafka that encrypt.
const ENCRYPTED: [&str; 2] = ["ssl", "sasl_ssl"];

/// Rows `public address`, `proxies`, `limits`, `mail sender`, `broker security`.
pub(super) fn production(config: &Config) -> Vec<Finding> {
    vec![
        public_address(config),
        proxies(config),
        limits(config),
        mail_sender(config),
        broker_security(config),
    ]
}

fn public_address(config: &Config) -> Finding {
    let Some(url) = &config.http.public_url else {
        let todo = "set http.public_url: links in mails and the issuer of tokens come from it";
        return Finding::fail("not given", todo);
    };
    if !config.is_public_tls() {
        let todo = "people sign in there: let a balancer speak TLS and write https://";
        return Finding::fail(format!("{url} is in the clear"), todo);
    }
    let host = url.parse::<axum::http::Uri>().ok();
    let host = host.as_ref().and_then(axum::http::Uri::host).unwrap_or_default();
    if is_public_name(host) {
        return Finding::ok(url);
    }
    let todo = "write a name that everybody's machine resolves, as in https://cityevents.example";
    Finding::fail(format!("{host:?} is no name that others can resolve"), todo)
}

/// A name of at least two labels, and no number.
fn is_public_name(host: &str) -> bool {
    let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(usual)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = labels.last().copied().unwrap_or_default();
    let is_local = matches!(last, "localhost" | "local" | "localdomain" | "internal");
    labels.len() >= 2
        && labels.iter().all(is_label)
        && !is_local
        && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn proxies(config: &Config) -> Finding {
    let networks = &config.http.trusted_proxies;
    if networks.is_empty() {
        let todo = "set http.trusted_proxies to the network of the balancer that speaks TLS: without \
                    it everybody has the balancer's address, and shares one allowance";
        return Finding::fail("nobody is trusted to say who calls", todo);
    }
    Finding::ok(format!("{} networks are trusted to say who calls", networks.len()))
}

fn limits(config: &Config) -> Finding {
    if config.limits.enabled {
        return Finding::ok("on");
    }
    Finding::fail("off: passwords may be guessed without end", "set limits.enabled = true")
}

fn mail_sender(config: &Config) -> Finding {
    let site = match Site::of(config) {
        Ok(site) => site,
        Err(error) => return Finding::fail(error.problem, format!("correct {}", error.key)),
    };
    let domain = site.from.email.domain().to_owned();
    if is_public_name(&domain) {
        return Finding::ok(site.from.to_string());
    }
    let todo = "set mail.from to an address of your own domain, with SPF, DKIM and DMARC set up";
    Finding::fail(format!("mails are from somebody at {domain}"), todo)
}

fn broker_security(config: &Config) -> Finding {
    if !config.is_cluster() {
        return Finding::ok("no brokers: the log is on this machine");
    }
    let protocol = config.kafka.properties.expose().get("security.protocol");
    let protocol = protocol.map_or("plaintext", |protocol| protocol.as_str()).to_ascii_lowercase();
    if ENCRYPTED.contains(&protocol.as_str()) {
        return Finding::ok(protocol);
    }
    let todo = "set \"security.protocol\" = \"SASL_SSL\" and what belongs to it under \
                [kafka.properties], or --accept this where the network is yours alone";
    Finding::fail(format!("{protocol}: in the clear"), todo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_name_has_labels_and_is_no_number_and_not_of_this_machine() {
        for name in ["cityevents.example", "a.b.co", "xn--stdte-gra.example", "9.example"] {
            assert!(is_public_name(name), "{name}");
        }
        for name in [
            "",
            "localhost",
            "city.localhost",
            "localhost.localdomain",
            "10.0.0.1",
            "[::1]",
            "city",
            "a..b",
            "-a.co",
            "a_b.co",
        ] {
            assert!(!is_public_name(name), "{name}");
        }
    }
}
