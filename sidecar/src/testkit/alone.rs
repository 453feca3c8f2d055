//! Tests that have a process of their own: children are a whole process's, and so are its open
//! files. Such a process is the test binary again.

use std::process::{Command, Stdio};

use super::DEADLINE;

/// Runs what follows as the only thing that a process does, for the test that it stands in.
/// The process may be started by another program.
macro_rules! alone {
    ($body:expr $(,)?) => {
        alone!(&[], $body)
    };
    ($wrapper:expr, $body:expr $(,)?) => {{
        fn here() {}
        $crate::testkit::alone::run_alone($wrapper, std::any::type_name_of_val(&here), $body)
    }};
}

pub(crate) use alone;

/// A name that no test has: who is called with it is alone.
const ALONE: &str = "a test that has a process of its own";

/// Runs `body` in a process that `wrapper` starts; `here` is the path of an item of the test.
pub(crate) fn run_alone(wrapper: &[&str], here: &str, body: impl Future<Output = ()>) {
    if std::env::args().any(|arg| arg == ALONE) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(async { tokio::time::timeout(2 * DEADLINE, body).await.unwrap() });
    }
    let folder = tempfile::tempdir().unwrap();
    // Not a pipe, which would be waited for until the last child of a child has ended.
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let (_, path) = here.split_once("::").unwrap();
    let (test, _) = path.rsplit_once("::").unwrap();
    let me = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(std::ffi::OsStr::new);
    let mut command = match words.next() {
        None => Command::new(&me),
        Some(wrapper) => {
            let mut command = Command::new(wrapper);
            command.args(words).arg(&me);
            command
        }
    };
    let status = command
        .args([test, ALONE, "--exact", "--nocapture"])
        .env("A8_TEST_KEPT", "kept")
        .env("A8_TEST_OTHER", "old")
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .status()
        .unwrap();
    let said = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(status.success() && said.contains("1 passed"), "{said}");
}
