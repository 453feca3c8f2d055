//! A file that is whole or not there: a head that says what it is and whose, one line of content,
//! and a line with the digest of both.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::watch::codec::LineError;

/// The most bytes that a file may have; a state that is larger is not kept.
pub const MAX_BYTES: u64 = 256 << 20;

/// What the files are, so that nobody takes another for one.
const FORMAT: &str = "amalgam8-state";
/// Goes up when an older program could not read them any more.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    kind: String,
    origin: String,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// It is not one of ours, was cut off, or was changed by somebody.
    #[error("{path}: {why}")]
    Damaged {
        /// Which.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A newer program has written it.
    #[error("{path}: it has version {version}, and {VERSION} is the newest that is known")]
    Version {
        /// Which.
        path: String,
        /// Its version.
        version: u32,
    },
    /// It holds the state of another source.
    #[error("{path}: it is of {origin}")]
    Origin {
        /// Which.
        path: String,
        /// Whose it is.
        origin: String,
    },
    /// Its state is not understood.
    #[error("{path}: {error}")]
    Line {
        /// Which.
        path: String,
        /// Why.
        error: LineError,
    },
}

/// Where the content of this kind is kept.
fn path(folder: &Path, kind: &str) -> PathBuf {
    folder.join(kind).with_extension("state")
}

/// Writes what `content` writes: all of it or, when this fails, nothing. What a newer program
/// has written stays.
///
/// # Errors
/// What the system says, when it is too large, and when a newer program's is there.
pub(super) fn write(
    folder: &Path,
    kind: &str,
    origin: &str,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let owner_only = 0o700;
    DirBuilder::new()
        .recursive(true)
        .mode(owner_only)
        .create(folder)?;
    let path = path(folder, kind);
    if let Some(version) = newer(&path) {
        let path = path.display().to_string();
        return Err(io::Error::other(ReadError::Version { path, version }));
    }
    // Readable by the owner alone, as such files are made.
    let file = NamedTempFile::with_prefix_in(kind, folder)?;
    let mut to = Digested::new(BufWriter::new(file.as_file()));
    let head = Head {
        format: FORMAT.to_owned(),
        version: VERSION,
        kind: kind.to_owned(),
        origin: origin.to_owned(),
    };
    serde_json::to_writer(&mut to, &head)?;
    to.write_all(b"\n")?;
    content(&mut to)?;
    to.write_all(b"\n")?;
    to.seal()?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|e| e.error)?;
    // What a folder holds is on disk only when that has been said of the folder, too.
    File::open(folder)?.sync_data()
}

/// Reads the content, and makes it into what it is; `None` when nothing was kept.
///
/// # Errors
/// [`ReadError`].
pub(super) fn read<T>(
    folder: &Path,
    kind: &str,
    origin: &str,
    understand: impl FnOnce(&[u8]) -> Result<T, Damage>,
) -> Result<Option<T>, ReadError> {
    let path = path(folder, kind);
    let shown = path.display().to_string();
    let damaged = |why| ReadError::Damaged {
        path: shown.clone(),
        why,
    };
    let bytes = match whole(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error) => return Err(ReadError::Io { path: shown, error }),
    };
    let sealed = bytes.strip_suffix(b"\n").ok_or(damaged("it is cut off"))?;
    let end = sealed.iter().rposition(|byte| *byte == b'\n');
    let (signed, digest) = sealed.split_at(end.ok_or(damaged("it is cut off"))? + 1);
    if hex(&Sha256::digest(signed)).as_bytes() != digest {
        return Err(damaged("its digest is another: it was cut off or changed"));
    }
    let mut lines = signed.splitn(2, |byte| *byte == b'\n');
    let head = lines.next().unwrap_or_default();
    let head: Head = serde_json::from_slice(head).map_err(|_| damaged("it has no head"))?;
    if head.format != FORMAT || head.kind != kind {
        return Err(damaged("it is something else"));
    }
    if head.version > VERSION {
        let version = head.version;
        return Err(ReadError::Version {
            path: shown,
            version,
        });
    }
    if head.origin != origin {
        let origin = head.origin;
        return Err(ReadError::Origin {
            path: shown,
            origin,
        });
    }
    match understand(lines.next().unwrap_or_default()) {
        Ok(content) => Ok(Some(content)),
        Err(Damage::Line(error)) => Err(ReadError::Line { path: shown, error }),
        Err(Damage::Other(why)) => Err(damaged(why)),
    }
}

/// Why content is not understood.
pub(super) enum Damage {
    /// It is no line of a watch.
    Line(LineError),
    /// For another reason.
    Other(&'static str),
}

/// The version of the file there, if it is newer than ours.
fn newer(path: &Path) -> Option<u32> {
    /// More than any head of ours has.
    const HEAD: u64 = 64 << 10;
    let file = BufReader::new(open(path).ok()??.take(HEAD));
    let line = file.split(b'\n').next()?.ok()?;
    let head: Head = serde_json::from_slice(&line).ok()?;
    (head.format == FORMAT && head.version > VERSION).then_some(head.version)
}

/// Opens what may be ours: others, such as a pipe, may never end.
fn open(path: &Path) -> io::Result<Option<File>> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => File::open(path).map(Some),
        Ok(_) => Err(io::Error::other("it is no regular file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The file's content, within bounds.
fn whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    BufReader::new(file)
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(io::Error::other("it is too large")),
        false => Ok(Some(bytes)),
    }
}

/// Passes on what is written, and remembers its digest.
struct Digested<W: Write> {
    to: W,
    digest: Sha256,
    length: u64,
}

impl<W: Write> Digested<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            digest: Sha256::new(),
            length: 0,
        }
    }

    /// Writes the digest of all that came before.
    fn seal(mut self) -> io::Result<()> {
        writeln!(self.to, "{}", hex(&self.digest.finalize()))?;
        self.to.flush()
    }
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.length += written as u64;
        if self.length > MAX_BYTES {
            return Err(io::Error::other("the state is too large to be kept"));
        }
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
