//! A long run: the real servers and a real gateway under mixed load, while instances come,
//! leave and die, rules change several times a second, and callers break off. At its end no
//! request may have failed for another reason than those that were injected, everything that
//! was opened must be closed again, and memory must have stopped growing.
//!
//! What counts as injected:
//!
//! | of | injected is |
//! |---|---|
//! | `steady`, `calls`: instances that leave in good order | nothing |
//! | `mortal`, GET of a small answer, by a rule with retries | nothing, although instances die |
//! | `mortal`, POST and answers that come in pieces | what fails while an instance is dead and not yet taken away |
//! | `wire`: connections over a TCP port | the same |
//! | `faulty`: an instance that always fails | every failure, if it is told as one |
//! | callers that break off | their own requests, which nobody asks about |

mod churn;
mod faulty;
mod ground;
mod loads;
mod report;
mod rules;
mod streams;
mod usage;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::fabric::{Fabric, Sidecar};
use crate::{server, wait};
use faulty::Faulty;
use ground::Ground;
pub use report::Report;
use usage::Watched;

/// How long, and how closely.
pub struct Plan {
    /// How long there is load.
    pub lasts: Duration,
    /// The time from one sample of memory to the next.
    pub every: Duration,
    /// How many changes there are before the load, so that the bounded history of changes
    /// that servers keep is full and no longer grows; with 0, memory is not judged.
    pub changes_before: u32,
}

/// Runs a soak and judges it; `tell` is given a line now and then.
pub async fn run(plan: &Plan, mut tell: impl FnMut(&str)) -> Report {
    let fabric = Fabric::start().await;
    let proxy = "worker_threads: 2\n  access_log: /dev/null";
    let (gateway, wire) = fabric.gateway_to("wire", proxy).await;
    let ids = [
        ("a8registry", fabric.registry.process.id()),
        ("a8controller", fabric.controller.process.id()),
        ("a8sidecar", gateway.process.id()),
    ];
    let mut watched = ids.map(|(name, id)| Watched::new(name, id));
    tell("a first short round, after which the processes have all that they need once");
    let first = Ground::new(&gateway, wire);
    round(
        &fabric,
        &gateway,
        &first,
        Duration::from_secs(3),
        async |_| {},
    )
    .await;
    let before = join_all(watched.iter().map(|p| p.rest(None))).await;
    if plan.changes_before > 0 {
        tell("filling the histories of changes");
        churn::fill(&fabric, plan.changes_before).await;
        rules::fill(&fabric, plan.changes_before).await;
    }
    let ground = Ground::new(&gateway, wire);
    let begin = Instant::now();
    round(&fabric, &gateway, &ground, plan.lasts, async |going| {
        while going.load(Ordering::Relaxed) {
            for process in &mut watched {
                process.sample();
            }
            tell(&report::progress(begin.elapsed(), &ground, &watched));
            tokio::time::sleep(plan.every).await;
        }
    })
    .await;
    let mut faults = left_over(&fabric, &gateway).await;
    for (process, before) in watched.iter_mut().zip(before) {
        let after = process.rest(Some(before)).await;
        faults.extend(process.judge(before, after, plan.changes_before > 0));
    }
    faults.extend(first.tally.failures());
    faults.extend(ground.tally.failures());
    Report::new(begin.elapsed(), &ground, &watched, faults)
}

/// Builds everything up, has load and churn for a while, and takes everything down.
async fn round(
    fabric: &Fabric,
    gateway: &Sidecar,
    ground: &Ground,
    lasts: Duration,
    meanwhile: impl AsyncFnOnce(&std::sync::atomic::AtomicBool),
) {
    let mut troops = churn::troops(fabric).await;
    let faulty = Faulty::start(fabric).await;
    rules::create(fabric).await;
    fabric.settled(&[gateway], churn::size(&troops) + 1).await;
    let stop = async {
        tokio::time::sleep(lasts).await;
        ground.going.store(false, Ordering::Relaxed);
    };
    let churns = join_all(troops.iter_mut().map(|t| t.churn(fabric, gateway, ground)));
    tokio::join!(
        stop,
        loads::all(ground),
        streams::all(ground),
        churns,
        churn::renew(fabric, &ground.going),
        rules::churn(fabric, gateway, ground),
        meanwhile(&ground.going),
    );
    fabric.controller.delete("/v1/rules").await.expect(200);
    faulty.leave(fabric).await;
    join_all(troops.into_iter().map(|t| t.leave(fabric, gateway))).await;
    fabric.settled(&[gateway], 0).await;
}

/// What the processes say that is still there although nothing is.
async fn left_over(fabric: &Fabric, gateway: &Sidecar) -> Vec<String> {
    let idle = [
        "a8_caller_connections",
        "a8_upstream_connections",
        "a8_tcp_connections",
        "a8_ejected_instances",
    ];
    let (registry, controller) = (["a8_instances"], ["a8_controller_rules"]);
    let mut faults = Vec::new();
    for (url, names) in [
        (&gateway.admin, &idle[..]),
        (&fabric.registry.url, &registry),
        (&fabric.controller.url, &controller),
    ] {
        for name in names {
            if let Err(fault) = wait::whether(|| server::is_zero(url, name)).await {
                faults.push(format!("{fault} at {url} although all is over"));
            }
        }
    }
    faults
}
