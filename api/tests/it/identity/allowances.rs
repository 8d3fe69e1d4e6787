//! Allowances that instances share: two of them on one table, each behind its own limit.

use cityevents_api::identity::{AllowanceMetrics, SharedAllowances, route_policy};
use cityevents_kit::http::{Edge, EdgeParts, RoutePolicy};
use cityevents_kit::telemetry::{HttpMetrics, MetricsRegistry};
use cityevents_trace::Tracer;

use super::*;

/// One of several instances: the router behind its edge, and the accounts behind that.
struct Instance {
    router: Router,
    identity: Identity,
    metrics: MetricsRegistry,
}

fn instance(world: &World) -> Instance {
    let mut overrides = vec![("data.dir".to_owned(), world.folder.path().display().to_string())];
    // Nothing comes back while it is counted.
    for class in ["login", "account", "register", "account_mail"] {
        overrides.push((format!("limits.{class}.requests"), "10".to_owned()));
        overrides.push((format!("limits.{class}.window"), "1h".to_owned()));
    }
    let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
    let views = Views::of_shared(world.memory.clone());
    let secret = InstanceSecret::open(&config).unwrap();
    let metrics = MetricsRegistry::new("0", "test");
    let counted = metrics.register(AllowanceMetrics::new);
    let limits = &config.limits;
    let clock = world.clock.clone();
    let allowances = SharedAllowances::new(&views, clock.clone(), &secret, limits, counted);
    let parts = IdentityParts {
        views,
        leaving: None,
        signer: world.signer.clone(),
        clock,
        changes: None,
        mails: world.mails.clone(),
        cursors: CursorSealer::new(secret),
        allowances: Some(allowances),
        media: None,
        breakers: BreakerMetrics::default(),
    };
    let identity = Identity::new(parts, &config).unwrap();
    let edge = EdgeParts {
        policy: |method, route| route_policy(method, route).unwrap_or(RoutePolicy::GENERAL),
        verifier: world.verifier.clone(),
        metrics: HttpMetrics::new(&metrics),
        tracer: Tracer::off(),
    };
    let router = Edge::new(&config, edge).around(Router::from(router(identity.clone())));
    Instance { router, identity, metrics }
}

impl Instance {
    async fn post(&self, world: &World, path: &str, body: Value) -> Answer {
        let ask = Ask { body: Some(body), ..Ask::default() };
        world.send_to(&self.router, "POST", path, ask).await
    }
}

#[tokio::test]
async fn instances_share_one_allowance_for_signing_in_registering_and_mails() {
    let world = World::new();
    let instances = [instance(&world), instance(&world)];
    for (path, class, allowed) in [
        ("/api/auth/login", "login", StatusCode::UNAUTHORIZED),
        ("/api/auth/register", "register", StatusCode::BAD_REQUEST),
        ("/api/auth/password/reset/request", "account_mail", StatusCode::NO_CONTENT),
    ] {
        let mut let_through = 0;
        for number in 0..18 {
            let email = format!("{number}@b.co");
            let body = match class {
                "account_mail" => json!({ "email": email }),
                _ => json!({ "email": email, "password": "wrong" }),
            };
            let instance = &instances[number % 2];
            let before = instance.identity.hashed_passwords();
            let said = instance.post(&world, path, body).await;
            if said.status == allowed {
                let_through += 1;
                continue;
            }
            assert_eq!((said.status, said.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
            assert_eq!(said.body["error"]["meta"]["class"], class);
            assert!(said.body["error"]["meta"]["retry_after_seconds"].as_u64() > Some(0));
            let after = instance.identity.hashed_passwords();
            assert_eq!(before, after, "nothing is hashed for who is refused");
        }
        assert_eq!(let_through, 10, "{path}: each instance alone would let 9 of its 9 through");
    }
}

#[tokio::test]
async fn tries_at_one_account_are_counted_together_from_wherever_they_come() {
    let world = World::new();
    // Past the edge: addresses do not count.
    let instances = [instance(&world), instance(&world)];
    let routers = instances.each_ref().map(|one| Router::from(router(one.identity.clone())));
    for email in ["ada@b.co", "Nobody@b.co"] {
        let mut let_through = 0;
        for number in 0..16 {
            let body = Some(json!({ "email": email, "password": "wrong" }));
            let ask = Ask { body, ..Ask::default() };
            let said = world.send_to(&routers[number % 2], "POST", "/api/auth/login", ask).await;
            let_through += usize::from(said.code() == "invalid_credentials");
        }
        assert_eq!(let_through, 10, "{email}");
    }
}

#[tokio::test]
async fn while_the_tables_are_away_each_instance_counts_for_itself_and_says_so() {
    let world = World::new();
    let instance = instance(&world);
    let body = json!({ "email": "nobody@b.co", "password": "wrong" });
    // The allowance of the address, and that of the account.
    world.memory.fail_next_writes(2);
    let said = instance.post(&world, "/api/auth/login", body).await;
    assert_eq!(said.code(), "invalid_credentials");
    let metrics = instance.metrics.encode().unwrap();
    for class in ["login", "account"] {
        let line = format!("shared_allowances_total{{class=\"{class}\",result=\"away\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}
