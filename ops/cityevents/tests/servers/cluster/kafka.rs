//! The broker, past the program.

use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{DEADLINE, poll_for};

/// The broker, past the program.
pub struct Kafka {
    admin: AdminClient<DefaultClientContext>,
    prefix: String,
}

impl Kafka {
    pub(super) fn new(brokers: &str, prefix: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("log_level", "0");
        Self { admin: config.create().unwrap(), prefix: prefix.to_owned() }
    }

    fn options() -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(DEADLINE)).request_timeout(Some(DEADLINE))
    }

    /// Takes a topic away.
    pub fn delete(&self, topic: &str) {
        let deleted = block_on(self.admin.delete_topics(&[topic], &Self::options()));
        deleted.unwrap().remove(0).unwrap();
        poll_for(|| {
            let metadata = self.admin.inner().fetch_metadata(None, DEADLINE).unwrap();
            (!metadata.topics().iter().any(|known| known.name() == topic)).then_some(())
        });
    }

    /// Forgets how far a group has come, once nobody is in it.
    pub fn forget_group(&self, group: &str) {
        let group = format!("{}{group}", self.prefix);
        poll_for(|| {
            let deleted = block_on(self.admin.delete_groups(&[&group], &Self::options()));
            deleted.unwrap().remove(0).is_ok().then_some(())
        });
    }

    /// Makes a topic by hand.
    pub fn create(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            new = new.set(key, value);
        }
        let created = block_on(self.admin.create_topics(&[new], &Self::options()));
        created.unwrap().remove(0).unwrap();
    }

    /// Gives a topic these settings, and the defaults for all others.
    pub fn set(&self, topic: &str, config: &[(&str, &str)]) {
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (key, value) in config {
            altered = altered.set(key, value);
        }
        let done = block_on(self.admin.alter_configs(&[altered], &Self::options()));
        done.unwrap().remove(0).unwrap();
        // It is done when the broker says so too, which may be a little later.
        poll_for(|| {
            let place = [ResourceSpecifier::Topic(topic)];
            let told = block_on(self.admin.describe_configs(&place, &Self::options()));
            let told = told.unwrap().remove(0).unwrap();
            let is_set = |(key, value): &(&str, &str)| {
                let entry = told.get(key).and_then(|entry| entry.value.as_deref());
                entry == Some(*value)
            };
            config.iter().all(is_set).then_some(())
        });
    }

    /// Throws away the records of a partition before an offset, as retention does.
    pub fn expire(&self, topic: &str, partition: u32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        let partition = i32::try_from(partition).unwrap();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let done = block_on(self.admin.delete_records(&offsets, &Self::options())).unwrap();
        done.elements().iter().for_each(|element| element.error().unwrap());
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let Ok(metadata) = self.admin.inner().fetch_metadata(None, Duration::from_secs(5)) else {
            return;
        };
        let names = metadata.topics().iter().map(|topic| topic.name());
        let ours: Vec<_> = names.filter(|name| name.starts_with(&self.prefix)).collect();
        if !ours.is_empty() {
            // What is left behind disturbs nobody.
            let _left = block_on(self.admin.delete_topics(&ours, &AdminOptions::new()));
        }
    }
}
