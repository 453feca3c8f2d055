//! Watching: etcd's events as the port's batches, one for each transaction.
//!
//! A watch goes on at another member when its own fails: its revision says from where, so
//! nothing is missed and nothing is told twice. etcd is asked for more only when what came has
//! been taken, so a slow reader holds no queue here.

use std::collections::VecDeque;
use std::sync::Arc;

use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch::Receiver;

use super::entry::{Header, Keys, header, revision, signed};
use super::members::Members;
use super::trouble::Trouble;
use crate::model::Revision;
use crate::store::Watch;
use crate::store::error::{Unavailable, WatchError};
use crate::store::transaction::{Batch, Event};

/// The largest message. etcd makes pieces of about the size of its largest request.
const MAX_PIECE: usize = 128 << 20;

/// Watches after `after`. `newest` asks for the newest revision.
pub(super) async fn watch(
    members: &Arc<Members>,
    keys: &Keys,
    prefix: &str,
    after: Revision,
    newest: impl Future<Output = Result<Revision, Unavailable>>,
) -> Result<Watch, WatchError> {
    let mut changes = Changes {
        members: members.clone(),
        keys: keys.clone(),
        prefix: keys.full(prefix),
        after,
        ready: VecDeque::new(),
        partial: Vec::new(),
        open: None,
    };
    let opened = changes.open().await?;
    // A revision from the future is from another life of the data; or this member is behind,
    // which those that agree on the newest revision can tell.
    if opened.revision < after && newest.await? < after {
        return Err(WatchError::Compacted { after });
    }
    let batches = stream::unfold(Some(changes), |changes| async {
        let mut changes = changes?;
        match changes.next().await {
            Ok(batch) => Some((Ok(batch), Some(changes))),
            Err(e) => Some((Err(e), None)),
        }
    });
    Ok(batches.boxed())
}

struct Changes {
    members: Arc<Members>,
    keys: Keys,
    prefix: String,
    /// All up to here is in `ready` or has been told.
    after: Revision,
    ready: VecDeque<Batch>,
    /// Events of one revision whose rest is still to come.
    partial: Vec<(Revision, Event)>,
    open: Option<Open>,
}

/// A stream that stands.
struct Open {
    stream: WatchStream,
    at: usize,
    moved: Receiver<usize>,
}

impl Changes {
    /// Begins to watch after [`after`](Self::after), where the current member is.
    async fn open(&mut self) -> Result<Header, WatchError> {
        self.partial.clear();
        let options = WatchOptions::new()
            .with_prefix()
            // What is large comes in pieces.
            .with_fragment()
            .with_start_revision(signed(self.after.0.saturating_add(1)));
        let opened = self.members.ask_at(|client| {
            let (key, options) = (self.prefix.clone(), options.clone());
            let mut client = client.watch_client().max_decoding_message_size(MAX_PIECE);
            async move {
                let mut stream = client.watch(key, Some(options)).await?;
                // The first message says only that the watch stands.
                let first = stream.message().await?;
                let created = first.map_or_else(Header::default, |m| header(m.header()));
                Ok((stream, created))
            }
        });
        let (at, (stream, created)) = opened.await.map_err(|e| self.error(e))?;
        let moved = self.members.moved();
        self.open = Some(Open { stream, at, moved });
        Ok(created)
    }

    async fn next(&mut self) -> Result<Batch, WatchError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(batch);
            }
            let Some(open) = &mut self.open else {
                self.open().await?;
                continue;
            };
            let at = open.at;
            let message = tokio::select! {
                message = open.stream.message() => Some(message.map_err(Trouble::from)),
                // Others found that the member does not answer.
                _ = open.moved.wait_for(|now| *now != at) => None,
            };
            let Some(message) = message else {
                self.open = None;
                continue;
            };
            let ended = || Trouble::Elsewhere {
                reason: "the watch ended".to_owned(),
                sent: true,
            };
            let message = message.and_then(|message| message.ok_or_else(ended));
            match message.and_then(|message| self.take(&message)) {
                Ok(()) => {}
                Err(e @ (Trouble::Elsewhere { .. } | Trouble::Denied(_))) => {
                    self.members.blame(at, &e).await;
                    self.open = None;
                }
                Err(e) => return Err(self.error(e)),
            }
        }
    }

    fn take(&mut self, message: &WatchResponse) -> Result<(), Trouble> {
        if message.compact_revision() > 0 {
            return Err(Trouble::Compacted);
        }
        if message.canceled() {
            let reason = message.cancel_reason().to_owned();
            return Err(Trouble::Elsewhere { reason, sent: true });
        }
        for event in message.events() {
            let Some(kv) = event.kv() else { continue };
            let told = match event.event_type() {
                EventType::Put => self.keys.entry(kv).map(Event::Put),
                EventType::Delete => self.keys.own(kv.key()).map(Event::Delete),
            };
            let at = revision(kv.mod_revision());
            self.partial.extend(told.map(|event| (at, event)));
        }
        // Without more pieces to come, no revision goes on in the next message.
        if !message.0.fragment {
            self.finish();
        }
        Ok(())
    }

    /// Makes batches of the events that are complete.
    fn finish(&mut self) {
        for (revision, event) in self.partial.drain(..) {
            // Told already, by a member that was ahead.
            if revision <= self.after && self.ready.back().is_none_or(|b| b.revision != revision) {
                continue;
            }
            self.after = revision;
            match self.ready.back_mut() {
                Some(batch) if batch.revision == revision => batch.events.push(event),
                _ => self.ready.push_back(Batch {
                    revision,
                    events: vec![event],
                }),
            }
        }
    }

    fn error(&self, e: Trouble) -> WatchError {
        match e {
            Trouble::Compacted => WatchError::Compacted { after: self.after },
            e => unavailable(e),
        }
    }
}

fn unavailable(e: Trouble) -> WatchError {
    WatchError::Unavailable(e.into())
}
