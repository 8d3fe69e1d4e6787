//! Frames and reads records: the one place that knows which schema ids are current.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock, RwLock};

use crate::codec::Wire;
use crate::error::DecodeError;
use crate::framing;
use crate::record::Record;
use crate::resolve::Resolution;
use crate::schema_ids::{self, BuiltinIds, SchemaIds, SchemaLookupError};

/// Writer schemas that are kept ready; ids come from a registry, so there are few.
const RESOLUTIONS_MAX: usize = 256;

/// The ids of the current schemas, and what is needed to read records of other versions.
///
/// Its methods are in [`crate::message`], next to the functions that use those of the
/// process ([`Codecs::install`]).
pub struct Codecs {
    current: [u32; Record::ALL.len()],
    ids: Arc<dyn SchemaIds>,
    resolutions: RwLock<BTreeMap<(Record, u32), Arc<Resolution>>>,
}

static BUILTIN: LazyLock<Codecs> = LazyLock::new(Codecs::with_builtin_ids);

/// What this process writes and reads with.
static INSTALLED: OnceLock<Installed> = OnceLock::new();

struct Installed {
    codecs: Arc<Codecs>,
    /// By [`Codecs::install`]; otherwise because somebody wrote or read before.
    was_chosen: bool,
}

/// The ids of a process cannot be chosen any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// They were chosen before.
    #[error("the schema ids of this process are chosen already, and once only")]
    Chosen,
    /// A record was written or read with the built-in ids.
    #[error("a record was written or read before the schema ids of this process were chosen")]
    TooLate,
}

impl Codecs {
    /// With the ids that are fixed in this crate.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Chooses what the functions of [`crate::message`] write and read with, once, before anything
    /// is written or read. Without it they use the built-in ids.
    ///
    /// # Errors
    /// When it comes twice or too late. Nothing changes then.
    pub fn install(codecs: Arc<Self>) -> Result<(), InstallError> {
        INSTALLED.set(Installed { codecs, was_chosen: true }).map_err(|_| match INSTALLED.get() {
            Some(Installed { was_chosen: false, .. }) => InstallError::TooLate,
            _ => InstallError::Chosen,
        })
    }

    /// What this process writes and reads with.
    #[inline]
    pub fn installed() -> &'static Self {
        match INSTALLED.get() {
            Some(installed) => &installed.codecs,
            None => Self::install_builtin(),
        }
    }

    #[cold]
    fn install_builtin() -> &'static Self {
        let builtin =
            || Installed { codecs: Arc::new(Self::with_builtin_ids()), was_chosen: false };
        &INSTALLED.get_or_init(builtin).codecs
    }

    fn with_builtin_ids() -> Self {
        Self {
            current: Record::ALL.map(schema_ids::current),
            ids: Arc::new(BuiltinIds),
            resolutions: RwLock::default(),
        }
    }

    /// With ids from elsewhere; asks for the current ones at once.
    pub fn new(ids: Arc<dyn SchemaIds>) -> Result<Self, SchemaLookupError> {
        let mut current = [0; Record::ALL.len()];
        for record in Record::ALL {
            current[record.index()] = ids.current(record)?;
        }
        Ok(Self { current, ids, resolutions: RwLock::default() })
    }

    /// The id that a record is written with.
    pub const fn id(&self, record: Record) -> u32 {
        self.current[record.index()]
    }

    /// Appends a record with its header.
    #[inline]
    pub(crate) fn write<'a>(&self, record: Record, value: &impl Wire<'a>, out: &mut Vec<u8>) {
        framing::write_header(self.id(record), out);
        value.encode(out);
    }

    /// Reads a record with its header: one of the current schema as it is, one of another version
    /// by resolution to the current schema first.
    #[inline]
    pub(crate) fn read<T>(
        &self,
        record: Record,
        bytes: &[u8],
        parse: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let (id, body) = framing::split(bytes)?;
        if id == self.id(record) {
            return parse(body);
        }
        parse(&self.resolution(record, id)?.resolve(body)?)
    }

    /// The schema of an id, asked for anew each time.
    pub(crate) fn writer(&self, id: u32) -> Result<Arc<str>, DecodeError> {
        match self.ids.writer(id) {
            Ok(Some(source)) => Ok(source),
            Ok(None) => Err(DecodeError::UnknownSchema { id }),
            Err(SchemaLookupError { reason }) => Err(DecodeError::SchemaUnavailable { id, reason }),
        }
    }

    #[cold]
    fn resolution(&self, record: Record, id: u32) -> Result<Arc<Resolution>, DecodeError> {
        let key = (record, id);
        // A poisoned lock guards a cache that is whole at any time.
        let known = self.resolutions.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(resolution) = known.get(&key) {
            return Ok(Arc::clone(resolution));
        }
        drop(known);
        let resolution = Arc::new(Resolution::new(record, id, &self.writer(id)?)?);
        let mut known = self.resolutions.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if known.len() >= RESOLUTIONS_MAX {
            known.clear();
        }
        known.insert(key, Arc::clone(&resolution));
        Ok(resolution)
    }
}

/// Reads a record that takes all the bytes, and turns it into what is asked for.
#[inline]
pub(crate) fn parse_whole<'a, W: Wire<'a>, T>(
    mut body: &'a [u8],
    parse: impl FnOnce(&W) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut record = W::empty();
    record.read(&mut body).map_err(|error| *error)?;
    match body.len() {
        0 => parse(&record),
        left => Err(DecodeError::TrailingBytes { bytes: left as u64 }),
    }
}
