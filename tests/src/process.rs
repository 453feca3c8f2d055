//! One child process: its log, its signals, its end.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;

use crate::wait;

/// A running binary of the workspace. Killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<Vec<String>>>,
}

/// Where cargo put the binary `name`: beside the running test, or where `A8_TEST_BINARIES` says.
///
/// # Panics
/// When it is not there: `cargo test -p a8-tests` alone does not build the other packages.
#[allow(
    clippy::disallowed_methods,
    reason = "said by the Makefile, and no setting of a program"
)]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let beside = test
        .ancestors()
        .find(|f| f.ends_with("deps"))
        .and_then(Path::parent);
    let beside = beside.unwrap_or_else(|| test.parent().unwrap());
    let named = std::env::var_os("A8_TEST_BINARIES").map(PathBuf::from);
    let path = named.as_deref().unwrap_or(beside).join(name);
    assert!(
        path.exists(),
        "{} is not built: run `make test`, or `cargo build --workspace` first",
        path.display()
    );
    path
}

impl Process {
    /// Starts the binary `name`. The environment holds nothing but `env`, so that what the
    /// tester's shell says cannot change a test.
    pub fn start(name: &str, args: &[String], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary(name));
        command.args(args).env_clear().envs(env.iter().copied());
        Self::spawn(name, command)
    }

    /// Starts the binary `name` so that a limit on the size of files, which would end it, is an
    /// error of its writes instead, as a full disk is.
    pub fn start_sheltered(name: &str, args: &[String]) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .env_clear()
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(binary(name))
            .args(args);
        Self::spawn(name, command)
    }

    /// Starts any program, which is called `name` in messages.
    pub fn spawn(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self::spawn_as_it_is(name, command)
    }

    /// The same with standard input and output as the command says.
    pub fn spawn_as_it_is(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let stdout = child.stdout.take().map(collect).unwrap_or_default();
        let stderr = collect(child.stderr.take().unwrap());
        Self {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
        }
    }

    /// Waits for the JSON log line that says `message`, and returns it. Only the latest
    /// process of a restarted server has such a line in its log.
    pub async fn logged(&self, message: &str) -> Value {
        wait::until(&format!("{} to log {message:?}", self.name), || async {
            let lines = self.stderr.lock().unwrap();
            let found = lines
                .iter()
                .filter_map(|l| serde_json::from_str::<Value>(l).ok());
            let mut said = found.filter(|v| v["message"] == message);
            said.next().ok_or_else(|| lines.join("\n"))
        })
        .await
    }

    /// Waits until it listens, and returns at which port.
    pub async fn port(&self) -> String {
        let line = self.logged("listening").await;
        let port = line["address"]
            .as_str()
            .and_then(|at| at.rsplit(':').next());
        port.unwrap_or_else(|| panic!("no address in {line}"))
            .to_owned()
    }

    /// All that was written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().join("\n")
    }

    /// All that was written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().join("\n")
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        self.kilobytes("VmRSS:") * 1024
    }

    /// The most resident memory that it has ever had, in bytes.
    pub fn peak_resident(&self) -> u64 {
        self.kilobytes("VmHWM:") * 1024
    }

    fn kilobytes(&self, member: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(member));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    }

    /// Processor time that it has used, in user space and in the kernel.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name before it is in brackets, and may hold anything.
        let rest = stat.rsplit(") ").next().unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // Linux counts these in hundredths of a second on every architecture.
        Duration::from_millis(ticks * 10)
    }

    /// Bounds the length of any file that it may write; a bound of 0 is a full disk. It has to
    /// be [sheltered](Self::start_sheltered) from the signal for that.
    pub fn bound_files(&self, bytes: Option<u64>) {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap_or_else(|e| panic!("cannot signal {}: {e}", self.name));
    }

    /// Ends it at once, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub async fn exit(&mut self) -> ExitStatus {
        let name = self.name.clone();
        wait::until(&format!("{name} to end"), || {
            let ended = self.child.try_wait().unwrap();
            async move { ended.ok_or_else(|| "still running".to_owned()) }
        })
        .await
    }

    /// Waits for the end of something that has a patience of its own, however long that is.
    pub async fn exit_in_its_time(&mut self) -> ExitStatus {
        loop {
            match self.child.try_wait().unwrap() {
                Some(ended) => return ended,
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// The processes that it has started, and those that these have.
fn descendants(pid: u32) -> Vec<Pid> {
    let of = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let mut found = Vec::new();
    let mut next = vec![i32::try_from(pid).unwrap()];
    while let Some(pid) = next.pop() {
        let children = of(pid).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|c| c.parse().ok()) {
            next.push(child);
            found.extend(Pid::from_raw(child));
        }
    }
    found
}

impl Drop for Process {
    fn drop(&mut self) {
        // Applications of a sidecar outlive it when it is killed.
        let orphans = descendants(self.id());
        self.kill();
        for orphan in orphans {
            let _ = kill_process(orphan, Signal::KILL);
        }
        if thread::panicking() {
            let lines = self.stderr.lock().unwrap();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!(
                "--- the last lines of {}:\n{}\n---",
                self.name,
                tail.join("\n")
            );
        }
    }
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = lines.clone();
    // Ends with the pipe, that is with the process.
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            to.lock().unwrap().push(line);
        }
    });
    lines
}
