//! The manifests against Kubernetes, against the program, and against each other. Nothing is sent to
//! a cluster: what is checked is that every field, name, port and setting in them means something.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cityevents_k8s::{KUSTOMIZATION, Manifest, folder, manifests};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Where the roles are named for good.
const ROLES: &str = include_str!("../../cityevents/src/instance/roles.rs");
const COMPONENT: &str = "app.kubernetes.io/component";

fn all() -> Vec<Manifest> {
    manifests().unwrap_or_else(|error| panic!("{error}"))
}

fn of_kind(kind: &str) -> Vec<Manifest> {
    all().into_iter().filter(|manifest| manifest.kind() == kind).collect()
}

/// What runs pods, with the template of its pods.
fn workloads() -> Vec<(Manifest, Value)> {
    let runs =
        |manifest: &Manifest| matches!(manifest.kind(), "Deployment" | "StatefulSet" | "Job");
    let with_template = |manifest: Manifest| {
        let template = manifest.object["spec"]["template"].clone();
        (manifest, template)
    };
    all().into_iter().filter(runs).map(with_template).collect()
}

/// Those of them that run roles.
fn services() -> Vec<(Manifest, Value)> {
    workloads().into_iter().filter(|(manifest, _)| manifest.kind() != "Job").collect()
}

fn containers(template: &Value) -> Vec<Value> {
    let spec = &template["spec"];
    let lists = [&spec["initContainers"], &spec["containers"]];
    lists.into_iter().filter_map(Value::as_array).flatten().cloned().collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

/// As Kubernetes reads it and writes it.
fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
    let read: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(read).unwrap())
}

fn read(manifest: &Manifest) -> Result<Value, String> {
    let object = &manifest.object;
    match manifest.kind() {
        "ConfigMap" => through::<ConfigMap>(object),
        "Deployment" => through::<Deployment>(object),
        "HorizontalPodAutoscaler" => through::<HorizontalPodAutoscaler>(object),
        "Ingress" => through::<Ingress>(object),
        "Job" => through::<Job>(object),
        "NetworkPolicy" => through::<NetworkPolicy>(object),
        "PersistentVolumeClaim" => through::<PersistentVolumeClaim>(object),
        "PodDisruptionBudget" => through::<PodDisruptionBudget>(object),
        "Service" => through::<Service>(object),
        "ServiceAccount" => through::<ServiceAccount>(object),
        "StatefulSet" => through::<StatefulSet>(object),
        other => Err(format!("nobody reads a {other}")),
    }
}

/// What is there that is not, or not as it was, after Kubernetes has read it.
fn lost(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let path = format!("{path}.{name}");
                lost(value, after.get(name).unwrap_or(&Value::Null), &path, found);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                lost(before, after, &format!("{path}[{index}]"), found);
            }
        }
        // Empty objects mean something: `emptyDir: {}`.
        _ if before == after => {}
        _ => found.push(format!("{path}: {before} became {after}")),
    }
}

#[test]
fn kubernetes_understands_every_field_of_every_manifest() {
    let all = all();
    assert!(all.len() > 15);
    for manifest in all {
        let after = read(&manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.file));
        let mut found = Vec::new();
        lost(&manifest.object, &after, manifest.name(), &mut found);
        assert_eq!(found, Vec::<String>::new(), "{}", manifest.file);
    }
}

#[test]
fn a_field_that_is_misspelt_would_be_noticed() {
    let (mut manifest, _) = services().remove(0);
    let text = manifest.object.to_string();
    manifest.object = serde_json::from_str(&text.replace("runAsNonRoot", "runAsNotRoot")).unwrap();
    let mut found = Vec::new();
    lost(&manifest.object, &read(&manifest).unwrap(), "", &mut found);
    assert!(found.iter().all(|lost| lost.contains("runAsNotRoot")), "{found:?}");
    assert!(!found.is_empty());
    manifest.object = serde_json::from_str(&text).unwrap();
    manifest.object["spec"]["replicas"] = "three".into();
    read(&manifest).unwrap_err();
}

#[test]
fn every_file_is_listed_and_every_name_is_one() {
    let all = all();
    let listed: BTreeSet<_> = all.iter().map(|manifest| manifest.file.clone()).collect();
    let there = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let there: BTreeSet<_> = there
        .map(|name| name.into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") && name != KUSTOMIZATION)
        .collect();
    assert_eq!(listed, there);
    let names: BTreeSet<_> = all.iter().map(|one| (one.kind(), one.name())).collect();
    assert_eq!(names.len(), all.len());
}

#[test]
fn every_role_has_one_workload() {
    let (_, rest) = ROLES.split_once("fn as_str(self)").unwrap();
    let (body, _) = rest.split_once("\n    }\n").unwrap();
    let known: BTreeSet<_> = body.split('"').skip(1).step_by(2).collect();
    assert!(known.contains("registration"), "{known:?}");
    let mut named = Vec::new();
    let services = services();
    for (manifest, template) in &services {
        let containers = template["spec"]["containers"].as_array().unwrap();
        let [container] = &containers[..] else { panic!("{}", manifest.name()) };
        let arguments = texts(&container["args"]);
        let ["run", "--role", roles] = arguments[..] else { panic!("{arguments:?}") };
        named.extend(roles.split(','));
    }
    named.sort_unstable();
    assert_eq!(named, known.into_iter().collect::<Vec<_>>());
}

/// Settings of a container that are known before it runs.
fn settings(container: &Value) -> BTreeMap<String, String> {
    let maps = of_kind("ConfigMap");
    let mut settings = BTreeMap::new();
    for from in container["envFrom"].as_array().into_iter().flatten() {
        let name = from["configMapRef"]["name"].as_str().unwrap();
        let map = maps.iter().find(|map| map.name() == name).unwrap_or_else(|| panic!("{name}"));
        for (name, value) in map.object["data"].as_object().unwrap() {
            settings.insert(name.clone(), value.as_str().expect("quoted").to_owned());
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = variable["value"].as_str().unwrap_or("given-when-it-runs");
        settings.insert(variable["name"].as_str().unwrap().to_owned(), value.to_owned());
    }
    settings
}

/// What the program makes of settings: every key in effect, or what is wrong.
fn check(settings: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let binary = std::env::var("CITYEVENTS_BINARY").expect("CITYEVENTS_BINARY names the program");
    let mut show = Command::new(binary);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CITYEVENTS__")) {
        show.env_remove(name);
    }
    let output = show.args(["config", "show", "--output", "json"]).envs(settings).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(rows.iter().map(|row| (text(&row["key"]), text(&row["value"]))).collect())
}

fn port_of(address: &str) -> u64 {
    address.trim_matches('"').rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn the_program_accepts_every_setting() {
    for (manifest, template) in workloads() {
        for container in containers(&template) {
            let settings = settings(&container);
            assert!(settings.keys().all(|name| name.starts_with("CITYEVENTS__")), "{settings:?}");
            let config = check(&settings).unwrap_or_else(|error| panic!("{error}"));
            assert!(config["kafka.brokers"].contains("9092"), "{}", manifest.name());
        }
    }
    let wrong = [("CITYEVENTS__KAFKA__BROKER".to_owned(), "kafka:9092".to_owned())];
    assert!(check(&wrong.into()).unwrap_err().contains("kafka.broker"));
}

#[test]
fn listeners_ports_and_probes_agree() {
    for (manifest, template) in services() {
        let container = &containers(&template)[0];
        let config = check(&settings(container)).unwrap();
        let ports: BTreeMap<_, _> = container["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| (port["name"].as_str().unwrap(), port["containerPort"].as_u64().unwrap()))
            .collect();
        assert_eq!(ports["ops"], port_of(&config["ops.listen"]));
        let serves_http = texts(&container["args"])[2].contains("api");
        let http = serves_http.then(|| port_of(&config["http.listen"]));
        assert_eq!(ports.get("http").copied(), http, "{}", manifest.name());
        let probes = [("startup", "/startupz"), ("liveness", "/livez"), ("readiness", "/readyz")];
        for (name, path) in probes {
            let get = &container[format!("{name}Probe")]["httpGet"];
            assert_eq!((&get["path"], &get["port"]), (&path.into(), &"ops".into()), "{name}");
        }
        let annotations = &template["metadata"]["annotations"];
        assert_eq!(annotations["prometheus.io/port"], ports["ops"].to_string());
        let grace = template["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        let budget = config["ops.shutdown_budget"].trim_matches('"').strip_suffix('s').unwrap();
        assert!(grace > budget.parse().unwrap(), "{}", manifest.name());
    }
}

#[test]
fn nobody_has_more_rights_than_needed() {
    for (manifest, template) in workloads() {
        let spec = &template["spec"];
        let name = manifest.name();
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(spec["securityContext"]["runAsUser"], 10_001, "{name}: as in the Dockerfile");
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in containers(&template) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(texts(&context["capabilities"]["drop"]), ["ALL"], "{name}");
            let limits = &container["resources"]["limits"];
            assert!(limits["memory"].is_string(), "{name}: it could take the whole node");
        }
    }
}

#[test]
fn secrets_are_files_from_a_secret_that_is_not_here() {
    assert!(of_kind("Secret").is_empty(), "a secret in a repository is none");
    for (manifest, template) in workloads() {
        let volumes = template["spec"]["volumes"].as_array().unwrap();
        for container in containers(&template) {
            let mounts = container["volumeMounts"].as_array().unwrap();
            let mounted = |path: &str| {
                let within =
                    |mount: &&Value| path.starts_with(mount["mountPath"].as_str().unwrap());
                mounts.iter().find(within).map(|mount| {
                    let name = &mount["name"];
                    volumes.iter().find(|volume| volume["name"] == *name).unwrap()
                })
            };
            for (key, value) in settings(&container) {
                if key.ends_with("_FILE") {
                    let volume = mounted(&value).unwrap_or_else(|| panic!("{key}: {value}"));
                    assert!(volume["secret"]["secretName"].is_string(), "{key}");
                }
            }
            let data = &settings(&container)["CITYEVENTS__DATA__DIR"];
            assert!(mounted(data).is_some(), "{}: {data} cannot be written", manifest.name());
        }
    }
}

fn labels(of: &Value) -> BTreeMap<String, String> {
    let labels = of.as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// Whether a selector means at least one of our pods.
fn selects(selector: &Value) -> bool {
    let wanted = labels(selector);
    assert!(!wanted.is_empty(), "it would mean every pod there is");
    workloads().iter().any(|(_, template)| {
        let has = labels(&template["metadata"]["labels"]);
        wanted.iter().all(|(name, value)| has.get(name) == Some(value))
    })
}

#[test]
fn selectors_and_references_mean_something() {
    for manifest in all() {
        let spec = &manifest.object["spec"];
        let selector = match manifest.kind() {
            "Service" => &spec["selector"],
            "NetworkPolicy" => &spec["podSelector"]["matchLabels"],
            "PodDisruptionBudget" | "Deployment" | "StatefulSet" => {
                &spec["selector"]["matchLabels"]
            }
            _ => continue,
        };
        assert!(selects(selector), "{} {}", manifest.kind(), manifest.name());
    }
    let named: BTreeSet<_> = services()
        .into_iter()
        .map(|(one, _)| (one.kind().to_owned(), one.name().to_owned()))
        .collect();
    for scaler in of_kind("HorizontalPodAutoscaler") {
        let target = &scaler.object["spec"]["scaleTargetRef"];
        let text = |name: &str| target[name].as_str().unwrap().to_owned();
        assert!(named.contains(&(text("kind"), text("name"))), "{}", scaler.name());
    }
    let services: BTreeSet<_> =
        of_kind("Service").into_iter().map(|one| one.name().to_owned()).collect();
    for set in of_kind("StatefulSet") {
        assert!(services.contains(set.object["spec"]["serviceName"].as_str().unwrap()));
    }
    for ingress in of_kind("Ingress") {
        let backend = &ingress.object["spec"]["rules"][0]["http"]["paths"][0]["backend"];
        assert!(services.contains(backend["service"]["name"].as_str().unwrap()));
    }
}

#[test]
fn roles_that_share_partitions_survive_one_pod_and_scale_with_what_waits() {
    let catalogue = include_str!("../../docs/METRICS.md");
    let budgets: BTreeSet<_> =
        of_kind("PodDisruptionBudget").into_iter().map(|one| one.name().to_owned()).collect();
    let scalers = of_kind("HorizontalPodAutoscaler");
    for (manifest, template) in services() {
        let replicas = manifest.object["spec"]["replicas"].as_u64().unwrap();
        if template["metadata"]["labels"][COMPONENT] == "lag" {
            continue;
        }
        assert!(replicas >= 2, "{}", manifest.name());
        assert!(budgets.contains(manifest.name()), "{}", manifest.name());
        let scaler = scalers.iter().find(|scaler| scaler.name() == manifest.name()).unwrap();
        let spec = &scaler.object["spec"];
        assert!(spec["minReplicas"].as_u64() >= Some(2) && spec["maxReplicas"].as_u64() > Some(2));
        for metric in spec["metrics"].as_array().unwrap() {
            if let Some(name) = metric["external"]["metric"]["name"].as_str() {
                assert!(catalogue.contains(&format!("`{name}`")), "{name} is measured by nobody");
            }
        }
        let is_shared = manifest.kind() == "StatefulSet";
        let by_lag = spec["metrics"].to_string().contains("cityevents_lag_group_records");
        assert_eq!(is_shared, by_lag, "{}", manifest.name());
    }
}
