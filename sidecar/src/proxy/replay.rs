//! A request body that may have to be sent again: what was read is kept, up to a bound.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::body::Progress;

/// A body with more bytes than this is not sent a second time.
const MAX_KEPT: usize = 64 * 1024;

enum Kept {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

struct Shared {
    body: Incoming,
    kept: Vec<Kept>,
    bytes: usize,
    too_large: bool,
    failed: bool,
    /// Whether the end was read.
    ended: bool,
}

/// One attempt's way through a body. [`again`](Replay::again) makes the next one's.
pub(super) struct Replay {
    shared: Rc<RefCell<Shared>>,
    at: usize,
}

impl Replay {
    /// The first attempt's way.
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            shared: Rc::new(RefCell::new(Shared {
                body,
                kept: Vec::new(),
                bytes: 0,
                too_large: false,
                failed: false,
                ended: false,
            })),
            at: 0,
        }
    }

    /// A way from the beginning; `None` when the beginning is no longer kept.
    pub(super) fn again(&self) -> Option<Self> {
        let shared = self.shared.borrow();
        (!shared.too_large && !shared.failed).then(|| Self {
            shared: self.shared.clone(),
            at: 0,
        })
    }

    /// The next piece. Only what comes from the caller counts as progress: a caller that has
    /// said all gains no time by our saying it again.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        progress: &Progress,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut shared = self.shared.borrow_mut();
        if let Some(kept) = shared.kept.get(self.at) {
            self.at += 1;
            return Poll::Ready(Some(Ok(match kept {
                Kept::Data(data) => Frame::data(data.clone()),
                Kept::Trailers(trailers) => Frame::trailers(trailers.clone()),
            })));
        }
        if shared.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut shared.body).poll_frame(cx));
        progress.set(Instant::now());
        match &frame {
            Some(Ok(frame)) if !shared.too_large => {
                if let Some(data) = frame.data_ref() {
                    shared.bytes += data.len();
                    if shared.bytes > MAX_KEPT {
                        shared.too_large = true;
                        shared.kept = Vec::new();
                    } else {
                        shared.kept.push(Kept::Data(data.clone()));
                        self.at += 1;
                    }
                } else if let Some(trailers) = frame.trailers_ref() {
                    shared.kept.push(Kept::Trailers(trailers.clone()));
                    self.at += 1;
                }
            }
            Some(Err(_)) => shared.failed = true,
            Some(Ok(_)) => {}
            None => shared.ended = true,
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let shared = self.shared.borrow();
        self.at >= shared.kept.len() && shared.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let shared = self.shared.borrow();
        let to_come: usize = shared.kept[self.at.min(shared.kept.len())..]
            .iter()
            .map(|kept| match kept {
                Kept::Data(data) => data.len(),
                Kept::Trailers(_) => 0,
            })
            .sum();
        match shared.body.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + to_come as u64),
            None => SizeHint::new(),
        }
    }
}
