//! What a start is told when the topics are not as it needs them, as a person would meet it:
//! `cityevents run` on real Kafka.

use crate::cluster::{Cluster, Process};

#[test]
fn without_topics_nothing_starts_and_the_way_to_make_them_is_named() {
    let cluster = Cluster::new("missing");
    let said = cluster.run(&["run", "--role", "registration", "--ops-listen", "127.0.0.1:0"]);
    said.failed(1, &["event-commands is missing", "`cityevents topics create`"]);
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let cluster = Cluster::at("127.0.0.1:1", "nobody");
    let said = cluster.run(&["run", "--role", "registration", "--ops-listen", "127.0.0.1:0"]);
    said.failed(1, &["127.0.0.1:1", "kafka.brokers"]);
}

#[test]
fn topics_whose_partitions_differ_stop_the_start() {
    let cluster = Cluster::with_topics("partitions");
    cluster.kafka.delete(&cluster.facts());
    cluster.kafka.create(&cluster.facts(), 3, &[("retention.ms", "-1")]);
    let said = cluster.run(&["run", "--role", "registration", "--ops-listen", "127.0.0.1:0"]);
    said.failed(
        1,
        &["event-facts: partitions is 3, not 2", "one and the same number of partitions"],
    );
}

#[test]
fn a_command_topic_whose_writers_stamp_records_stops_the_start() {
    let cluster = Cluster::with_topics("timestamps");
    cluster.kafka.set(&cluster.commands(), &[("message.timestamp.type", "CreateTime")]);
    let said = cluster.run(&["run", "--role", "registration", "--ops-listen", "127.0.0.1:0"]);
    said.failed(
        1,
        &["timestamps is CreateTime, not LogAppendTime", "message.timestamp.type=LogAppendTime"],
    );
}

#[test]
fn commands_that_are_kept_longer_than_the_catalogue_says_stop_nobody() {
    let cluster = Cluster::with_topics("longer");
    let config = [("message.timestamp.type", "LogAppendTime"), ("retention.ms", "1209600000")];
    cluster.kafka.set(&cluster.commands(), &config);
    Process::start(&cluster).until_ready().stop();
    assert_eq!(cluster.run(&["topics", "check"]).code, 1, "it is still told when asked for");
    let said = cluster.run(&["lag", "--output", "json"]).json();
    assert_eq!(said["commands"]["kept_seconds"], 1_209_600);
}

#[test]
fn a_command_topic_that_was_made_anew_stops_its_partitions_and_readiness_says_why() {
    let cluster = Cluster::with_topics("anew");
    cluster.send_joins(3);
    Process::start(&cluster).until_ready().until_decided(3).stop();
    cluster.kafka.delete(&cluster.commands());
    cluster.run(&["topics", "create"]).good();
    let restarted = Process::start(&cluster);
    let told = restarted.until_not_ready("stopped: ");
    assert!(told.contains("the command topic was deleted and made anew"), "{told}");
    restarted.stop();
    cluster.run(&["audit"]).failed(1, &["the command topic was deleted and made anew"]);
}

#[test]
fn commands_that_expired_undecided_stop_their_partition_and_audit_and_lag_tell_of_them() {
    let cluster = Cluster::with_topics("expired");
    cluster.send_joins(2);
    Process::start(&cluster).until_ready().until_decided(2).stop();
    cluster.send_joins(3);
    cluster.kafka.expire(&cluster.commands(), cluster.partition(), 5);
    let restarted = Process::start(&cluster);
    let told = restarted.until_not_ready("stopped: ");
    assert!(told.contains("commands 2 to 4 of "), "{told}");
    assert!(told.contains("expired before they were decided"), "{told}");
    restarted.stop();
    let said = cluster.run(&["lag"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("3 records were thrown away unread"), "{said:?}");
    let said = cluster.run(&["audit"]);
    said.failed(1, &["commands 2 to 4 of ", "expired before they were decided"]);
    // The way on that the message names.
    assert!(told.contains("registration.skip_expired = true"), "{told}");
    let cluster = cluster.setting("CITYEVENTS__REGISTRATION__SKIP_EXPIRED", "true");
    cluster.send_joins(1);
    Process::start(&cluster).until_ready().until_decided(6).stop();
    assert_eq!(cluster.lag_of("registration")["records"], 0);
    // What was lost stays lost, and is not hushed up.
    let said = cluster.run(&["audit"]);
    said.failed(1, &["commands 2 to 4 of ", "expired before they were decided"]);
}

#[test]
fn lag_counts_records_and_seconds_until_somebody_decides() {
    let cluster = Cluster::with_topics("lag");
    cluster.send_joins(4);
    let row = cluster.lag_of("registration");
    assert_eq!((&row["records"], &row["verdict"]), (&4.into(), &"never began".into()), "{row}");
    assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
    Process::start(&cluster).until_ready().until_decided(4).stop();
    let row = cluster.lag_of("registration");
    assert_eq!((&row["committed"], &row["records"]), (&4.into(), &0.into()), "{row}");
    assert_eq!(row["seconds"], 0.0, "{row}");
    // Nobody projects here.
    let row = cluster.lag_of("projection");
    assert_eq!(row["verdict"], "never began", "{row}");
}

#[test]
fn audit_and_explain_say_what_they_cannot_see_of_commands_that_are_not_kept_any_more() {
    let cluster = Cluster::with_topics("kept");
    cluster.send_joins(3);
    Process::start(&cluster).until_ready().until_decided(3).stop();
    let whole = cluster.run(&["audit", "--output", "json"]).json();
    assert_eq!((&whole["commands"], &whole["expired"]), (&3.into(), &0.into()), "{whole}");
    cluster.kafka.expire(&cluster.commands(), cluster.partition(), 2);
    let part = cluster.run(&["audit", "--output", "json"]).json();
    assert_eq!((&part["commands"], &part["expired"]), (&3.into(), &2.into()), "{part}");
    let said = cluster.run(&["audit"]).good();
    assert!(said.contains("2 of these commands are not kept any more"), "{said}");
    let said = cluster.run(&["explain", "--event", &cluster.event.to_string()]).good();
    assert!(said.contains("event_not_found"), "{said}");
    assert!(said.contains("2 of the commands are not kept any more"), "{said}");
}
