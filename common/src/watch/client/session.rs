//! One question to one server, and what comes of it: a list, or a stream until it breaks.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{StreamExt, TryStreamExt};
use http::{Method, StatusCode, header};
use reqwest::Response;
use serde_json::value::RawValue;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::Limits;
use super::keeper::{Keeper, Listed, TooMany};
use super::report::Report;
use crate::peer::{self, Peer};
use crate::watch::codec::{self, LineError, Message, Raw};
use crate::watch::{NDJSON, Wire, etag};

/// A line of more bytes than that is not expected to be followed by another such.
const LONG_LINE: usize = 64 << 10;

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// A stream; a list is good as well.
    Watch,
    /// A list.
    List,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    /// The server has told its list. Nothing more will come by itself.
    Listed,
    /// The server does not understand the question; it may understand a plain one.
    Unwatchable,
    /// It went wrong, at once or later.
    Failed(Failure),
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Peer(#[from] peer::Error),
    #[error("the server ended the stream")]
    Ended,
    #[error("the connection broke: {0}")]
    Cut(String),
    #[error("nothing heard for {0:?}")]
    Silent(Duration),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("a line or list of more than {0} bytes")]
    TooLong(usize),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("not a list of {list}: {reason}")]
    List { list: &'static str, reason: String },
    #[error("a stream that does not begin with the whole state")]
    NoReset,
}

impl Failure {
    /// Whether what came was a stream, but of no use.
    pub(super) fn is_of_stream(&self) -> bool {
        match self {
            // Something on the way may hold back even the head until the body is complete.
            Self::Peer(e) => matches!(e, peer::Error::Slow { .. }),
            Self::List { .. } => false,
            Self::Ended | Self::Cut(_) | Self::Silent(_) | Self::Line(_) | Self::TooLong(_) => true,
            Self::TooMany(_) | Self::NoReset => true,
        }
    }

    /// Whether the stream was understood up to where it stopped, so that it can be resumed.
    fn can_go_on(&self) -> bool {
        match self {
            Self::Peer(_) | Self::Ended | Self::Cut(_) | Self::Silent(_) => true,
            Self::Line(_) | Self::TooLong(_) | Self::TooMany(_) => false,
            Self::List { .. } | Self::NoReset => false,
        }
    }
}

pub(super) struct Session<'a, T: Wire> {
    pub(super) peer: &'a Peer,
    pub(super) index: usize,
    pub(super) path: &'static str,
    pub(super) limits: &'a Limits,
    pub(super) keeper: &'a mut Keeper<T>,
    pub(super) report: &'a mut Report,
    /// Whether the server has told us anything.
    pub(super) fruitful: bool,
}

impl<T: Wire> Session<'_, T> {
    pub(super) async fn run(&mut self, ask: Ask) -> End {
        let end = match self.ask(ask).await {
            Ok(reply) => self.hear(ask, reply).await,
            Err(e) => End::Failed(e.into()),
        };
        if let End::Failed(failure) = &end
            && !failure.can_go_on()
        {
            self.keeper.forget_place();
        }
        end
    }

    async fn ask(&self, ask: Ask) -> Result<Response, peer::Error> {
        let mut request = self.peer.request(self.index, Method::GET, self.path);
        request = request.header(header::ACCEPT, format!("{NDJSON}, application/json"));
        if let Some(tag) = self.keeper.tag(self.index) {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        if ask == Ask::Watch {
            request = request.query(&[("watch", "true")]);
            if let Some((epoch, revision)) = self.keeper.place() {
                let place = [
                    ("epoch", epoch.to_string()),
                    ("revision", revision.to_string()),
                ];
                request = request.query(&place);
            }
        }
        self.peer.send(self.index, request, self.limits.reply).await
    }

    async fn hear(&mut self, ask: Ask, reply: Response) -> End {
        let status = reply.status();
        if status == StatusCode::NOT_MODIFIED {
            self.heard();
            return End::Listed;
        }
        if status.is_success() {
            return match is_stream(&reply) {
                true => End::Failed(self.follow(reply).await),
                false => match self.list(reply).await {
                    Ok(()) => End::Listed,
                    Err(failure) => End::Failed(failure),
                },
            };
        }
        if status == StatusCode::GONE && self.keeper.place().is_some() {
            // Some servers say so when they no longer have the changes asked for.
            self.keeper.forget_place();
        } else if ask == Ask::Watch && refuses_the_question(status) {
            return End::Unwatchable;
        }
        End::Failed(self.peer.refusal(self.index, reply).await.into())
    }

    /// Reads lines until the stream breaks.
    async fn follow(&mut self, reply: Response) -> Failure {
        let bytes = reply.bytes_stream().map_err(std::io::Error::other);
        let lines = LinesCodec::new_with_max_length(self.limits.bytes);
        let mut lines = FramedRead::new(StreamReader::new(bytes), lines);
        loop {
            let line = match tokio::time::timeout(self.limits.silence, lines.next()).await {
                Err(_) => return Failure::Silent(self.limits.silence),
                Ok(None) => return Failure::Ended,
                Ok(Some(Err(LinesCodecError::MaxLineLengthExceeded))) => {
                    return Failure::TooLong(self.limits.bytes);
                }
                Ok(Some(Err(LinesCodecError::Io(e)))) => {
                    return Failure::Cut(peer::with_causes(&e));
                }
                Ok(Some(Ok(line))) => line,
            };
            if line.len() > LONG_LINE {
                // The first line is the whole state. What it was gathered in would otherwise
                // be kept for as long as the stream lasts.
                let rest = BytesMut::from(&lines.read_buffer()[..]);
                *lines.read_buffer_mut() = rest;
            }
            if let Err(failure) = self.take(&line) {
                return failure;
            }
            self.heard();
        }
    }

    fn take(&mut self, line: &str) -> Result<(), Failure> {
        let message = codec::read::<T>(line.as_bytes())?;
        if self.keeper.place().is_none() && !matches!(message, Message::Reset { .. }) {
            return Err(Failure::NoReset);
        }
        match message {
            Message::Reset {
                epoch,
                revision,
                items,
            } => {
                self.report.left_out_of_all(&items.unreadable);
                self.keeper.reset(&epoch, revision, items)?;
            }
            Message::Change {
                revision,
                items,
                ids,
            } => {
                self.report.left_out(&items, &ids);
                self.keeper.change(revision, items, &ids)?;
            }
            Message::Bookmark { revision } => self.keeper.bookmark(revision),
        }
        Ok(())
    }

    async fn list(&mut self, reply: Response) -> Result<(), Failure> {
        let tag = reply.headers().get(header::ETAG).cloned();
        let body = peer::read_body(reply, self.limits.bytes);
        let body = match tokio::time::timeout(self.limits.reply, body).await {
            Err(_) => return Err(Failure::Silent(self.limits.reply)),
            Ok(Err(e)) => return Err(Failure::Cut(peer::with_causes(&e.without_url()))),
            Ok(Ok(body)) => body.ok_or(Failure::TooLong(self.limits.bytes))?,
        };
        let list = |reason| Failure::List {
            list: T::LIST,
            reason,
        };
        let wrong = |e: serde_json::Error| list(e.to_string());
        let members: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_slice(&body).map_err(wrong)?;
        let Some(items) = members.get(T::LIST) else {
            return Err(list("it is no member of the answer".to_owned()));
        };
        // The original writes an empty list as null at times.
        let items: Option<Raw<'_>> = serde_json::from_str(items.get()).map_err(wrong)?;
        let items = items.unwrap_or_default().batch();
        let revision = members.get("revision");
        let revision = revision.and_then(|raw| serde_json::from_str(raw.get()).ok());
        self.report.left_out_of_all(&items.unreadable);
        self.keeper.list(Listed {
            index: self.index,
            place: tag.as_ref().and_then(etag::parse),
            tag,
            revision,
            items,
        })?;
        self.heard();
        Ok(())
    }

    fn heard(&mut self) {
        self.fruitful = true;
        self.report.heard(self.peer.url(self.index));
    }
}

fn is_stream(reply: &Response) -> bool {
    let kind = reply.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(NDJSON.as_bytes()))
}

/// Whether a plain question may be answered where this one was not. The original registry
/// answers 400 to a query that it does not know.
fn refuses_the_question(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        )
}
