//! The ports through which a sidecar learns of instances and rules.
//!
//! A [`Source`] keeps one [`View`] up to date until it is told to stop: it retries, resumes
//! and reconnects by itself, keeps the last good state while its peer is away, and says on
//! its [`Link`] how it stands. `Discovery` is a source of instances, `RuleSource` one of
//! rules; the adapters live in the folder beside this file.

pub mod amalgam8;
pub mod filesystem;
pub mod kept;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;

use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::model::Instance;
use crate::task::{Stop, Tasks};
use crate::view::{self, Item, Publisher, View};

/// How a source stands with its peer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Link {
    /// Whether the peer is answering now.
    pub connected: bool,
    /// When the peer was last heard of: an event, a bookmark, an answered poll.
    pub last_contact: Option<Instant>,
    /// How much of what the peer has is left out, since it is not valid or too much.
    pub left_out: usize,
    /// Why it is not connected, or what it had to leave out; for people.
    pub problem: Option<String>,
}

/// Something that keeps a view of `T` up to date.
#[async_trait]
pub trait Source<T: Item>: Send + 'static {
    /// Publishes into `out` and reports on `link` until `stop` fires.
    async fn run(self: Box<Self>, out: Publisher<T>, link: watch::Sender<Link>, stop: Stop);
}

/// A source of instances.
pub type Discovery = dyn Source<Instance>;

/// The reading ends of a running source.
#[derive(Clone)]
pub struct Feed<T: Item> {
    /// What is known.
    pub view: View<T>,
    /// How the source stands with its peer.
    pub link: watch::Receiver<Link>,
}

/// Runs `source` as a task of `tasks`.
pub fn start<T: Item>(name: &'static str, source: Box<dyn Source<T>>, tasks: &Tasks) -> Feed<T> {
    let (publisher, view) = view::channel();
    let (link_tx, link) = watch::channel(Link::default());
    tasks.spawn(name, source.run(publisher, link_tx, tasks.stop().clone()));
    Feed { view, link }
}
