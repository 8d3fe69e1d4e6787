//! The folder: who holds it, which format it has, and how an older format becomes the newest.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cityevents_kit::files;

use crate::error::ViewsError;

const LOCK: &str = "LOCK";
const MARKER: &str = "FORMAT";
const NEW_MARKER: &str = "FORMAT.new";
const ROWS: &str = "rows";
const KEYS: &str = "keys";
const RECORDS: &str = "records";
/// What the name of a folder begins with that is being removed.
const REMOVED: &str = ".removed-";

/// The marker says this and a number.
const MARKER_WORDS: &str = "cityevents tables, format ";

/// One step from a format to the next, on a folder that nobody has open. A step that was cut off is
/// taken again from its beginning.
type Migration = fn(&Path) -> Result<(), ViewsError>;

/// The steps in order: the first makes format 1 of an empty folder.
const MIGRATIONS: &[Migration] = &[make_folders];

fn make_folders(dir: &Path) -> Result<(), ViewsError> {
    for name in [ROWS, KEYS] {
        create_dir(&dir.join(name))?;
    }
    Ok(())
}

/// A folder that this process holds.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    /// Held until it is dropped.
    _lock: File,
}

impl Folder {
    /// Takes a folder, makes it if it is not there, and brings it to the newest format.
    pub(super) fn open(dir: &Path) -> Result<Self, ViewsError> {
        Self::open_with(dir, MIGRATIONS)
    }

    fn open_with(dir: &Path, migrations: &[Migration]) -> Result<Self, ViewsError> {
        fs::create_dir_all(dir).map_err(file_error("make", dir))?;
        // Before anything is written into what may be somebody else's folder.
        if read_marker(dir)?.is_none() {
            refuse_foreign(dir)?;
        }
        let folder = Self { dir: dir.to_owned(), _lock: lock(dir)? };
        let known = migrations.len() as u32;
        let found = match read_marker(dir)? {
            Some(format) => format,
            None => {
                write_marker(dir, 0)?;
                0
            }
        };
        if found > known {
            return Err(ViewsError::NewerFolder { dir: dir.to_owned(), found, known });
        }
        for (format, migrate) in (1..).zip(migrations).skip(found as usize) {
            tracing::info!(
                views.folder = %dir.display(), views.format = format, "bringing the tables to a newer format"
            );
            migrate(dir)?;
            write_marker(dir, format)?;
        }
        Ok(folder)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn rows(&self) -> PathBuf {
        self.dir.join(ROWS)
    }

    pub(super) fn keys(&self) -> PathBuf {
        self.dir.join(KEYS)
    }

    pub(super) fn records(&self) -> PathBuf {
        self.dir.join(RECORDS)
    }

    /// Empties the folder of rows.
    pub(super) fn discard_rows(&self) -> Result<(), ViewsError> {
        let rows = self.rows();
        fs::remove_dir_all(&rows).map_err(file_error("remove", &rows))?;
        create_dir(&rows)
    }

    /// Removes the folder: at once under its name, then what is in it.
    pub(super) fn remove(self) -> Result<(), ViewsError> {
        let parent = self.dir.parent().unwrap_or(&self.dir);
        let name = self.dir.file_name().unwrap_or_default().to_string_lossy();
        remove_leftovers(parent)?;
        let aside = parent.join(format!("{REMOVED}{name}"));
        fs::rename(&self.dir, &aside).map_err(file_error("remove", &self.dir))?;
        sync_dir(parent)?;
        fs::remove_dir_all(&aside).map_err(file_error("remove", &aside))
    }
}

/// Removes the rest of folders whose removal was cut off.
pub(super) fn remove_leftovers(dir: &Path) -> Result<(), ViewsError> {
    for entry in fs::read_dir(dir).map_err(file_error("read", dir))? {
        let entry = entry.map_err(file_error("read", dir))?;
        if entry.file_name().to_string_lossy().starts_with(REMOVED) {
            let left = entry.path();
            fs::remove_dir_all(&left).map_err(file_error("remove", &left))?;
        }
    }
    Ok(())
}

/// The error of a failed call on a file.
pub(super) fn file_error(
    action: &'static str,
    file: &Path,
) -> impl FnOnce(std::io::Error) -> ViewsError {
    let file = file.to_owned();
    move |source| match source.kind() {
        std::io::ErrorKind::StorageFull => ViewsError::DiskFull { dir: file },
        _ => ViewsError::File { action, file, source },
    }
}

/// Makes a folder if it is not there, durably.
pub(super) fn create_dir(dir: &Path) -> Result<(), ViewsError> {
    match fs::create_dir(dir) {
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(file_error("make", dir)(error)),
    }
}

/// Replaces a file by another content, durably and all at once.
pub(super) fn replace(file: &Path, aside: &Path, content: &[u8]) -> Result<(), ViewsError> {
    let written = File::create(aside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(file_error("write", aside))?;
    fs::rename(aside, file).map_err(file_error("write", file))?;
    file.parent().map_or(Ok(()), sync_dir)
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), ViewsError> {
    files::sync_dir(dir).map_err(file_error("sync", dir))
}

fn lock(dir: &Path) -> Result<File, ViewsError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(file_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(ViewsError::InUse { dir: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(file_error("lock", &path)(error)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(file_error("write", &path))?;
    Ok(file)
}

/// A folder without a marker must not have anything but what we leave before there is one.
fn refuse_foreign(dir: &Path) -> Result<(), ViewsError> {
    for entry in fs::read_dir(dir).map_err(file_error("read", dir))? {
        let name = entry.map_err(file_error("read", dir))?.file_name();
        if name != LOCK && name != NEW_MARKER {
            return Err(ViewsError::ForeignFolder { dir: dir.to_owned() });
        }
    }
    Ok(())
}

fn read_marker(dir: &Path) -> Result<Option<u32>, ViewsError> {
    let file = dir.join(MARKER);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error("read", &file)(error)),
    };
    let number = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.strip_prefix(MARKER_WORDS)?.strip_suffix('\n')?.parse().ok());
    number.map(Some).ok_or(ViewsError::DamagedMarker { file })
}

fn write_marker(dir: &Path, format: u32) -> Result<(), ViewsError> {
    let content = format!("{MARKER_WORDS}{format}\n");
    replace(&dir.join(MARKER), &dir.join(NEW_MARKER), content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(dir: &Path) -> Result<(), ViewsError> {
        create_dir(&dir.join("second"))
    }

    fn failing(dir: &Path) -> Result<(), ViewsError> {
        create_dir(&dir.join("half"))?;
        Err(ViewsError::unavailable("cut off"))
    }

    #[test]
    fn an_older_folder_goes_through_the_steps_that_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        drop(Folder::open_with(dir.path(), &[make_folders]).unwrap());
        assert_eq!(read_marker(dir.path()).unwrap(), Some(1));
        fs::remove_dir(dir.path().join(ROWS)).unwrap();
        drop(Folder::open_with(dir.path(), &[make_folders, second]).unwrap());
        assert_eq!(read_marker(dir.path()).unwrap(), Some(2));
        assert!(dir.path().join("second").exists());
        assert!(!dir.path().join(ROWS).exists(), "the first step was taken twice");
    }

    #[test]
    fn a_step_that_was_cut_off_is_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let error = Folder::open_with(dir.path(), &[make_folders, failing]).unwrap_err();
        assert_eq!(error.kind(), "unavailable");
        assert_eq!(read_marker(dir.path()).unwrap(), Some(1));
        drop(Folder::open_with(dir.path(), &[make_folders, second]).unwrap());
        assert_eq!(read_marker(dir.path()).unwrap(), Some(2));
    }

    #[test]
    fn a_newer_folder_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Folder::open_with(dir.path(), &[make_folders, second]).unwrap());
        let error = Folder::open_with(dir.path(), &[make_folders]).unwrap_err();
        assert!(matches!(error, ViewsError::NewerFolder { found: 2, known: 1, .. }), "{error}");
        assert_eq!(read_marker(dir.path()).unwrap(), Some(2));
    }

    #[test]
    fn a_removed_folder_is_gone_and_one_that_is_open_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        drop(Folder::open(&one).unwrap());
        let held = Folder::open(&other).unwrap();
        // A removal that was cut off.
        fs::create_dir(dir.path().join(".removed-before")).unwrap();
        fs::write(dir.path().join(".removed-before/rows"), "some").unwrap();
        Folder::open(&one).unwrap().remove().unwrap();
        assert!(matches!(Folder::open(&other), Err(ViewsError::InUse { .. })));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(left.iter().map(|entry| entry.path()).collect::<Vec<_>>(), [other]);
        held.remove().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_left_before_its_first_step_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOCK), "").unwrap();
        fs::write(dir.path().join(NEW_MARKER), "cityev").unwrap();
        drop(Folder::open(dir.path()).unwrap());
        assert!(dir.path().join(ROWS).exists());
    }
}
