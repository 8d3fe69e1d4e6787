//! What librdkafka's errors mean for a log.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::log::{LogError, LogErrorKind};

/// The kind of failure that a code stands for.
pub(super) const fn kind_of(code: Code) -> LogErrorKind {
    match code {
        Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition => {
            LogErrorKind::UnknownTopic
        }
        Code::TopicAlreadyExists => LogErrorKind::TopicExists,
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation => {
            LogErrorKind::OffsetOutOfRange
        }
        Code::Fenced
        | Code::FencedInstanceId
        | Code::InvalidProducerEpoch
        | Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::AssignmentLost
        | Code::TransactionCoordinatorFenced => LogErrorKind::Fenced,
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            LogErrorKind::RecordTooLarge
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::Authentication
        | Code::SaslAuthenticationFailed => LogErrorKind::NotAuthorized,
        Code::InvalidTopic
        | Code::InvalidReplicationFactor
        | Code::InvalidPartitions
        | Code::InvalidConfig
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InvalidTransactionTimeout
        | Code::InvalidTimestamp
        | Code::InvalidArgument
        | Code::InconsistentGroupProtocol
        | Code::OffsetMetadataTooLarge
        | Code::PolicyViolation
        | Code::UnsupportedFeature
        | Code::UnsupportedVersion
        | Code::UnsupportedSASLMechanism
        | Code::SSL => LogErrorKind::Configuration,
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage => LogErrorKind::Corrupt,
        Code::MessageTimedOut
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::TimedOutQueue => LogErrorKind::TimedOut,
        _ => LogErrorKind::Unavailable,
    }
}

/// Whether librdkafka only tells of it and helps itself: connections that come and go.
pub(super) const fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::KafkaStorageError
            | Code::UnknownLeaderEpoch
            | Code::FencedLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::RebalanceInProgress
            | Code::NodeUpdate
            | Code::DestroyBroker
    )
}

/// A failure of `doing` something.
pub(super) fn failed(doing: &str, error: &KafkaError) -> LogError {
    match (error, error.rdkafka_error_code()) {
        (KafkaError::Transaction(error), _) => {
            let message = format!("{doing} failed: {}{}", error.string(), advice(error.code()));
            LogError::new(kind_of(error.code()), message)
        }
        (_, Some(code)) => with_code(doing, code),
        (KafkaError::ClientConfig(_, reason, name, value), None) => {
            let value =
                if name.contains("password") || name.contains("secret") { "…" } else { value };
            let message =
                format!("{name} = {value} in kafka.properties is refused: {}", plain(reason));
            LogError::new(LogErrorKind::Configuration, message)
        }
        (KafkaError::ClientCreation(reason), None) => {
            let message = format!("kafka.properties do not fit together: {}", plain(reason));
            LogError::new(LogErrorKind::Configuration, message)
        }
        (other, None) => {
            LogError::new(LogErrorKind::Unavailable, format!("{doing} failed: {other}"))
        }
    }
}

/// A failure of `doing` something with a code.
pub(super) fn with_code(doing: &str, code: Code) -> LogError {
    LogError::new(kind_of(code), format!("{doing} failed: {code}{}", advice(code)))
}

/// librdkafka's reason, and what to do where it is known.
fn plain(reason: &str) -> String {
    let lacks_tls = ["OpenSSL", "not built with", "SSL support", "security.protocol", "sasl_scram"];
    if lacks_tls.iter().any(|hint| reason.contains(hint)) {
        return format!("{reason}. This needs a program that was built with the feature `tls`");
    }
    reason.to_owned()
}

/// What helps against an error, where that is known.
const fn advice(code: Code) -> &'static str {
    match code {
        Code::TopicAuthorizationFailed => {
            ": give this user the right to describe, read and write the topic (kafka-acls)"
        }
        Code::GroupAuthorizationFailed => {
            ": give this user the right to read the group (kafka-acls)"
        }
        Code::ClusterAuthorizationFailed => {
            ": give this user the right to create topics and to write idempotently (kafka-acls)"
        }
        Code::TransactionalIdAuthorizationFailed => {
            ": give this user the right to write under the transactional id (kafka-acls)"
        }
        Code::InvalidReplicationFactor => {
            ": there are fewer brokers than kafka.replication asks for"
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            ": fewer brokers are in sync than min.insync.replicas asks for"
        }
        Code::UnsupportedVersion => ": the brokers are too old for this setting",
        Code::FencedInstanceId => ": another process joined the group under the same name",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_what_was_done_and_what_helps() {
        let error = with_code("making topic t", Code::InvalidReplicationFactor);
        assert_eq!(error.kind(), LogErrorKind::Configuration);
        let message = error.to_string();
        assert!(message.contains("making topic t") && message.contains("kafka.replication"));
    }

    #[test]
    fn what_librdkafka_repairs_by_itself_is_no_lasting_failure() {
        for code in [Code::AllBrokersDown, Code::NotLeaderForPartition, Code::NetworkException] {
            assert!(is_passing(code) && kind_of(code).is_transient(), "{code}");
        }
        assert!(!is_passing(Code::TopicAuthorizationFailed));
    }
}
