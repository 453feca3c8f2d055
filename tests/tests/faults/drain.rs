//! A sidecar that is told to stop.

use a8_tests::caller::{Caller, get};
use a8_tests::wait;
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::bench::Plan;

#[tokio::test]
async fn what_is_in_flight_ends_well_in_either_version_and_nobody_new_is_let_in() {
    let mut bench = Plan::new().await.start().await;
    let (mut one, mut two) = (Caller::one(bench.to), Caller::two(bench.to));
    // Both take longer than it takes to stop listening.
    let path = "/sane/pieces/100";
    let begun = [
        one.begin(get(path)).await.unwrap(),
        two.begin(get(path)).await.unwrap(),
        two.begin(get(path)).await.unwrap(),
    ];
    let to = bench.to;
    let stop = async {
        let running = &bench.running.sidecar;
        wait::until("three requests in flight", || async {
            let clusters = running.admin("/clusters").await;
            let all = clusters["clusters"].as_array().unwrap().iter();
            let flying: u64 = all.map(|c| c["in_flight"].as_u64().unwrap()).sum();
            if flying == 3 {
                Ok(())
            } else {
                Err(clusters.to_string())
            }
        })
        .await;
        running.process.signal(Signal::TERM);
        wait::until("the port to close", || async {
            match TcpStream::connect(to).await {
                Ok(_) => Err("still open".to_owned()),
                Err(_) => Ok(()),
            }
        })
        .await;
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(begun), stop);
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 102_400));
    }
    let code = bench.running.sidecar.process.exit().await.code();
    assert_eq!(code, Some(0));
    // A connection that was told to end is not used for another request, and there is no other.
    for caller in [&mut one, &mut two] {
        assert!(caller.send(get("/sane/x")).await.is_err());
    }
}
