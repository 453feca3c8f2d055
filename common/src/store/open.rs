//! Picks and opens an adapter.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Store;
use super::embedded::Embedded;
use super::memory::Memory;
use crate::config::{Kind, Setting, Settings};
use crate::task::Tasks;

/// Which adapter holds the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// In memory, gone with the process.
    Memory,
    /// In one local file.
    Embedded {
        /// The folder of the file; made when it is not there. One server at a time has it.
        data_dir: PathBuf,
    },
}

/// The folder of the embedded store, for a component that lets the operator pick one.
pub const DATA_DIR: Setting = Setting::new(
    "data_dir",
    Kind::Text,
    "Folder of the embedded store's file; one server at a time has it",
);

impl Config {
    /// Reads the word of the setting `name`, which picks the adapter, and [`DATA_DIR`].
    pub fn read(settings: &Settings, name: &str) -> Self {
        let refuse = |reason: &str| {
            settings.refuse(name, reason);
            Self::Memory
        };
        match settings.text(name).as_deref() {
            Some("embedded") => match settings.text("data_dir") {
                Some(folder) if !folder.is_empty() => Self::Embedded {
                    data_dir: folder.into(),
                },
                _ => {
                    settings.refuse("data_dir", format!("is required by {name} embedded"));
                    Self::Memory
                }
            },
            Some("etcd") => refuse("etcd is not in this version yet; take memory or embedded"),
            Some("kubernetes") => {
                refuse("kubernetes is not in this version yet; take memory or embedded")
            }
            Some("redis") => refuse("redis is not supported; take embedded, which needs no server"),
            _ => Self::Memory,
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder.
    #[error("data_dir {} is in use by {holder}", .data_dir.display())]
    InUse {
        /// The folder.
        data_dir: PathBuf,
        /// Who has it, for people.
        holder: String,
    },
    /// A file or folder could not be made, opened or locked.
    #[error("cannot open {}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is no store of ours, or damaged. It is left as it is: starting afresh could
    /// turn a mistake into a loss.
    #[error("{} is not a usable store: {reason}; move it away to start with an empty one", .path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong, for people.
        reason: String,
    },
}

/// Opens the store. Its background work runs on `tasks` and outlives every other user of the
/// store: finish those first.
///
/// # Errors
/// [`OpenError`].
pub async fn open(config: &Config, tasks: &Tasks) -> Result<Arc<dyn Store>, OpenError> {
    match config {
        Config::Memory => Ok(Arc::new(Memory::start(tasks))),
        Config::Embedded { data_dir } => Ok(Arc::new(Embedded::open(data_dir, tasks).await?)),
    }
}
