//! What a file holds, and whether that has changed.
//!
//! A file is known by its hash: its text would take as much memory as what is made of it, and
//! it is compared every few seconds.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::FileError;

/// The largest file that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// What a content is known by.
pub(super) type Hash = [u8; 32];

/// The content of the file at `path`, unless it is the one that is `known`.
pub(super) async fn load(
    path: &Path,
    known: Option<Hash>,
) -> Result<Option<(Hash, Vec<u8>)>, FileError> {
    let path = path.to_owned();
    let loaded = tokio::task::spawn_blocking(move || {
        if known.is_some() && hash_of(File::open(&path)?)? == known {
            return Ok(None);
        }
        let file = File::open(&path)?;
        let length = file.metadata()?.len().min(MAX_BYTES);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > MAX_BYTES {
            true => Err(FileError::TooLarge),
            false => Ok(Some((Sha256::digest(&bytes).into(), bytes))),
        }
    });
    loaded.await.map_err(io::Error::other)?
}

/// The hash of what `file` holds; `None` if it is too large.
fn hash_of(mut file: File) -> io::Result<Option<Hash>> {
    let mut hash = Sha256::new();
    let mut piece = [0; 16 << 10];
    let mut total = 0;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Some(hash.finalize().into())),
            Ok(n) => {
                total += n as u64;
                if total > MAX_BYTES {
                    return Ok(None);
                }
                hash.update(&piece[..n]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
