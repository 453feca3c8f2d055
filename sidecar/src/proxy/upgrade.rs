//! Connections that change their protocol after the head, such as WebSockets: from then on
//! bytes are passed on both ways as they come.

use std::rc::Rc;
use std::time::Instant;

use http::{HeaderValue, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

use super::attempt::Answer;
use super::body::ReplyBody;
use super::record::Record;
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
    headers::drop_hop_by_hop(&mut head.headers);
    let protocol = protocol.unwrap_or(HeaderValue::from_static("unknown"));
    translate::upgrade_to(&mut head.headers, protocol);
    head.version = Version::HTTP_11;
    let instance = head.extensions.remove::<OnUpgrade>();
    head.extensions.clear();
    let open = Open::new(answer.held.in_flight.0.clone());
    worker.drive(async move {
        let _held = (answer.held, open);
        if let Some(instance) = instance
            && let Err(e) = tunnel(caller, instance).await
        {
            debug!(error = %e, "an upgraded connection ended");
        }
        record.finish(Instant::now());
    });
    Response::from_parts(head, ReplyBody::Local(None))
}

async fn tunnel(
    caller: OnUpgrade,
    instance: OnUpgrade,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (caller, instance) = tokio::try_join!(caller, instance)?;
    copy_bidirectional(&mut TokioIo::new(caller), &mut TokioIo::new(instance)).await?;
    Ok(())
}
