//! The file: what is kept in it, and how it is opened, written and opened again.
//!
//! All of this blocks, and runs where blocking is allowed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use tracing::info;

use super::OpenError;
use super::lock::Lock;
use crate::model::{Epoch, Revision};
use crate::store::transaction::{Batch, Entry, Event, LeaseId};
use crate::store::tree::Tree;

/// `layout`, `revision`, `sequence`, `epoch`, each as text.
const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
/// Key to create revision, mod revision, lease (0 for none), value.
const ENTRIES: TableDefinition<&str, (u64, u64, u64, &[u8])> = TableDefinition::new("entries");
/// Lease to its time to live in milliseconds.
const LEASES: TableDefinition<u64, u64> = TableDefinition::new("leases");

/// The version of the above.
const LAYOUT: &str = "1";
/// Pages kept in memory. Reads do not go to the file, so little is enough.
const CACHE_BYTES: usize = 16 << 20;

/// Many times what an ordinary write takes.
const ROOM_BYTES: usize = 256 << 10;

/// What the file holds.
pub(super) struct Content {
    pub(super) epoch: Epoch,
    pub(super) tree: Tree,
    sequence: u64,
}

/// What one write adds to the file.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) batches: Vec<Arc<Batch>>,
    pub(super) granted: Vec<(LeaseId, Duration)>,
    pub(super) ended: Vec<LeaseId>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.granted.is_empty() && self.ended.is_empty()
    }
}

/// How a file becomes a database; tests put a failing disk in between.
pub(super) type OpenFile = Box<dyn Fn(&Path) -> Result<Database, redb::DatabaseError> + Send>;

/// The open file, and the lock on its folder.
pub(super) struct Disk {
    path: PathBuf,
    epoch: Epoch,
    open: OpenFile,
    /// `None` after a failure: a database that has failed must be opened anew.
    database: Option<Database>,
    /// How many writes the file has taken that were answered as done.
    sequence: u64,
    _lock: Lock,
}

impl Disk {
    pub(super) fn open(data_dir: &Path) -> Result<(Self, Content), OpenError> {
        let open = |path: &Path| redb::Builder::new().set_cache_size(CACHE_BYTES).open(path);
        Self::open_with(data_dir, Box::new(open))
    }

    pub(super) fn open_with(data_dir: &Path, open: OpenFile) -> Result<(Self, Content), OpenError> {
        let in_folder = |source| OpenError::Io {
            path: data_dir.to_owned(),
            source,
        };
        let mut folder = DirBuilder::new();
        let made = folder.recursive(true).mode(0o700).create(data_dir);
        made.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => in_folder(io::ErrorKind::NotADirectory.into()),
            _ => in_folder(e),
        })?;
        let lock = Lock::take(data_dir)?;
        let path = data_dir.join("store.redb");
        if !path.try_exists().map_err(in_folder)? {
            create(data_dir, &path)?;
            info!(file = %path.display(), "made a new store");
        }
        check(&path)?;
        let database = open(&path).map_err(|e| refused(&path, e))?;
        let content = load(&database).map_err(|e| unusable(&path, e.to_string()))?;
        let disk = Self {
            path,
            epoch: content.epoch.clone(),
            open,
            database: Some(database),
            sequence: content.sequence,
            _lock: lock,
        };
        Ok((disk, content))
    }

    /// Writes `changes`, which lead to `tree`. After an error the file may hold them or not;
    /// the next write makes that good.
    pub(super) fn write(&mut self, changes: &Changes, tree: &Tree) -> Result<(), redb::Error> {
        let (database, whole) = match self.database.take() {
            Some(database) => (database, false),
            None => self.reopen()?,
        };
        let sequence = self.sequence + 1;
        let transaction = database.begin_write()?;
        if whole {
            write_whole(&transaction, tree)?;
        } else {
            write_changes(&transaction, changes)?;
        }
        write_meta(&transaction, &self.epoch, tree.revision, sequence)?;
        transaction.commit()?;
        self.sequence = sequence;
        self.database = Some(database);
        Ok(())
    }

    /// Whether there is room for the next writes. What is left of a full disk may do for one
    /// small write, and say nothing of those that people make.
    pub(super) fn room(&self) -> io::Result<()> {
        // Without a name, so that it is gone with this process at the latest.
        let mut file = tempfile::tempfile_in(self.path.parent().unwrap_or(&self.path))?;
        file.write_all(&vec![1; ROOM_BYTES])?;
        file.sync_all()
    }

    /// Whether the file must be written whole: a write that was answered as failed is in it.
    fn reopen(&self) -> Result<(Database, bool), redb::Error> {
        let database = (self.open)(&self.path)?;
        let meta = database.begin_read()?.open_table(META)?;
        let found = text(&meta, "sequence").and_then(|s| s.parse().ok());
        let behind = found != Some(self.sequence);
        Ok((database, behind))
    }
}

/// Makes the file under another name first, so that a file of the right name is whole.
fn create(data_dir: &Path, path: &Path) -> Result<(), OpenError> {
    let draft = data_dir.join("store.redb.new");
    let failed = |source| OpenError::Io {
        path: draft.clone(),
        source,
    };
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(failed)?;
    let initialise = || -> Result<(), redb::Error> {
        let database = Database::create(&draft)?;
        let transaction = database.begin_write()?;
        write_whole(&transaction, &Tree::default())?;
        write_meta(&transaction, &Epoch::fresh(), Revision(0), 0)?;
        transaction.commit()?;
        Ok(database.close()?)
    };
    initialise().map_err(|e| failed(io::Error::other(e)))?;
    fs::rename(&draft, path).map_err(failed)?;
    let synced = File::open(data_dir).and_then(|folder| folder.sync_all());
    synced.map_err(failed)
}

/// Verifies every page. A file damaged from outside may make the library panic in places
/// that it holds to be unreachable.
fn check(path: &Path) -> Result<(), OpenError> {
    let length = fs::metadata(path).map(|m| m.len());
    if let Ok(0) = length {
        // The library would make a new database of it.
        return Err(unusable(path, "it is empty".to_owned()));
    }
    let verify = || {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        builder
            .set_check_integrity_on_open(true)
            .open(path)?
            .close()
    };
    match catch_unwind(AssertUnwindSafe(verify)) {
        Ok(verified) => verified.map_err(|e| refused(path, e)),
        Err(_) => Err(unusable(path, "it is damaged".to_owned())),
    }
}

fn refused(path: &Path, error: redb::DatabaseError) -> OpenError {
    use redb::{DatabaseError, StorageError};
    // What a file that is foreign, or shorter than it says, is reported as.
    let content = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
    match error {
        DatabaseError::Storage(StorageError::Io(e)) if !content.contains(&e.kind()) => {
            OpenError::Io {
                path: path.to_owned(),
                source: e,
            }
        }
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse {
            data_dir: path.parent().unwrap_or(path).to_owned(),
            holder: "another process".to_owned(),
        },
        other => unusable(path, other.to_string()),
    }
}

fn unusable(path: &Path, reason: String) -> OpenError {
    OpenError::Unusable {
        path: path.to_owned(),
        reason,
    }
}

fn text(meta: &impl ReadableTable<&'static str, &'static str>, name: &str) -> Option<String> {
    let value = meta.get(name).ok().flatten()?;
    Some(value.value().to_owned())
}

/// Why the content of a sound file cannot be used.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Database(#[from] redb::Error),
    #[error("its layout is {found}, this version knows {LAYOUT}")]
    Layout { found: String },
    #[error("{0} is missing")]
    Missing(&'static str),
}

fn load(database: &Database) -> Result<Content, LoadError> {
    let reading = database.begin_read().map_err(redb::Error::from)?;
    let meta = reading.open_table(META).map_err(redb::Error::from)?;
    let wanted = |name| text(&meta, name).ok_or(LoadError::Missing(name));
    let number = |name| -> Result<u64, LoadError> {
        wanted(name)?.parse().map_err(|_| LoadError::Missing(name))
    };
    let found = wanted("layout")?;
    if found != LAYOUT {
        return Err(LoadError::Layout { found });
    }
    let (leases, entries) = read_tables(&reading)?;
    Ok(Content {
        epoch: Epoch::named(&wanted("epoch")?),
        tree: Tree::restore(Revision(number("revision")?), leases, entries),
        sequence: number("sequence")?,
    })
}

type Tables = (Vec<(LeaseId, Duration)>, Vec<Entry>);

fn read_tables(reading: &redb::ReadTransaction) -> Result<Tables, redb::Error> {
    let mut leases = Vec::new();
    for row in reading.open_table(LEASES)?.iter()? {
        let (id, ttl) = row?;
        leases.push((LeaseId(id.value()), Duration::from_millis(ttl.value())));
    }
    let mut entries = Vec::new();
    for row in reading.open_table(ENTRIES)?.iter()? {
        let (key, entry) = row?;
        let (created, modified, lease, value) = entry.value();
        entries.push(Entry {
            key: key.value().into(),
            value: Bytes::copy_from_slice(value),
            create_revision: Revision(created),
            mod_revision: Revision(modified),
            lease: (lease != 0).then_some(LeaseId(lease)),
        });
    }
    Ok((leases, entries))
}

fn write_meta(
    transaction: &WriteTransaction,
    epoch: &Epoch,
    revision: Revision,
    sequence: u64,
) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    meta.insert("layout", LAYOUT)?;
    meta.insert("epoch", epoch.as_str())?;
    meta.insert("revision", revision.to_string().as_str())?;
    meta.insert("sequence", sequence.to_string().as_str())?;
    Ok(())
}

fn write_changes(transaction: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    let mut entries = transaction.open_table(ENTRIES)?;
    for event in changes.batches.iter().flat_map(|batch| &batch.events) {
        match event {
            Event::Put(entry) => drop(entries.insert(&*entry.key, row(entry))?),
            Event::Delete(key) => drop(entries.remove(&**key)?),
        }
    }
    let mut leases = transaction.open_table(LEASES)?;
    for (id, ttl) in &changes.granted {
        leases.insert(id.0, millis(*ttl))?;
    }
    for id in &changes.ended {
        leases.remove(id.0)?;
    }
    Ok(())
}

fn write_whole(transaction: &WriteTransaction, tree: &Tree) -> Result<(), redb::Error> {
    transaction.delete_table(ENTRIES)?;
    transaction.delete_table(LEASES)?;
    let mut entries = transaction.open_table(ENTRIES)?;
    for entry in tree.entries.values() {
        entries.insert(&*entry.key, row(entry))?;
    }
    let mut leases = transaction.open_table(LEASES)?;
    for (id, lease) in &tree.leases {
        leases.insert(id.0, millis(lease.ttl))?;
    }
    Ok(())
}

fn row(entry: &Entry) -> (u64, u64, u64, &[u8]) {
    let lease = entry.lease.map_or(0, |id| id.0);
    let (created, modified) = (entry.create_revision.0, entry.mod_revision.0);
    (created, modified, lease, &entry.value)
}

fn millis(ttl: Duration) -> u64 {
    ttl.as_millis().try_into().unwrap_or(u64::MAX)
}
