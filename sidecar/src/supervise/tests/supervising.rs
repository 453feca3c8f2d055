use std::time::Duration;

use a8_common::config::Secret;
use prometheus::Registry;
use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::time::timeout;

use super::super::{Board, Command, Interrupts, OnExit, Supervisor};
use super::*;
use crate::testkit::alone::alone;

/// What says `ready` and then waits for signals. Shells run traps between two commands.
const WAITS: &str = "echo ready > ready; while :; do sleep 0.02; done";

impl Ground {
    /// A script in the folder, to be supervised.
    fn command(&self, script: &str) -> Command {
        let folder = self.folder.path().display();
        let words = ["-c".to_owned(), format!("cd {folder} && {{ {script}\n}}")];
        Command {
            program: "/bin/sh".to_owned(),
            args: words.into(),
            env: vec![],
            on_exit: OnExit::Terminate,
            kill_group: false,
            terminal: false,
        }
    }

    fn supervise(&self, commands: &[Command]) -> Supervisor {
        let board = Board::new(commands, &Registry::new()).unwrap();
        Supervisor::start(commands, &self.reaper, &board, &self.tasks)
    }
}

fn ignored(command: Command) -> Command {
    Command {
        on_exit: OnExit::Ignore,
        ..command
    }
}

fn grouped(command: Command) -> Command {
    Command {
        kill_group: true,
        ..command
    }
}

fn program(name: &str) -> Command {
    Command {
        program: name.to_owned(),
        args: vec![],
        env: vec![],
        on_exit: OnExit::Terminate,
        kill_group: false,
        terminal: false,
    }
}

#[test]
fn the_end_of_one_is_ignored_and_that_of_another_counts() {
    let body = async {
        let ground = Ground::new();
        let supervisor = ground.supervise(&[
            ignored(ground.command("exit 5")),
            ground.command("while [ ! -e go ]; do sleep 0.01; done; exit 9"),
            ground.command("while [ ! -e ever ]; do sleep 0.01; done; exit 8"),
        ]);
        eventually(async || children().len() == 2).await;
        let early = timeout(Duration::from_millis(20), supervisor.ended()).await;
        assert!(early.is_err());
        ground.write("go");
        assert_eq!(supervisor.ended().await, 9);
        // The first code stays.
        assert_eq!(supervisor.stop(Signal::TERM, DEADLINE).await, Some(9));
        no_child_left().await;
    };
    alone!(body);
}

#[test]
fn the_environment_is_inherited_and_changed() {
    let body = async {
        let ground = Ground::new();
        let script = "[ \"$A8_TEST_KEPT$A8_TEST_OTHER$A8_TEST_MORE\" = 'kept n e w=' ] && exit 11";
        let env = [("A8_TEST_OTHER", " n e w"), ("A8_TEST_MORE", "=")];
        let supervisor = ground.supervise(&[Command {
            env: env.map(|(n, v)| (n.to_owned(), Secret::new(v))).into(),
            ..ground.command(script)
        }]);
        assert_eq!(supervisor.ended().await, 11);
    };
    alone!(body);
}

#[test]
fn what_cannot_be_started_ends_the_sidecar_or_is_left_out() {
    let body = async {
        let ground = Ground::new();
        ground.write("text");
        let text = ground.folder.path().join("text").display().to_string();
        let never = ground.command("echo ran > ran");
        for (name, code) in [("a8-no-such-program", 127), (&text, 126)] {
            let supervisor = ground.supervise(&[program(name), never.clone()]);
            assert_eq!(supervisor.ended().await, code, "{name}");
            assert_eq!(supervisor.stop(Signal::TERM, DEADLINE).await, Some(code));
            let others = [ignored(program(name)), ground.command("exit 3")];
            assert_eq!(ground.supervise(&others).ended().await, 3, "{name}");
        }
        assert_eq!(ground.read("ran"), "");
    };
    alone!(body);
}

#[test]
fn signals_of_the_application_are_passed_on() {
    let body = async {
        let ground = Ground::new();
        let names = ["HUP", "USR1", "USR2", "WINCH"];
        let traps = names.map(|name| format!("trap 'echo {name} > {name}' {name};"));
        let supervisor = ground.supervise(&[ground.command(&(traps.concat() + WAITS))]);
        ground.says("ready", "ready").await;
        let signals = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH];
        for (signal, name) in signals.into_iter().zip(names) {
            kill_process(getpid(), signal).unwrap();
            ground.says(name, name).await;
        }
        // Nobody traps this one.
        let code = supervisor.stop(Signal::INT, DEADLINE).await;
        assert_eq!(code, Some(130));
    };
    alone!(body);
}

#[test]
fn a_polite_process_ends_by_its_own_code() {
    let body = async {
        let ground = Ground::new();
        let script = format!("trap 'exit 21' TERM; {WAITS}");
        let supervisor = ground.supervise(&[ground.command(&script)]);
        ground.says("ready", "ready").await;
        assert_eq!(supervisor.stop(Signal::TERM, DEADLINE).await, Some(21));
        no_child_left().await;
    };
    alone!(body);
}

#[test]
fn who_does_not_listen_is_killed_after_the_grace() {
    let body = async {
        let ground = Ground::new();
        let script = format!("trap '' TERM; {WAITS}");
        let supervisor = ground.supervise(&[grouped(ground.command(&script))]);
        ground.says("ready", "ready").await;
        let grace = Duration::from_millis(50);
        assert_eq!(supervisor.stop(Signal::TERM, grace).await, Some(137));
        no_child_left().await;
        assert_eq!(ground.reaper.remembered(), 0);
    };
    alone!(body);
}

/// Leaves a child that does not care about SIGTERM, and says who it is.
const LEAVES: &str =
    "sh -c 'trap \"\" TERM; echo $$ > pid; exec sleep 600' & echo ready > ready; wait";

#[test]
fn a_group_is_ended_as_a_whole_also_without_its_first_process() {
    let body = async {
        let ground = Ground::new();
        let supervisor = ground.supervise(&[grouped(ground.command(LEAVES))]);
        let left = ground.pid("pid").await;
        let grace = Duration::from_millis(50);
        // The first process ends at once, and its code counts, but the grace is waited for.
        assert_eq!(supervisor.stop(Signal::TERM, grace).await, Some(143));
        assert_eq!(parent(left), None);
        no_child_left().await;
    };
    alone!(body);
}

#[test]
fn without_the_group_only_the_process_itself_is_ended() {
    let body = async {
        let ground = Ground::new();
        let supervisor = ground.supervise(&[ground.command(LEAVES)]);
        let left = ground.pid("pid").await;
        assert_eq!(supervisor.stop(Signal::TERM, DEADLINE).await, Some(143));
        eventually(async || children() == [left]).await;
        kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();
        no_child_left().await;
    };
    alone!(body);
}

#[test]
fn nobody_goes_on_without_a_supervisor() {
    let body = async {
        let ground = Ground::new();
        let script = format!("trap '' TERM; {WAITS}");
        let supervisor = ground.supervise(&[grouped(ground.command(&script))]);
        ground.says("ready", "ready").await;
        drop(supervisor);
        no_child_left().await;
        // The tasks have nothing left to do.
        ground.tasks.finish(DEADLINE).await;
    };
    alone!(body);
}

#[test]
fn without_commands_nothing_is_waited_for_and_nothing_taken() {
    let body = async {
        let ground = Ground::new();
        let supervisor = ground.supervise(&[]);
        supervisor.gone().await;
        let early = timeout(Duration::from_millis(20), supervisor.ended()).await;
        assert!(early.is_err());
        assert_eq!(supervisor.stop(Signal::TERM, DEADLINE).await, None);
    };
    alone!(body);
}

#[test]
fn an_interrupt_is_told_from_other_stops() {
    let body = async {
        let mut interrupts = Interrupts::listen().unwrap();
        assert_eq!(interrupts.stopping(), Signal::TERM);
        for signal in [Signal::INT, Signal::QUIT] {
            kill_process(getpid(), signal).unwrap();
            eventually(async || interrupts.stopping() == signal).await;
            assert_eq!(interrupts.stopping(), Signal::TERM);
        }
    };
    alone!(body);
}
