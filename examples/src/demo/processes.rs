//! The processes of a demo: starting them, noticing when one ends, ending all of them.

use std::fs::{self, File};
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::task::Poll;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::Error;

/// How long the processes may take to end when asked.
const GRACE: Duration = Duration::from_secs(3);
/// How much of a log is shown when its process has failed.
const LAST_LINES: usize = 15;

/// The running processes, each in a process group of its own with a log file of its own.
pub(super) struct Processes {
    programs: PathBuf,
    demo: PathBuf,
    folder: TempDir,
    running: Vec<Running>,
}

struct Running {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    child: Child,
}

/// A process that was killed.
pub(super) struct Dead(Running);

impl Processes {
    /// None yet. Their programs are those beside this one.
    pub(super) fn new() -> Result<Self, Error> {
        let failed = |source| Error::Start {
            name: "the demo".to_owned(),
            source,
        };
        let demo = std::env::current_exe().map_err(failed)?;
        let folder = tempfile::Builder::new()
            .prefix("a8-demo-")
            .tempdir()
            .map_err(failed)?;
        Ok(Self {
            programs: demo.parent().map(Path::to_owned).unwrap_or_default(),
            demo,
            folder,
            running: Vec::new(),
        })
    }

    /// How to call `program`, which lies beside this one, from where the demo was started.
    pub(super) fn path_of(&self, program: &str) -> String {
        let path = self.programs.join(program);
        let here = std::env::current_dir().unwrap_or_default();
        let shown = path.strip_prefix(&here).unwrap_or(&path);
        shown.display().to_string()
    }

    /// Writes a file into the folder of this run and gives its path.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).map_err(|source| Error::Start {
            name: name.to_owned(),
            source,
        })?;
        Ok(path)
    }

    /// A folder for the data of a process, which goes with this run.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.data"))
    }

    /// Starts `program` under `name`. Must be called on the main thread: the kernel ends the
    /// process when the *thread* that started it is gone.
    pub(super) fn start(&mut self, name: &str, program: &str, args: &[&str]) -> Result<(), Error> {
        let path = self.programs.join(program);
        if !path.is_file() {
            return Err(Error::NotBuilt(path));
        }
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.launch(name.to_owned(), path, args)
    }

    /// Starts a program of the system, which `path` names, as [`start`](Self::start) does.
    pub(super) fn start_at(&mut self, name: &str, path: &str, args: &[&str]) -> Result<(), Error> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.launch(name.to_owned(), path.into(), args)
    }

    fn launch(&mut self, name: String, program: PathBuf, args: Vec<String>) -> Result<(), Error> {
        match self.spawn(&name, &program, &args) {
            Ok(child) => self.running.push(Running {
                name,
                program,
                args,
                child,
            }),
            Err(source) => return Err(Error::Start { name, source }),
        }
        Ok(())
    }

    /// Ends one of them at once, as a power cut would. What it takes to
    /// [start it again](Self::revive) is returned.
    pub(super) async fn kill(&mut self, name: &str) -> Option<Dead> {
        let at = self
            .running
            .iter()
            .position(|running| running.name == name)?;
        let mut running = self.running.swap_remove(at);
        // Fails only when it has ended already.
        let _ = running.child.kill().await;
        Some(Dead(running))
    }

    /// Starts one again that was killed.
    pub(super) fn revive(&mut self, Dead(dead): Dead) -> Result<(), Error> {
        self.launch(dead.name, dead.program, dead.args)
    }

    fn spawn(&self, name: &str, program: &Path, args: &[String]) -> io::Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_of(name))?;
        Command::new(&self.demo)
            .args(["child", "--parent", &std::process::id().to_string(), "--"])
            .arg(program)
            .args(args)
            // The user's own A8_... settings are meant for other things.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Fails when one of them has ended by now.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        for running in &mut self.running {
            if let Ok(Some(status)) = running.child.try_wait() {
                let name = running.name.clone();
                return Err(self.ended(&name, status));
            }
        }
        Ok(())
    }

    /// Waits until one of them ends, which none should. Cancel-safe.
    pub(super) async fn first_end(&mut self) -> Error {
        let running = &mut self.running;
        let (name, status) = poll_fn(|cx| {
            for running in running.iter_mut() {
                if let Poll::Ready(Ok(status)) = pin!(running.child.wait()).poll(cx) {
                    return Poll::Ready((running.name.clone(), status));
                }
            }
            Poll::Pending
        })
        .await;
        self.ended(&name, status)
    }

    /// The last lines of a log and where the whole is.
    pub(super) fn log_tail(&self, name: &str) -> String {
        let path = self.log_of(name);
        let text = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LAST_LINES);
        let mut tail = format!("\n  the end of its log, {}:", path.display());
        for line in &lines[from..] {
            tail.push_str("\n    ");
            tail.push_str(line);
        }
        tail
    }

    /// Ends all of them: asked first, forced after a grace. What they wrote is kept when
    /// `keep` says so, and removed otherwise.
    pub(super) async fn end(mut self, keep: bool) {
        self.signal(Signal::TERM);
        let all = async {
            for running in &mut self.running {
                // One that cannot be waited for is not there any more.
                let _ = running.child.wait().await;
            }
        };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            self.signal(Signal::KILL);
        }
        if keep {
            let kept = self.folder.keep();
            eprintln!("demo: the logs of this run are in {}", kept.display());
        }
    }

    fn signal(&self, signal: Signal) {
        for running in &self.running {
            let pid = running.child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(group) = pid.and_then(Pid::from_raw) {
                // It may have ended since.
                let _ = kill_process_group(group, signal);
            }
        }
    }

    fn ended(&self, name: &str, status: ExitStatus) -> Error {
        Error::Ended {
            name: name.to_owned(),
            how: status.to_string(),
            log: self.log_tail(name),
        }
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }
}
