//! Connections that change their protocol after the head, such as WebSockets: from then on
//! bytes are passed on both ways as they come.

use std::rc::Rc;
use std::time::Instant;

use http::{HeaderValue, Response, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::attempt::Answer;
use super::body::ReplyBody;
use super::converse::Watched;
use super::record::Record;
use super::relay::{Ahead, End, IDLE_TIMEOUT, Moved, Pair};
use super::transport::Transport;
use super::upstream::Open;
use super::worker::Worker;
use super::{headers, translate};

/// Passes on an instance's agreement to change the protocol, and whatever follows. The
/// record is finished when both sides have ended.
pub(super) fn switch(
    worker: &Rc<Worker>,
    caller: OnUpgrade,
    answer: Answer,
    mut record: Record,
) -> Response<ReplyBody> {
    let (mut head, _) = answer.response.into_parts();
    let protocol = translate::upgrade(&head.headers).cloned();
    record.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
    record.upgrade();
    headers::drop_hop_by_hop(&mut head.headers);
    let protocol = protocol.unwrap_or(HeaderValue::from_static("unknown"));
    translate::upgrade_to(&mut head.headers, protocol);
    head.version = Version::HTTP_11;
    let instance = head.extensions.remove::<OnUpgrade>();
    head.extensions.clear();
    let open = Open::new(answer.held.in_flight.0.clone());
    let tunnel = Tunnel::new(record);
    let on = worker.clone();
    worker.drive(async move {
        let _held = (answer.held, open);
        tunnel.carry(&on, caller, instance).await;
    });
    Response::from_parts(head, ReplyBody::Local(None))
}

/// A connection that has changed its protocol. One that is dropped before its end was cut off
/// by our own.
struct Tunnel {
    record: Option<Record>,
    moved: Moved,
}

impl Tunnel {
    fn new(record: Record) -> Self {
        Self {
            record: Some(record),
            moved: Moved::default(),
        }
    }

    async fn carry(mut self, worker: &Worker, caller: OnUpgrade, instance: Option<OnUpgrade>) {
        let (caller, instance) = match both(caller, instance).await {
            Ok(both) => both,
            Err(end) => return self.tell(Some(end)),
        };
        let mut pair = Pair::new(caller, instance);
        let end = pair
            .relay(&worker.scratch, &self.moved, IDLE_TIMEOUT, |_, _| {})
            .await;
        self.tell(Some(end));
    }

    fn tell(&mut self, end: Option<End>) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        if let Some(flag) = end.and_then(End::flag) {
            record.flag(flag);
        }
        record.stream(&self.moved, end);
        record.finish(Instant::now());
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.tell(None);
    }
}

type Caller = Ahead<TokioIo<Watched>>;
type Instance = Ahead<Transport>;

/// The streams of both sides, once HTTP has let go of them.
async fn both(caller: OnUpgrade, instance: Option<OnUpgrade>) -> Result<(Caller, Instance), End> {
    let instance = instance.ok_or(End::ResetByInstance)?;
    let caller = async {
        let Parts { io, read_buf, .. } =
            freed::<Watched>(caller).await.ok_or(End::ResetByCaller)?;
        Ok(Ahead::new(read_buf, TokioIo::new(io)))
    };
    let instance = async {
        let Parts { io, read_buf, .. } = freed::<TokioIo<Transport>>(instance)
            .await
            .ok_or(End::ResetByInstance)?;
        Ok(Ahead::new(read_buf, io.into_inner()))
    };
    tokio::try_join!(caller, instance)
}

/// The stream of one side, if it gets as far as that. It is what its connection was made with.
async fn freed<T: hyper::rt::Read + hyper::rt::Write + Unpin + 'static>(
    side: OnUpgrade,
) -> Option<Parts<T>> {
    let upgraded = side
        .await
        .inspect_err(|e| debug!(error = %e, "a connection did not change its protocol"));
    upgraded.ok().map(Upgraded::downcast)?.ok()
}
