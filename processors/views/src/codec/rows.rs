//! Whole rows.

use super::parts::Part;
use super::{Damage, ROW_VERSION, Reader, Writer};
use crate::error::ViewsError;
use crate::row::{
    BanRow, CountersRow, EventRow, OutcomeRow, OutcomeVerdict, ProfileRow, ProfileSignal,
    ProgressRow, RegistrationRow, TrendEntry, TrendRow, WriteTimestamp,
};

const VERDICT_ACCEPTED: u8 = 1;
const VERDICT_UNCHANGED: u8 = 2;
const VERDICT_REFUSED: u8 = 3;
const VERDICT_UNDECODABLE: u8 = 4;

/// A row that can be stored.
pub trait Table: Sized {
    /// The table's name, for messages.
    const NAME: &'static str;

    /// Appends the fields.
    fn write(&self, writer: &mut Writer);

    /// Takes the fields.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage>;
}

/// The bytes of a row as it is stored.
pub fn encode<R: Table>(row: &R, timestamp: WriteTimestamp) -> Vec<u8> {
    let mut writer = Writer::with_capacity(128);
    writer.byte(ROW_VERSION);
    writer.unsigned(timestamp.0);
    row.write(&mut writer);
    writer.into_bytes()
}

/// A stored row, and when it was written.
pub fn decode<R: Table>(bytes: &[u8]) -> Result<(R, WriteTimestamp), ViewsError> {
    let damaged = |Damage(detail)| ViewsError::DamagedRow { table: R::NAME, detail };
    let mut reader = Reader::new(bytes);
    let timestamp = read_head(R::NAME, &mut reader)?;
    let row = R::read(&mut reader).map_err(damaged)?;
    reader.finish().map_err(damaged)?;
    Ok((row, timestamp))
}

/// When a stored row was written.
pub fn timestamp_of(table: &'static str, bytes: &[u8]) -> Result<WriteTimestamp, ViewsError> {
    read_head(table, &mut Reader::new(bytes))
}

fn read_head(table: &'static str, reader: &mut Reader<'_>) -> Result<WriteTimestamp, ViewsError> {
    let damaged = |Damage(detail)| ViewsError::DamagedRow { table, detail };
    let found = reader.byte().map_err(damaged)?;
    if found == 0 {
        return Err(ViewsError::DamagedRow { table, detail: "version 0" });
    }
    if found > ROW_VERSION {
        return Err(ViewsError::NewerRow { table, found, known: ROW_VERSION });
    }
    reader.unsigned().map(WriteTimestamp).map_err(damaged)
}

impl Table for EventRow {
    const NAME: &'static str = "events";

    fn write(&self, writer: &mut Writer) {
        writer.unsigned(self.event_seq);
        self.event.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self { event_seq: reader.unsigned()?, event: Part::read(reader)? })
    }
}

impl Table for CountersRow {
    const NAME: &'static str = "counters";

    fn write(&self, writer: &mut Writer) {
        self.event.write(writer);
        writer.unsigned(self.event_seq);
        self.counters.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            event: Part::read(reader)?,
            event_seq: reader.unsigned()?,
            counters: Part::read(reader)?,
        })
    }
}

impl Table for RegistrationRow {
    const NAME: &'static str = "registrations";

    fn write(&self, writer: &mut Writer) {
        self.event.write(writer);
        self.registration.write(writer);
        self.cause.write(writer);
        self.position.write(writer);
        self.reason.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            event: Part::read(reader)?,
            registration: Part::read(reader)?,
            cause: Part::read(reader)?,
            position: Part::read(reader)?,
            reason: Part::read(reader)?,
        })
    }
}

impl Table for BanRow {
    const NAME: &'static str = "bans";

    fn write(&self, writer: &mut Writer) {
        self.event.write(writer);
        self.user.write(writer);
        self.ban.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self { event: Part::read(reader)?, user: Part::read(reader)?, ban: Part::read(reader)? })
    }
}

impl Table for OutcomeRow {
    const NAME: &'static str = "outcomes";

    fn write(&self, writer: &mut Writer) {
        // First, for the one that takes expired rows away (see `embedded::expiry`).
        self.expires_at.write(writer);
        self.at.write(writer);
        self.command.write(writer);
        self.event.write(writer);
        self.user.write(writer);
        match &self.verdict {
            OutcomeVerdict::Accepted(outcome) => {
                writer.byte(VERDICT_ACCEPTED);
                outcome.write(writer);
            }
            OutcomeVerdict::Unchanged(outcome) => {
                writer.byte(VERDICT_UNCHANGED);
                outcome.write(writer);
            }
            OutcomeVerdict::Refused(refusal) => {
                writer.byte(VERDICT_REFUSED);
                refusal.write(writer);
            }
            OutcomeVerdict::Undecodable => writer.byte(VERDICT_UNDECODABLE),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            expires_at: Part::read(reader)?,
            at: Part::read(reader)?,
            command: Part::read(reader)?,
            event: Part::read(reader)?,
            user: Part::read(reader)?,
            verdict: match reader.byte()? {
                VERDICT_ACCEPTED => OutcomeVerdict::Accepted(Part::read(reader)?),
                VERDICT_UNCHANGED => OutcomeVerdict::Unchanged(Part::read(reader)?),
                VERDICT_REFUSED => OutcomeVerdict::Refused(Part::read(reader)?),
                VERDICT_UNDECODABLE => OutcomeVerdict::Undecodable,
                _ => return Err(Damage("unknown tag")),
            },
        })
    }
}

impl Table for ProgressRow {
    const NAME: &'static str = "progress";

    fn write(&self, writer: &mut Writer) {
        self.projection.write(writer);
        self.partition.write(writer);
        writer.unsigned(self.next_offset);
        self.cursor.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            projection: Part::read(reader)?,
            partition: Part::read(reader)?,
            next_offset: reader.unsigned()?,
            cursor: Part::read(reader)?,
        })
    }
}

impl Table for TrendRow {
    const NAME: &'static str = "trending";

    fn write(&self, writer: &mut Writer) {
        self.list.write(writer);
        self.partition.write(writer);
        self.slot.write(writer);
        writer.option(self.entry.as_ref(), |writer, entry| {
            entry.event.write(writer);
            entry.category.write(writer);
            entry.start_time.write(writer);
            entry.end_time.write(writer);
            writer.unsigned(entry.score);
            entry.joins_24h.write(writer);
            entry.joins_7d.write(writer);
            entry.views_24h.write(writer);
            entry.updated_at.write(writer);
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            list: Part::read(reader)?,
            partition: Part::read(reader)?,
            slot: Part::read(reader)?,
            entry: reader.option(|reader| {
                Ok(TrendEntry {
                    event: Part::read(reader)?,
                    category: Part::read(reader)?,
                    start_time: Part::read(reader)?,
                    end_time: Part::read(reader)?,
                    score: reader.unsigned()?,
                    joins_24h: Part::read(reader)?,
                    joins_7d: Part::read(reader)?,
                    views_24h: Part::read(reader)?,
                    updated_at: Part::read(reader)?,
                })
            })?,
        })
    }
}

impl Table for ProfileRow {
    const NAME: &'static str = "profiles";

    fn write(&self, writer: &mut Writer) {
        // First, for the one that takes expired rows away (see `embedded::expiry`).
        self.expires_at.write(writer);
        self.at.write(writer);
        writer.raw(&self.person);
        writer.unsigned(self.signals.len() as u64);
        for signal in &self.signals {
            signal.at.write(writer);
            writer.byte(signal.is_join.into());
            writer.raw(&signal.event);
            signal.category.write(writer);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let (expires_at, at) = (Part::read(reader)?, Part::read(reader)?);
        let person = reader.array()?;
        let signals = (0..reader.unsigned()?).map(|_| {
            Ok(ProfileSignal {
                at: Part::read(reader)?,
                is_join: match reader.byte()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Damage("unknown tag")),
                },
                event: reader.array()?,
                category: Part::read(reader)?,
            })
        });
        let signals = signals.collect::<Result<_, _>>()?;
        Ok(Self { person, signals, at, expires_at })
    }
}
