//! Picks and opens an adapter.

pub(super) mod etcd;

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
    /// In an etcd, which other servers may share.
    Etcd(etcd::Config),
}

/// Under which names a component has the settings of its store.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Picks the adapter.
    pub adapter: &'static str,
    /// Says how an etcd is reached.
    pub etcd: etcd::Names,
}

/// The folder of the embedded store, for a component that lets the operator pick one.
pub const DATA_DIR: Setting = Setting::new(
    "data_dir",
    Kind::Text,
    "Folder of the embedded store's file; one server at a time has it",
);

impl Config {
    /// Reads the setting that picks the adapter, and those of the adapter: [`DATA_DIR`], or
    /// what [`etcd::Names::settings`] declares.
    pub fn read(settings: &Settings, names: &Names) -> Self {
        let name = names.adapter;
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
            Some("etcd") if cfg!(not(feature = "etcd")) => {
                refuse("etcd was left out when this was built; take memory or embedded")
            }
            Some("etcd") => match etcd::Config::read(settings, &names.etcd, name) {
                Some(config) => Self::Etcd(config),
                None => Self::Memory,
            },
            // Who can keep data there does not come here.
            Some("kubernetes") => {
                refuse("kubernetes was left out when this was built; take memory, embedded or etcd")
            }
            Some("redis") => {
                refuse("redis is not supported; take etcd, or embedded, which needs no server")
            }
            _ => Self::Memory,
        }
    }

    /// Settings that are set and have no effect with this adapter.
    pub fn without_effect(&self, settings: &Settings, names: &Names) -> Vec<&'static str> {
        let mut idle = Vec::new();
        if !matches!(self, Self::Etcd(_)) {
            idle.extend(names.etcd.set_in(settings));
        }
        if !matches!(self, Self::Embedded { .. }) && settings.is_set("data_dir") {
            idle.push("data_dir");
        }
        idle
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
    /// A certificate or key of the etcd could not be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The adapter was left out of this build.
    #[error("this was built without {0}")]
    LeftOut(&'static str),
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
        #[cfg(feature = "etcd")]
        Config::Etcd(config) => Ok(Arc::new(super::etcd::Etcd::open(config, tasks)?)),
        #[cfg(not(feature = "etcd"))]
        Config::Etcd(_) => Err(OpenError::LeftOut("etcd")),
    }
}
