//! The records and their versions, each with its built-in id. An id is given once and for ever:
//! logs have it in every record.

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    /// What is asked of an event.
    EventCommand,
    /// A link of the chain of facts.
    EventFact,
    /// The verdict on a command.
    CommandReply,
    /// Latest state of an event, flat.
    Event,
    /// Latest state of a registration, flat.
    Registration,
    /// What an account may do now.
    AccountChange,
    /// A mail to be sent.
    Email,
    /// Who was shown or looked at which event.
    Engagement,
    /// What a person did that tells of what they like.
    UserSignal,
    /// How much an event is talked about, flat.
    Trend,
}

/// One version of a record's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Whose.
    pub record: Record,
    /// 1 for the first.
    pub number: u32,
    /// The id that stands for it where no registry gives ids.
    pub id: u32,
    /// The schema.
    pub source: &'static str,
}

impl Record {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::EventCommand,
        Self::EventFact,
        Self::CommandReply,
        Self::Event,
        Self::Registration,
        Self::AccountChange,
        Self::Email,
        Self::Engagement,
        Self::UserSignal,
        Self::Trend,
    ];

    /// The name in the schema and in the topic catalogue.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventCommand => "EventCommand",
            Self::EventFact => "EventFact",
            Self::CommandReply => "CommandReply",
            Self::Event => "Event",
            Self::Registration => "Registration",
            Self::AccountChange => "AccountChange",
            Self::Email => "Email",
            Self::Engagement => "Engagement",
            Self::UserSignal => "UserSignal",
            Self::Trend => "Trend",
        }
    }

    /// The record of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|record| record.name() == name)
    }

    /// The current schema, the one that is written.
    pub const fn source(self) -> &'static str {
        match self {
            Self::EventCommand => include_str!("../avro/EventCommand.avsc"),
            Self::EventFact => include_str!("../avro/EventFact.avsc"),
            Self::CommandReply => include_str!("../avro/CommandReply.avsc"),
            Self::Event => include_str!("../avro/Event.avsc"),
            Self::Registration => include_str!("../avro/Registration.avsc"),
            Self::AccountChange => include_str!("../avro/AccountChange.avsc"),
            Self::Email => include_str!("../avro/Email.avsc"),
            Self::Engagement => include_str!("../avro/Engagement.avsc"),
            Self::UserSignal => include_str!("../avro/UserSignal.avsc"),
            Self::Trend => include_str!("../avro/Trend.avsc"),
        }
    }

    /// All versions, the current one last.
    pub fn versions(self) -> impl DoubleEndedIterator<Item = &'static Version> {
        VERSIONS.iter().filter(move |version| version.record == self)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

macro_rules! version {
    ($record:ident, $number:literal, $id:literal) => {
        Version {
            record: Record::$record,
            number: $number,
            id: $id,
            source: include_str!(concat!(
                "../avro/versions/",
                stringify!($record),
                "/v",
                $number,
                ".avsc"
            )),
        }
    };
}

/// All versions of all records. The last of a record is the current one. Add lines; change none.
pub(crate) static VERSIONS: [Version; 12] = [
    version!(EventCommand, 1, 1001),
    version!(EventCommand, 2, 1002),
    version!(EventFact, 1, 2001),
    version!(CommandReply, 1, 3001),
    version!(Event, 1, 4001),
    version!(Registration, 1, 5001),
    version!(AccountChange, 1, 6001),
    version!(AccountChange, 2, 6002),
    version!(Email, 1, 7001),
    version!(Engagement, 1, 8001),
    version!(UserSignal, 1, 9001),
    version!(Trend, 1, 10001),
];
