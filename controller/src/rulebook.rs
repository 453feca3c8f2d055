//! The book of rules: what the API reads, watches and writes.
//!
//! Each namespace has a [`Shelf`], a view that reads and watches are served from. Where the
//! rules are kept differs: as entries of a store ([`store`]), or as objects of a cluster
//! ([`kubernetes`]). Either way a write is all or nothing, it may build on a revision, and it
//! is answered once the view has it, so whoever wrote reads it.

mod error;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod selection;
mod shelf;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use a8_common::host::Ground;
use a8_common::http::IfMatch;
use a8_common::model::{Namespace, Revision, RuleId};
use a8_common::rule::Rule;
use a8_common::store::Unavailable;
use imbl::OrdMap;

pub use error::{ShelfError, WriteError};
pub use selection::{Kind, Selection};
pub use shelf::Shelf;

/// The most rules that one namespace may hold. A watcher is sent them in one line.
pub const MAX_RULES: usize = 50_000;

/// How long an answer waits for the view. Only a store that went away between the write and
/// its event makes it that long; the write stands all the same.
const SETTLE: Duration = Duration::from_secs(5);

/// How often a write that builds on what is there starts over because somebody else wrote
/// meanwhile.
const MAX_ATTEMPTS: usize = 16;

/// The rules of a namespace by id.
type Rules = OrdMap<RuleId, Arc<Rule>>;

/// The rules of all namespaces.
pub struct RuleBook(Keeper);

/// Who keeps them.
enum Keeper {
    Store(store::Book),
    #[cfg(feature = "kubernetes")]
    Kubernetes(kubernetes::Book),
}

/// Whether a write is done or only tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Commit,
    /// Everything is checked and nothing is stored.
    DryRun,
}

/// What a deletion took, or would take.
#[derive(Debug, PartialEq)]
pub struct Removed {
    /// The ids of the rules, in order.
    pub ids: Vec<RuleId>,
    /// The revision of the namespace now.
    pub revision: Revision,
}

impl RuleBook {
    /// Opens the book over the store of `ground`, whose tasks keep its views up to date and
    /// tell its health.
    ///
    /// # Errors
    /// When there is a metric already that the book counts.
    pub fn start(ground: Ground<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self(Keeper::Store(store::Book::start(ground)?)))
    }

    /// The rules of `namespace`.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn shelf(&self, namespace: &Namespace) -> Result<Arc<Shelf>, ShelfError> {
        match &self.0 {
            Keeper::Store(book) => book.shelf(namespace),
            #[cfg(feature = "kubernetes")]
            Keeper::Kubernetes(book) => book.shelf(namespace),
        }
    }

    /// The newest revision of where the rules are kept, which a view may be behind.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn newest(&self) -> Result<Revision, Unavailable> {
        match &self.0 {
            Keeper::Store(book) => book.newest().await,
            #[cfg(feature = "kubernetes")]
            Keeper::Kubernetes(book) => book.newest().await,
        }
    }

    /// Stores `rules`, all of them or none. A rule whose id is there already replaces it, as
    /// it did in 1.1.0.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was stored, unless it says otherwise.
    pub async fn add(
        &self,
        shelf: &Shelf,
        rules: &[Rule],
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Revision, WriteError> {
        match &self.0 {
            Keeper::Store(book) => book.add(shelf, rules, condition, mode).await,
            #[cfg(feature = "kubernetes")]
            Keeper::Kubernetes(book) => book.add(rules, condition, mode).await,
        }
    }

    /// Replaces rules that are there, all of them or none.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was stored, unless it says otherwise.
    pub async fn update(
        &self,
        shelf: &Shelf,
        rules: &[Rule],
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Revision, WriteError> {
        match &self.0 {
            Keeper::Store(book) => book.update(shelf, rules, condition, mode).await,
            #[cfg(feature = "kubernetes")]
            Keeper::Kubernetes(book) => book.update(rules, condition, mode).await,
        }
    }

    /// Deletes the rules that `selection` takes, all of them or none. Deleting none changes
    /// nothing.
    ///
    /// # Errors
    /// [`WriteError::Unknown`] when the selection names an id that is not there, or another
    /// [`WriteError`]; nothing was deleted, unless it says otherwise.
    pub async fn remove(
        &self,
        shelf: &Shelf,
        selection: &Selection,
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Removed, WriteError> {
        match &self.0 {
            Keeper::Store(book) => book.remove(shelf, selection, condition, mode).await,
            #[cfg(feature = "kubernetes")]
            Keeper::Kubernetes(book) => book.remove(selection, condition, mode).await,
        }
    }
}

impl From<store::Book> for RuleBook {
    fn from(book: store::Book) -> Self {
        Self(Keeper::Store(book))
    }
}

#[cfg(feature = "kubernetes")]
impl From<kubernetes::Book> for RuleBook {
    fn from(book: kubernetes::Book) -> Self {
        Self(Keeper::Kubernetes(book))
    }
}
