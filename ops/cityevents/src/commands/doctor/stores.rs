//! Tables, schema registry, snapshots and pictures.

use std::path::Path;

use cityevents_kit::Config;
use tokio::runtime::Runtime;

use super::row::Finding;
use crate::instance::{self, Running};

/// Row `tables`.
pub(super) fn tables(config: &Config) -> Vec<Finding> {
    vec![if config.is_cluster() { database(config) } else { folder(config) }]
}

fn database(config: &Config) -> Finding {
    let checked = || -> anyhow::Result<String> {
        let options = instance::scylla_options(config)?;
        let runtime = Runtime::new()?;
        let found = runtime.block_on(cityevents_views::scylla::check(&options))?;
        Ok(format!("keyspace {} has version {}", found.keyspace, found.version))
    };
    match checked() {
        Ok(found) => Finding::ok(found),
        Err(error) => Finding::fail(
            format!("{error:#}"),
            "bring the nodes back or correct [scylla]; cityevents views migrate brings an older \
             keyspace to this version",
        ),
    }
}

fn folder(config: &Config) -> Finding {
    if let Some(running) = Running::find(&config.data.dir) {
        return Finding::ok(format!("the instance at {} has them", running.http));
    }
    let dir = config.data.dir.join("views");
    if !dir.is_dir() {
        let todo = "start the instance once, which makes them, or correct data.dir";
        return Finding::fail(format!("there are none in {}", dir.display()), todo);
    }
    let opened = Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(instance::open_views(config)));
    match opened {
        Ok(_) => Finding::ok(format!("{} can be opened", dir.display())),
        Err(error) => Finding::fail(
            format!("{error:#}"),
            "stop whatever else uses the folder, or restore it whole from a backup",
        ),
    }
}

/// Row `schema registry`.
pub(super) fn registry(config: &Config) -> Vec<Finding> {
    if config.registry.url.is_none() {
        let found = "none: schema ids are those of the program, for readers of our own";
        return vec![Finding::ok(found)];
    }
    vec![match instance::look_at_registry(config) {
        Ok(looked) if !looked.missing.is_empty() => Finding::fail(
            format!("no current schema for {}", looked.missing.join(", ")),
            "cityevents topics create registers them where registry.register is set",
        ),
        Ok(looked) if !looked.loose.is_empty() => Finding::fail(
            format!("compatibility is not FULL_TRANSITIVE for {}", looked.loose.join(", ")),
            "set it, so that nobody registers a schema that this program cannot read; a start with \
             registry.register does it",
        ),
        Ok(_) => Finding::ok("all current schemas, FULL_TRANSITIVE"),
        Err(error) => Finding::fail(format!("{error:#}"), "bring it back, or correct registry.url"),
    }]
}

/// Rows `snapshots`, `pictures`.
pub(super) fn objects(config: &Config) -> Vec<Finding> {
    let snapshots = shared(config, config.snapshots.url.as_deref(), "snapshots");
    let pictures = shared(config, config.media.url.as_deref(), "media");
    vec![
        snapshots.unwrap_or_else(|| reached(instance::check_snapshots(config), "snapshots")),
        pictures.unwrap_or_else(|| reached(instance::check_pictures(config), "media")),
    ]
}

/// What is to be said before anybody is asked.
fn shared(config: &Config, url: Option<&str>, section: &str) -> Option<Finding> {
    let Some(url) = url else {
        return Some(match config.is_cluster() {
            true => {
                let todo = format!("set {section}.url to a place that all processes share");
                Finding::fail("every process would have its own", todo)
            }
            false => Finding::ok("in the data folder"),
        });
    };
    let folder = Path::new(url.strip_prefix("file://")?);
    (!folder.is_dir()).then(|| {
        let todo = format!("make it, mount it, or correct {section}.url");
        Finding::fail(format!("there is no folder {}", folder.display()), todo)
    })
}

fn reached(checked: anyhow::Result<String>, section: &str) -> Finding {
    match checked {
        Ok(url) => Finding::ok(format!("{url} answers")),
        Err(error) => Finding::fail(format!("{error:#}"), format!("correct [{section}]")),
    }
}
