//! The subjects of our topics: what is registered at the start, and what only has to be there.

use std::collections::BTreeMap;
use std::sync::Arc;

use cityevents_schemas::Record;
use cityevents_schemas::catalog::{Value, catalog};

use super::Looked;
use super::client::{Client, Failure};

/// Old and new readers and writers all understand each other.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";
/// Versions of one subject that are read at the start, the newest ones.
const VERSIONS_MAX: usize = 64;

/// Why the ids of the process cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Its address is none.
    #[error("registry.url cannot be used: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// It has no thread.
    #[error("no thread for the schema registry: {reason}")]
    Thread {
        /// What happened.
        reason: String,
    },
    /// It does not answer.
    #[error("the schema registry does not answer: {reason}")]
    Unavailable {
        /// What happened, and what to do.
        reason: String,
    },
    /// A schema is not compatible with the versions before.
    #[error(
        "the schema registry at {place} refuses the schema of {record} under {subject}: {reason}. \
         Old and new records could not be read by each other; run the version of this program that \
         the registered schemas belong to, or use topics of another prefix"
    )]
    Incompatible {
        /// The registry.
        place: String,
        /// The subject.
        subject: String,
        /// Whose schema.
        record: &'static str,
        /// The registry's words.
        reason: String,
    },
    /// Schemas are missing and may not be registered.
    #[error(
        "the schema registry at {place} lacks the current schema of {}: register them with \
         registry.register = true (once is enough, from any process that may), or by hand from \
         schemas/avro",
        subjects.join(", ")
    )]
    Missing {
        /// The registry.
        place: String,
        /// Those without it.
        subjects: Vec<String>,
    },
}

/// What the start found.
pub(super) struct Found {
    /// By [`Record::ALL`]: the id to write with.
    pub(super) current: [u32; Record::ALL.len()],
    /// All ids of all versions.
    pub(super) known: BTreeMap<u32, Arc<str>>,
}

/// Registers or finds the current schema of every topic. A record that is on several topics may
/// have an id in each; the first topic's is written.
pub(super) async fn prepare(
    client: &Client,
    register: bool,
    prefix: &str,
) -> Result<Found, RegistryError> {
    let mut found = Found { current: [0; Record::ALL.len()], known: BTreeMap::new() };
    let mut missing = Vec::new();
    let mut is_set = [false; Record::ALL.len()];
    for topic in catalog().topics() {
        let Value::Record(name) = topic.value else { continue };
        let Some(place) = Record::ALL.iter().position(|record| record.name() == name) else {
            continue;
        };
        let record = Record::ALL[place];
        let subject = topic.subject(prefix);
        let Some(id) = current(client, register, &subject, record).await? else {
            missing.push(subject);
            continue;
        };
        if !std::mem::replace(&mut is_set[place], true) {
            found.current[place] = id;
        }
        found.known.insert(id, record.source().into());
        learn_versions(client, &subject, &mut found.known).await;
    }
    if !missing.is_empty() {
        return Err(RegistryError::Missing { place: client.place(), subjects: missing });
    }
    Ok(found)
}

/// Compares the subjects with the catalogue.
pub(super) async fn look(client: &Client, prefix: &str) -> Result<Looked, RegistryError> {
    let unavailable =
        |failure: Failure| RegistryError::Unavailable { reason: client.describe(&failure) };
    let told_ms = client.told_ms().await.map_err(unavailable)?;
    let mut looked = Looked { told_ms, ..Looked::default() };
    for topic in catalog().topics() {
        let Value::Record(name) = topic.value else { continue };
        let Some(record) = Record::parse(name) else { continue };
        let subject = topic.subject(prefix);
        match client.find(&subject, record.source()).await {
            Ok(_) => {}
            Err(Failure::NotFound { .. }) => {
                looked.missing.push(subject);
                continue;
            }
            Err(failure) => return Err(unavailable(failure)),
        }
        let compatibility = client.compatibility(&subject).await.map_err(unavailable)?;
        if compatibility.as_deref() != Some(COMPATIBILITY) {
            looked.loose.push(subject);
        }
    }
    Ok(looked)
}

/// The id of the current schema; `None` when it is missing and may not be registered.
async fn current(
    client: &Client,
    register: bool,
    subject: &str,
    record: Record,
) -> Result<Option<u32>, RegistryError> {
    let unavailable =
        |failure: Failure| RegistryError::Unavailable { reason: client.describe(&failure) };
    let present = match client.find(subject, record.source()).await {
        Ok(id) => Some(id),
        Err(Failure::NotFound { .. }) => None,
        Err(failure) => return Err(unavailable(failure)),
    };
    let compatibility = client.compatibility(subject).await.map_err(unavailable)?;
    if compatibility.as_deref() != Some(COMPATIBILITY) {
        if register {
            if let Err(failure) = client.set_compatibility(subject, COMPATIBILITY).await {
                // Another process that starts may have been quicker.
                let now = client.compatibility(subject).await.map_err(unavailable)?;
                if now.as_deref() != Some(COMPATIBILITY) {
                    return Err(unavailable(failure));
                }
            }
        } else {
            let is = compatibility.as_deref().unwrap_or("left to the registry");
            tracing::warn!(
                subject,
                "the compatibility of {subject} is {is}: set it to {COMPATIBILITY}, so that nobody \
                 registers a schema that this program cannot read"
            );
        }
    }
    if present.is_some() || !register {
        return Ok(present);
    }
    match client.register(subject, record.source()).await {
        Ok(id) => {
            tracing::info!(subject, schema.id = id, "registered {} under {subject}", record.name());
            Ok(Some(id))
        }
        Err(Failure::Refused { message }) => Err(RegistryError::Incompatible {
            place: client.place(),
            subject: subject.to_owned(),
            record: record.name(),
            reason: message,
        }),
        // Here too.
        Err(failure) => match client.find(subject, record.source()).await {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(unavailable(failure)),
        },
    }
}

/// Reads the versions of a subject, so that an outage later keeps nobody from reading old records.
/// What cannot be had now is asked for when it is met.
async fn learn_versions(client: &Client, subject: &str, known: &mut BTreeMap<u32, Arc<str>>) {
    let learned = async {
        let mut versions = client.versions(subject).await?;
        versions.sort_unstable_by(|a, b| b.cmp(a));
        for number in versions.into_iter().take(VERSIONS_MAX) {
            let (id, source) = client.version(subject, number).await?;
            known.entry(id).or_insert_with(|| source.into());
        }
        Ok::<_, Failure>(())
    };
    if let Err(failure) = learned.await {
        let reason = client.describe(&failure);
        tracing::warn!(subject, "the versions of {subject} are not read ahead: {reason}");
    }
}
