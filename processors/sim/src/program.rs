//! Two versions of the program that disagree.

use bytes::Bytes;
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::state::Partition;
use cityevents_processors::registration::{Answer, Registration};
use cityevents_runtime::log::Headers;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::topology::{
    DecideError, Decision, Due, Input, LinkDraft, LinkPosition, Topology, Undecodable,
};
use cityevents_schemas::message::{decode_command, encode_command};

/// Header of a link: which version wrote it, for the oracle.
const PROGRAM_HEADER: &str = "sim-program";
/// The line that the strict version gives to new events where nothing is said.
const STRICT_WAITLIST: u32 = 1;

/// A version of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Decides as the domain says.
    Usual,
    /// Lets nobody into a line in which somebody waits already, and makes events with short lines.
    /// It says so in commands that the domain can decide: what it decides is what the domain
    /// decides of what it reads.
    Strict,
}

impl Program {
    /// What this version makes of a command.
    pub fn reading(self, state: &Partition, mut command: Command) -> Command {
        if self == Self::Usual {
            return command;
        }
        match &mut command.kind {
            CommandKind::Join => {
                let event = state.open(&command.event);
                if event.is_some_and(|event| event.counters().waiting > 0) {
                    command.kind = CommandKind::Leave;
                }
            }
            CommandKind::Create(fields) => {
                fields.waitlist_limit = fields.waitlist_limit.or(Some(STRICT_WAITLIST));
            }
            _ => {}
        }
        command
    }

    /// Which version wrote a link.
    pub fn of(headers: &Headers) -> Self {
        match headers.get(PROGRAM_HEADER) {
            Some(b"strict") => Self::Strict,
            _ => Self::Usual,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Strict => "strict",
        }
    }
}

/// The registration topology as one version of the program has it.
pub(crate) struct Versioned {
    program: Program,
    inner: Registration,
    value: Vec<u8>,
}

impl Versioned {
    pub(crate) fn new(program: Program) -> Self {
        Self { program, inner: Registration::default(), value: Vec::new() }
    }

    fn sign(&self, link: LinkDraft) -> LinkDraft {
        let mut headers = HeadersBuilder::from_headers(&link.headers);
        headers.push(PROGRAM_HEADER, self.program.name().as_bytes());
        LinkDraft { headers: headers.build(), ..link }
    }
}

impl Topology for Versioned {
    type Answer = Answer;

    fn fold_version(&self) -> u32 {
        self.inner.fold_version()
    }

    fn fold(&mut self, value: &[u8]) -> Result<(), Undecodable> {
        self.inner.fold(value)
    }

    fn check(&self, value: &[u8]) -> Result<(), Undecodable> {
        self.inner.check(value)
    }

    fn decide(&mut self, input: &Input<'_>) -> Result<Decision<Answer>, DecideError> {
        let mut value = input.value;
        if self.program == Program::Strict
            && let Ok(command) = decode_command(input.value)
        {
            let command = self.program.reading(self.inner.state(), command);
            self.value.clear();
            encode_command(&command, &mut self.value);
            value = &self.value;
        }
        let mut decision = self.inner.decide(&Input { value, ..*input })?;
        decision.link = decision.link.map(|link| self.sign(link));
        Ok(decision)
    }

    fn close_undecodable(&mut self, input: &Input<'_>) -> Answer {
        self.inner.close_undecodable(input)
    }

    fn unlinked_bytes(&self) -> usize {
        self.inner.unlinked_bytes()
    }

    fn closing_link(&mut self) -> LinkDraft {
        let link = self.inner.closing_link();
        self.sign(link)
    }

    fn genesis(&self, command_topic_id: &str, first_offset: u64) -> LinkDraft {
        self.inner.genesis(command_topic_id, first_offset)
    }

    fn encode_answer(&self, answer: &Answer, link: LinkPosition) -> (Bytes, Headers) {
        self.inner.encode_answer(answer, link)
    }

    fn due(&self, now_ms: i64, limit: usize) -> Vec<Due> {
        self.inner.due(now_ms, limit)
    }

    fn encode_state(&self) -> Vec<u8> {
        self.inner.encode_state()
    }

    fn decode_state(&mut self, state: &[u8]) -> Result<(), Undecodable> {
        self.inner.decode_state(state)
    }
}
