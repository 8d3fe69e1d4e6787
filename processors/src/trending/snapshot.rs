//! The state as bytes, the same for the same state on every machine. Pure.
//!
//! What is in the lists is not part of it: the topic of trends says that.

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_views::codec::{Damage, Reader, Writer};

use super::buckets::{Buckets, Happening};
use super::known::Kept;
use super::state::Trending;

/// Raised with any change of what is folded, and of these bytes.
pub(super) const FOLD_VERSION: u32 = 1;

impl Trending {
    /// The state as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut known: Vec<_> = self.index.values().map(|at| &self.events[*at as usize]).collect();
        known.sort_unstable_by_key(|known| known.id);
        let mut writer = Writer::with_capacity(128 + known.len() * 96 + self.people() * 8);
        writer.signed(self.log_time.as_millis());
        writer.unsigned(known.len() as u64);
        for known in known {
            writer.raw(known.id.as_bytes());
            writer.signed(known.start.as_millis());
            writer.signed(known.end.as_millis());
            writer.signed(known.since.as_millis());
            writer.unsigned(known.living.into());
            writer.text(self.names.text(known.city_name));
            writer.text(self.names.text(known.category));
            writer.byte(known.is_published.into());
            let mut hours: Vec<_> = known.buckets.iter().collect();
            hours.sort_unstable();
            writer.unsigned(hours.len() as u64);
            for (kind, hour, count) in hours {
                writer.byte(kind as u8);
                writer.unsigned(hour.into());
                writer.unsigned(count.into());
            }
        }
        let days: Vec<_> = self.seen.days().collect();
        writer.unsigned(days.len() as u64);
        for (day, mut marks) in days {
            marks.sort_unstable();
            writer.signed(day);
            writer.unsigned(marks.len() as u64);
            for mark in marks {
                writer.raw(&mark.to_be_bytes());
            }
        }
        writer.into_bytes()
    }

    /// The state of bytes.
    ///
    /// # Errors
    /// When they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new(bytes);
        let mut state = Self { log_time: time(&mut reader)?, ..Self::default() };
        for _ in 0..reader.unsigned()? {
            let id = EventId::from_bytes(reader.array()?);
            let (start, end, since) = (time(&mut reader)?, time(&mut reader)?, time(&mut reader)?);
            let living = reader.unsigned_32()?;
            let (city, category) = (reader.text()?, reader.text()?);
            let is_published = flag(&mut reader)?;
            let mut hours = Vec::new();
            for _ in 0..reader.unsigned()? {
                let kind = match flag(&mut reader)? {
                    false => Happening::Join,
                    true => Happening::View,
                };
                hours.push((reader.unsigned_32()?, kind, reader.unsigned_32()?));
            }
            hours.sort_unstable();
            let mut buckets = Buckets::default();
            for (hour, kind, count) in hours {
                buckets.add(kind, hour, count);
            }
            let kept =
                Kept { id, start, end, since, living, city, category, buckets, is_published };
            state.restore(kept);
        }
        for _ in 0..reader.unsigned()? {
            let day = reader.signed()?;
            for _ in 0..reader.unsigned()? {
                let mark = u64::from_be_bytes(reader.array()?);
                if mark == 0 || !state.seen.insert(day, mark) {
                    return Err(Damage("a mark that is none, or stands there twice"));
                }
            }
        }
        reader.finish()?;
        Ok(state)
    }
}

fn time(reader: &mut Reader<'_>) -> Result<Timestamp, Damage> {
    reader.signed().map(Timestamp::from_millis)
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Damage> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Damage("unknown tag")),
    }
}
