//! The load that is HTTP.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use http::{HeaderValue, Method};

use super::ground::{Ground, Kind};
use crate::caller::{Caller, get, request};

/// The pause of a caller between two requests: the load is steady, not as much as there can be.
const PAUSE: Duration = Duration::from_millis(8);
/// So many streams go over one connection at a time.
const STREAMS: usize = 8;
/// Every so often a request has the field that rules of their own look for.
const MARKED: u64 = 10;
/// Every so often a caller begins anew with a new connection.
const RENEWED: u64 = 200;

/// All of it, until it is to end.
pub(super) async fn all(ground: &Ground) {
    let mut all: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
    for _ in 0..4 {
        all.push(steady(ground, Kind::Get).boxed_local());
        all.push(mortal(ground, Kind::MortalGet).boxed_local());
    }
    for _ in 0..2 {
        all.push(steady(ground, Kind::Post).boxed_local());
        all.push(mortal(ground, Kind::MortalPost).boxed_local());
        all.push(mortal(ground, Kind::MortalPieces).boxed_local());
        all.push(pieces(ground).boxed_local());
        all.push(streams(ground).boxed_local());
        all.push(calls(ground).boxed_local());
    }
    all.push(faulty(ground).boxed_local());
    join_all(all).await;
}

/// Lets a caller go now and then.
fn renew(caller: &mut Caller, count: &mut u64) {
    *count += 1;
    if count.is_multiple_of(RENEWED) {
        caller.close();
    }
}

async fn steady(ground: &Ground, kind: Kind) {
    let (mut caller, mut count) = (Caller::one(ground.http), 0);
    let body = vec![7; 20_000];
    ground
        .keep(kind, PAUSE, async || {
            renew(&mut caller, &mut count);
            let from = Instant::now();
            let mut request = match kind {
                Kind::Post => request(Method::POST, "/steady/echo", body.clone()),
                _ => get("/steady/small"),
            };
            let marked = count.is_multiple_of(MARKED);
            if marked {
                let on = HeaderValue::from_static("on");
                request.headers_mut().insert("x-soak", on);
            }
            let answer = caller.send(request).await?;
            if kind == Kind::Post && answer.status == 200 && answer.body != body {
                return Err("wrong: another body than was sent".to_owned());
            }
            match marked {
                true => Ground::is_of(&answer, "steady"),
                false => ground.is_due(&answer, from),
            }
        })
        .await;
}

async fn mortal(ground: &Ground, kind: Kind) {
    let (mut caller, mut count) = (Caller::one(ground.http), 0);
    ground
        .keep(kind, PAUSE, async || {
            renew(&mut caller, &mut count);
            let answer = caller.send(match kind {
                Kind::MortalPost => request(Method::POST, "/mortal/echo", vec![7; 20_000]),
                Kind::MortalPieces => get("/mortal/pieces/10"),
                _ => get("/mortal/small"),
            });
            Ground::is_of(&answer.await?, "mortal")
        })
        .await;
}

async fn pieces(ground: &Ground) {
    let mut caller = Caller::one(ground.http);
    ground
        .keep(Kind::Pieces, PAUSE, async || {
            let from = Instant::now();
            let answer = caller.send(get("/steady/pieces/20")).await?;
            ground.is_due(&answer, from)?;
            match answer.body.len() {
                20_480 => Ok(()),
                n => Err(format!("{n} of 20480 bytes")),
            }
        })
        .await;
}

/// Many at a time over one connection.
async fn streams(ground: &Ground) {
    let (mut caller, mut count) = (Caller::two(ground.http), 0);
    ground
        .keep(Kind::Streams, PAUSE, async || {
            renew(&mut caller, &mut count);
            let from = Instant::now();
            let mut begun = Vec::new();
            for _ in 0..STREAMS {
                begun.push(caller.begin(get("/steady/small")).await?);
            }
            for answer in join_all(begun).await {
                ground.is_due(&answer?, from)?;
            }
            Ok(())
        })
        .await;
}

/// A call as gRPC makes it: HTTP/2 all the way, and the outcome behind the body.
async fn calls(ground: &Ground) {
    let (mut caller, mut count) = (Caller::two(ground.http), 0);
    ground
        .keep(Kind::Calls, PAUSE, async || {
            renew(&mut caller, &mut count);
            let mut call = request(Method::POST, "/calls/echo", vec![7; 2_000]);
            let fields = call.headers_mut();
            fields.insert("content-type", HeaderValue::from_static("application/grpc"));
            fields.insert("te", HeaderValue::from_static("trailers"));
            let answer = caller.send(call).await?;
            Ground::is_of(&answer, "calls")?;
            match answer.trailers.get("grpc-status") {
                Some(status) if status == "0" && answer.body.len() == 2_000 => Ok(()),
                _ => Err(format!("not whole: {:?}", answer.trailers)),
            }
        })
        .await;
}

/// What fails is told as a failure, in time, and takes nothing else along.
async fn faulty(ground: &Ground) {
    let mut caller = Caller::one(ground.http);
    ground
        .keep(Kind::Faulty, PAUSE, async || {
            match caller.send(get("/faulty/x")).await {
                Ok(answer) if [502, 504].contains(&answer.status.as_u16()) => {}
                Err(told) if told.starts_with("broken off after 200") => {}
                other => return Err(format!("{other:?}")),
            }
            Ok(())
        })
        .await;
}
