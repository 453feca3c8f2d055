use std::io;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::timeout;

use super::super::code;
use super::*;
use crate::testkit::alone::alone;

#[test]
fn a_child_tells_how_it_ended() {
    alone!(async {
        let ground = Ground::new();
        for (script, wanted) in [
            ("exit 0", 0),
            ("exit 7", 7),
            ("kill -KILL $$", 137),
            ("kill -TERM $$", 143),
        ] {
            let child = ground.spawn(script);
            assert_eq!(code(child.wait().await), wanted, "{script}");
            // As often as it is asked.
            assert_eq!(code(child.wait().await), wanted, "{script}");
            assert_eq!(child.status().map(code), Some(wanted), "{script}");
        }
    });
}

#[test]
fn waiting_can_be_given_up_and_begun_again() {
    alone!(async {
        let ground = Ground::new();
        let child = ground.spawn("while [ ! -e go ]; do sleep 0.01; done; exit 3");
        let early = timeout(Duration::from_millis(20), child.wait()).await;
        assert!(early.is_err());
        assert_eq!(child.status(), None);
        ground.write("go");
        assert_eq!(code(child.wait().await), 3);
        // A signal to who is gone is a signal to nobody.
        child.signal(Signal::KILL);
        child.signal_group(Signal::KILL);
    });
}

#[test]
fn a_child_has_a_group_that_may_outlive_it() {
    alone!(async {
        let ground = Ground::new();
        let child = ground.spawn("sh -c 'echo $$ > pid; exec sleep 600' & exit 4");
        assert_eq!(code(child.wait().await), 4);
        let left = ground.pid("pid").await;
        // Not to the group, which is told nothing.
        child.signal(Signal::KILL);
        assert!(
            timeout(Duration::from_millis(20), child.group_gone())
                .await
                .is_err()
        );
        child.signal_group(Signal::TERM);
        child.group_gone().await;
        assert_eq!(parent(left), None);
        assert_eq!(ground.reaper.remembered(), 0);
    });
}

/// Leaves grandchildren behind, and finds out whether they are adopted and reaped.
async fn leave_orphans() {
    let ground = Ground::new();
    let waits = "while [ ! -e go ]; do sleep 0.01; done; exit 5";
    let child = ground.spawn(&format!(
        "for n in 1 2 3; do sh -c 'echo $$ > pid$0; {waits}' $n & done; \
         while [ ! -s pid1 ] || [ ! -s pid2 ] || [ ! -s pid3 ]; do sleep 0.01; done; exit 0"
    ));
    assert_eq!(code(child.wait().await), 0);
    let me = std::process::id().cast_signed();
    let mut orphans = Vec::new();
    for name in ["pid1", "pid2", "pid3"] {
        let pid = ground.pid(name).await;
        assert_eq!(parent(pid), Some(me), "it was adopted");
        orphans.push(pid);
    }
    drop(child);
    ground.write("go");
    no_child_left().await;
    assert!(orphans.iter().all(|pid| parent(*pid).is_none()));
    assert_eq!(ground.reaper.remembered(), 0);
}

#[test]
fn orphans_are_adopted_and_reaped() {
    alone!(leave_orphans(),);
}

#[test]
fn orphans_are_reaped_by_the_first_process_of_a_container() {
    let (unshare, more) = AS_INIT.split_first().unwrap();
    let possible = Command::new(unshare).args(more).arg("true").output();
    if !possible.is_ok_and(|out| out.status.success()) {
        eprintln!("this machine lets nobody have a space of process ids");
        return;
    }
    alone!(&AS_INIT, async {
        assert_eq!(std::process::id(), 1);
        leave_orphans().await;
    });
}

#[test]
fn a_thousand_exits_leave_nothing() {
    alone!(async {
        let ground = Ground::new();
        let files = open_files();
        for round in 0..20 {
            let batch: Vec<_> = (0..50).map(|_| ground.spawn("exit 9")).collect();
            // Of each second round nobody waits.
            if round % 2 == 0 {
                for child in &batch {
                    assert_eq!(code(child.wait().await), 9);
                }
            }
        }
        eventually(async || ground.reaper.remembered() == 0).await;
        no_child_left().await;
        assert_eq!(open_files(), files);
    });
}

#[test]
fn what_cannot_be_started_disturbs_nobody() {
    alone!(async {
        let ground = Ground::new();
        ground.write("text");
        let text = ground.folder.path().join("text");
        for _ in 0..50 {
            // Its exit comes in while the next ones are tried.
            let child = ground.spawn("exit 6");
            let mut elsewhere = Command::new("true");
            // This makes std fork by itself, and wait for the child that failed.
            elsewhere.env("PATH", "/a8-no-such-folder");
            for (command, wanted) in [
                (Command::new("a8-no-such-program"), io::ErrorKind::NotFound),
                (Command::new(&text), io::ErrorKind::PermissionDenied),
                (elsewhere, io::ErrorKind::NotFound),
            ] {
                let error = ground.reaper.spawn(command).unwrap_err();
                assert_eq!(error.kind(), wanted);
            }
            assert_eq!(code(child.wait().await), 6);
        }
        assert_eq!(ground.reaper.remembered(), 0);
        no_child_left().await;
    });
}

#[test]
fn children_that_nobody_knows_are_reaped_at_the_start() {
    alone!(async {
        // As when another program has made itself the sidecar, by exec.
        #[expect(clippy::zombie_processes, reason = "it is to be found as one")]
        let before = Command::new("true").spawn().unwrap();
        let pid = before.id().cast_signed();
        eventually(async || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.contains(") Z ")
        })
        .await;
        let ground = Ground::new();
        no_child_left().await;
        ground.tasks.finish(DEADLINE).await;
    });
}
