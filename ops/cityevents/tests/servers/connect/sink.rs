//! Connectors of the real worker, and the database that they write into.

use std::path::Path;

use postgres::{Client, NoTls};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, poll_for};
use crate::stack;

/// A ready configuration.
pub fn configuration(file: &str) -> Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connect").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A connector with one of the ready configurations, in which only names are changed, since topics
/// and tables of a test are its own. It goes when this is dropped.
pub struct Sink {
    pub name: String,
    pub topic: String,
    /// For names of tables and files.
    pub own: String,
    pub config: Map<String, Value>,
}

impl Sink {
    pub fn of(cluster: &Cluster, file: &str) -> Self {
        let mut config = configuration(file);
        let topic = format!("{}{}", cluster.prefix(), config["topics"].as_str().unwrap());
        let own = cluster.prefix().replace(['-', '.'], "_");
        config.insert("topics".into(), json!(topic));
        if let Some(table) = config.get_mut("collection.name.format") {
            *table = json!(format!("{own}{}", table.as_str().unwrap()));
        }
        if let Some(path) = config.get_mut("file") {
            *path = json!(path.as_str().unwrap().replace("/registrations", &format!("/{own}")));
        }
        Self { name: topic.clone(), topic, own, config }
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.into(), json!(value));
        self
    }

    /// Gives the configuration to the worker, and waits until the connector works with it.
    pub fn start(self) -> Self {
        self.put();
        self.until("RUNNING");
        self
    }

    pub fn put(&self) {
        let config = Value::Object(self.config.clone());
        self.ask(Method::PUT, "/config", Some(&config));
    }

    pub fn table(&self) -> &str {
        self.config["collection.name.format"].as_str().unwrap()
    }

    /// Waits until all tasks are in this state; what they say.
    pub fn until(&self, state: &str) -> String {
        poll_for(|| {
            let status = self.ask(Method::GET, "/status", None);
            let tasks = status["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
            let is_there = |task: &Value| task["state"] == state;
            let enough = match state {
                "RUNNING" => !tasks.is_empty() && tasks.iter().all(is_there),
                _ => tasks.iter().any(is_there),
            };
            enough.then(|| status.to_string())
        })
    }

    /// What an operator does with tasks that failed.
    pub fn restart(&self) {
        self.ask(Method::POST, "/restart?includeTasks=true&onlyFailed=true", None);
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}/connectors/{}{path}", stack::connect(), self.name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut request = reqwest::Client::new().request(method, url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = runtime.block_on(async {
            let answer = request.send().await.unwrap();
            assert!(!answer.status().is_server_error(), "{:?}", answer.text().await);
            answer.text().await.unwrap()
        });
        serde_json::from_str(&answer).unwrap_or_default()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.ask(Method::DELETE, "", None);
        if self.config.contains_key("connection.url") {
            let drop = format!("DROP TABLE IF EXISTS {}", self.table());
            let _stays = database().batch_execute(&drop);
        }
    }
}

pub fn database() -> Client {
    Client::connect(&stack::postgres(), NoTls).unwrap()
}

/// What a query says, a JSON value a row; nothing while there is no table.
pub fn rows(query: &str) -> Vec<Value> {
    let text = format!("SELECT to_json(asked)::text FROM ({query}) AS asked");
    let rows = database().query(&text, &[]).unwrap_or_default();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}
