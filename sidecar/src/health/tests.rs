use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use a8_common::task::Stop;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::testkit::Origin;
use crate::testkit::alone::alone;

const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    report: watch::Receiver<Report>,
    tasks: Tasks,
}

impl Rig {
    fn start(kinds: Vec<Kind>) -> Self {
        let tasks = Tasks::new(Stop::new());
        let reaper = Reaper::start(&tasks).unwrap();
        let check = |(at, kind): (usize, Kind)| Check {
            name: at.to_string(),
            kind,
            interval: Duration::from_millis(20),
            timeout: Duration::from_secs(2),
        };
        let checks: Vec<_> = kinds.into_iter().enumerate().map(check).collect();
        let report = start(&checks, &reaper, &tasks).unwrap();
        Self { report, tasks }
    }

    async fn becomes(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        let mut report = self.report.clone();
        let found = timeout(PATIENCE, report.wait_for(|report| wanted(report))).await;
        match found {
            Ok(report) => report.unwrap().clone(),
            Err(_) => panic!("{what}: {:?}", self.report.borrow()),
        }
    }
}

fn http(origin: &Origin) -> Kind {
    Kind::Http {
        url: format!("http://{}/health", origin.value()),
        method: Method::GET,
        code: StatusCode::OK,
        ca_cert_file: None,
    }
}

fn shell(script: &str, code: i32) -> Kind {
    Kind::Command {
        program: "/bin/sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        code,
    }
}

/// An origin that answers with the status that is set.
async fn origin(status: Arc<AtomicU16>) -> Origin {
    Origin::new(move |_| {
        let code = StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap();
        async move {
            let mut answer = Response::new(Full::from(Bytes::new()));
            *answer.status_mut() = code;
            answer
        }
    })
    .await
}

#[test]
fn without_checks_it_is_up() {
    alone!(async {
        assert!(Rig::start(Vec::new()).report.borrow().up);
    });
}

#[test]
fn all_checks_must_hold() {
    alone!(async {
        let status = Arc::new(AtomicU16::new(503));
        let origin = origin(status.clone()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let kinds = vec![http(&origin), Kind::Tcp { address }, shell("exit 3", 3)];
        let rig = Rig::start(kinds);
        let told = rig
            .becomes("one fails", |r| r.checks.iter().all(|c| c.up.is_some()))
            .await;
        assert!(!told.up);
        let problem = told.checks[0].problem.clone().unwrap();
        assert!(problem.starts_with("answers 503"), "{problem}");
        assert_eq!(
            (told.checks[1].up, told.checks[2].up),
            (Some(true), Some(true))
        );
        status.store(200, Ordering::Relaxed);
        rig.becomes("all hold", |report| report.up).await;
        drop(listener);
        let told = rig.becomes("a port is closed", |report| !report.up).await;
        assert!(told.checks[1].problem.is_some());
        rig.tasks.finish(PATIENCE).await;
    });
}

#[test]
fn what_a_command_ends_with_counts() {
    alone!(async {
        let rig = Rig::start(vec![
            shell("exit 1", 0),
            shell("kill -9 $$", 0),
            Kind::Command {
                program: "/nowhere/at/all".to_owned(),
                args: Vec::new(),
                code: 0,
            },
        ]);
        let told = rig
            .becomes("all fail", |r| r.checks.iter().all(|c| c.up == Some(false)))
            .await;
        let problems: Vec<_> = told
            .checks
            .iter()
            .map(|c| c.problem.clone().unwrap())
            .collect();
        assert_eq!(problems[0], "ends with 1, not 0");
        assert_eq!(problems[1], "was ended by signal 9");
        assert!(problems[2].starts_with("cannot be run: "), "{problems:?}");
        rig.tasks.finish(PATIENCE).await;
    });
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    alone!(async {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        // The second has a session of its own.
        let children = "sleep 1000 & echo $! >> pids; setsid sleep 1000 & echo $! >> pids; wait";
        let script = format!("cd {}; {children}", folder.path().display());
        let rig = Rig::start(vec![shell(&script, 0)]);
        let told = rig
            .becomes("too late", |r| r.checks[0].up == Some(false))
            .await;
        assert_eq!(
            told.checks[0].problem.as_deref(),
            Some("no answer within 2s")
        );
        let started = std::fs::read_to_string(&pids).unwrap();
        let until = Instant::now() + PATIENCE;
        for child in started.lines().take(2) {
            while std::path::Path::new(&format!("/proc/{child}")).exists() {
                assert!(Instant::now() < until, "{child} is there: {started}");
                sleep(Duration::from_millis(20)).await;
            }
        }
        rig.tasks.finish(PATIENCE).await;
    });
}

#[test]
fn a_peer_that_says_nothing_is_not_waited_for_for_ever() {
    alone!(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let kind = Kind::Http {
            url,
            method: Method::HEAD,
            code: StatusCode::NO_CONTENT,
            ca_cert_file: None,
        };
        let rig = Rig::start(vec![kind]);
        let told = rig
            .becomes("silence", |r| r.checks[0].up == Some(false))
            .await;
        assert_eq!(
            told.checks[0].problem.as_deref(),
            Some("no answer within 2s")
        );
        rig.tasks.finish(PATIENCE).await;
    });
}

#[tokio::test(start_paused = true)]
async fn who_goes_up_and_down_all_the_time_has_to_hold_longer() {
    let mut damper = Damper::default();
    let needed = |damper: &mut Damper| (1..).find(|_| damper.is_up(true)).unwrap();
    assert_eq!(needed(&mut damper), 1);
    for falls in 1..8 {
        assert!(!damper.is_up(false));
        assert!(!damper.is_up(false));
        assert_eq!(needed(&mut damper), falls.min(5), "after {falls}");
    }
    // It is forgiven in time.
    tokio::time::advance(Duration::from_secs(601)).await;
    assert!(!damper.is_up(false));
    assert_eq!(needed(&mut damper), 1);
}
