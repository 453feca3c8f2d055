//! The one task that changes an embedded store.
//!
//! It tries every waiting command on a copy of the tree, puts what came of it on disk, and
//! only then lets readers see it and callers know.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info};

use super::disk::{Changes, Disk};
use crate::model::Revision;
use crate::store::error::{CommitError, LeaseError, Unavailable};
use crate::store::lease::Ticker;
use crate::store::live::Live;
use crate::store::transaction::{LeaseId, Transaction};
use crate::store::tree::Tree;
use crate::task::Stop;

/// How many commands go to disk together.
const MAX_GROUP: usize = 1024;
/// After a failure the disk is left alone for this long; writes are refused meanwhile.
const RETRY: Duration = Duration::from_millis(250);

/// What the writer is asked for.
pub(super) enum Command {
    Commit(Transaction, oneshot::Sender<Result<Revision, CommitError>>),
    Grant(LeaseId, Duration, oneshot::Sender<Result<(), Unavailable>>),
    Revoke(LeaseId, oneshot::Sender<Result<(), LeaseError>>),
    /// Whether the disk can be written.
    Probe(oneshot::Sender<Result<(), Unavailable>>),
}

/// Answers one caller once it is known whether the disk took the group.
type Answer = Box<dyn FnOnce(&Result<(), Unavailable>) + Send>;

pub(super) struct Writer {
    live: Arc<Live>,
    /// `None` only if writing panicked: then nothing can be written any more.
    disk: Option<Disk>,
    queue: mpsc::Receiver<Command>,
    report: watch::Sender<Option<Unavailable>>,
    retry_at: Instant,
}

/// Commands tried on a copy of the tree.
struct Group {
    tree: Tree,
    changes: Changes,
    answers: Vec<Answer>,
    /// Leases of this group that ended because nobody kept them alive.
    expired: Vec<LeaseId>,
    probe: bool,
}

impl Writer {
    pub(super) fn new(
        live: Arc<Live>,
        disk: Disk,
        queue: mpsc::Receiver<Command>,
        report: watch::Sender<Option<Unavailable>>,
    ) -> Self {
        Self {
            live,
            disk: Some(disk),
            queue,
            report,
            retry_at: Instant::now(),
        }
    }

    /// Runs until `stop` fires, then does what it has been asked for and closes the file.
    pub(super) async fn run(mut self, stop: Stop) {
        let mut ticker = Ticker::new();
        let mut commands = Vec::new();
        while !stop.fired() {
            let next = ticker.next(&self.live.state().deadlines);
            tokio::select! {
                _ = self.queue.recv_many(&mut commands, MAX_GROUP) => {}
                () = sleep_until(next) => {}
                () = stop.wait() => {}
            }
            if let Some(absence) = ticker.absence() {
                self.live.state().spare_all(absence);
            }
            let due = self.live.state().deadlines.take_due(Instant::now());
            self.process(&mut commands, due).await;
        }
        self.queue.close();
        while self.queue.recv_many(&mut commands, MAX_GROUP).await > 0 {
            self.process(&mut commands, Vec::new()).await;
        }
        let disk = self.disk.take();
        // Closing writes; and whoever waits for this task may want the folder.
        let _ = tokio::task::spawn_blocking(move || drop(disk)).await;
    }

    async fn process(&mut self, commands: &mut Vec<Command>, due: Vec<LeaseId>) {
        if commands.is_empty() && due.is_empty() {
            return;
        }
        let mut group = Group::over(self.live.state().tree.clone());
        // Who is overdue has ended before anything that was asked for since.
        for lease in due {
            debug!(%lease, "lease expired");
            group.expire(lease);
        }
        for command in commands.drain(..) {
            group.apply(command);
        }
        let outcome = self.write(&mut group).await;
        match &outcome {
            Ok(()) => self.publish(&mut group),
            Err(_) => {
                let now = Instant::now();
                let mut state = self.live.state();
                for lease in group.expired {
                    state.deadlines.spare(lease, now);
                }
            }
        }
        for answer in group.answers {
            answer(&outcome);
        }
    }

    /// Puts the group on disk.
    async fn write(&mut self, group: &mut Group) -> Result<(), Unavailable> {
        let trouble = self.report.borrow().clone();
        let needless = group.changes.is_empty() && !(group.probe && trouble.is_some());
        if needless {
            return Ok(());
        }
        if let Some(trouble) = trouble
            && Instant::now() < self.retry_at
        {
            return Err(trouble);
        }
        let outcome = match self.disk.take() {
            None => Err("its writer has failed".to_owned()),
            Some(mut disk) => {
                let changes = std::mem::take(&mut group.changes);
                let tree = group.tree.clone();
                // Somebody's write is tried whatever there is: it may be what makes room.
                let only_probed = changes.is_empty();
                let writing = tokio::task::spawn_blocking(move || {
                    let written = match only_probed {
                        true => disk.room().map_err(redb::Error::from),
                        false => Ok(()),
                    };
                    let written = written.and_then(|()| disk.write(&changes, &tree));
                    (disk, changes, written)
                });
                match writing.await {
                    Ok((disk, changes, written)) => {
                        self.disk = Some(disk);
                        group.changes = changes;
                        written.map_err(|e| e.to_string())
                    }
                    Err(panic) => Err(panic.to_string()),
                }
            }
        };
        self.judge(outcome)
    }

    /// Remembers and reports how the disk does.
    fn judge(&mut self, outcome: Result<(), String>) -> Result<(), Unavailable> {
        let before = self.report.borrow().clone();
        match outcome {
            Ok(()) => {
                if before.is_some() {
                    info!("the store can be written again");
                    self.report.send_replace(None);
                }
                Ok(())
            }
            Err(reason) => {
                let trouble = Unavailable::because(format!("it cannot be written: {reason}"));
                if before.as_ref() != Some(&trouble) {
                    error!(%reason, "the store cannot be written, writes are refused");
                    self.report.send_replace(Some(trouble.clone()));
                }
                self.retry_at = Instant::now() + RETRY;
                Err(trouble)
            }
        }
    }

    /// Lets readers and watchers see what is on disk.
    fn publish(&self, group: &mut Group) {
        let now = Instant::now();
        let changes = std::mem::take(&mut group.changes);
        let revision = group.tree.revision;
        let mut state = self.live.state();
        state.tree = std::mem::take(&mut group.tree);
        for batch in changes.batches {
            state.record(batch);
        }
        for (id, ttl) in changes.granted {
            state.deadlines.insert(id, ttl, now);
        }
        for id in changes.ended {
            state.deadlines.remove(id);
        }
        drop(state);
        self.live.announce(revision);
    }
}

impl Group {
    fn over(tree: Tree) -> Self {
        Self {
            tree,
            changes: Changes::default(),
            answers: Vec::new(),
            expired: Vec::new(),
            probe: false,
        }
    }

    fn apply(&mut self, command: Command) {
        match command {
            Command::Commit(transaction, reply) => {
                let result = self.commit(&transaction);
                self.answer(reply, result);
            }
            Command::Grant(id, ttl, reply) => {
                self.tree.grant(id, ttl);
                self.changes.granted.push((id, ttl));
                self.answer(reply, Ok(()));
            }
            Command::Revoke(lease, reply) => {
                let known = self.end(lease);
                let result = known.then_some(()).ok_or(LeaseError::Unknown(lease));
                self.answer(reply, result);
            }
            Command::Probe(reply) => {
                self.probe = true;
                self.answer(reply, Ok(()));
            }
        }
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<Revision, CommitError> {
        let batch = self.tree.commit(transaction)?;
        self.changes.batches.extend(batch);
        Ok(self.tree.revision)
    }

    fn expire(&mut self, lease: LeaseId) {
        if self.end(lease) {
            self.expired.push(lease);
        }
    }

    fn end(&mut self, lease: LeaseId) -> bool {
        let Some(batch) = self.tree.end(lease) else {
            return false;
        };
        self.changes.batches.extend(batch);
        self.changes.ended.push(lease);
        true
    }

    /// Answers with `result` if the disk takes the group. If not, even a refusal does not
    /// hold: it may rest on something before it in the group that was not done either.
    fn answer<T, E>(&mut self, reply: oneshot::Sender<Result<T, E>>, result: Result<T, E>)
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
    {
        self.answers.push(Box::new(move |outcome| {
            let result = match outcome {
                Ok(()) => result,
                Err(unavailable) => Err(unavailable.clone().into()),
            };
            // The caller may have gone away; what it asked for is done all the same.
            let _ = reply.send(result);
        }));
    }
}
