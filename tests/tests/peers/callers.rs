//! curl, in the versions of HTTP that it speaks.

use std::process::Stdio;

use a8_tests::wait::PATIENCE;
use tokio::process::Command;

use crate::papers::Papers;
use crate::setup::{Running, Setup};
use crate::tools;

/// How a caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2, without asking first.
    Two,
}

/// A sidecar to call, and how.
pub(crate) struct Way<'a> {
    pub(crate) sidecar: &'a Running,
    pub(crate) version: Version,
    authority: std::path::PathBuf,
}

/// Both ways in which sidecars are spoken to, in clear and under TLS.
pub(crate) struct Both {
    pub(crate) plain: Running,
    pub(crate) tls: Running,
    papers: Papers,
}

impl Both {
    /// Starts two sidecars that know the same.
    pub(crate) async fn start(setup: &Setup) -> Self {
        let (plain, tls) = tokio::join!(setup.start(), setup.start_tls());
        let papers = setup.papers.clone();
        Self { plain, tls, papers }
    }

    /// All ways to call.
    pub(crate) fn ways(&self) -> impl Iterator<Item = Way<'_>> {
        let sidecars = [&self.plain, &self.tls].into_iter();
        sidecars.flat_map(|sidecar| {
            [Version::One, Version::Two].map(|v| Way::new(sidecar, v, &self.papers))
        })
    }
}

/// What curl got.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 is success; else see curl's manual.
    pub(crate) exit: i32,
    /// The last one; 0 when there was none.
    pub(crate) status: u16,
    /// `1.1` or `2`.
    pub(crate) version: String,
    /// The heads, interim ones included.
    pub(crate) heads: Vec<String>,
    /// The fields after the body.
    pub(crate) trailers: String,
    /// What curl says went wrong.
    pub(crate) complaint: String,
    pub(crate) body: Vec<u8>,
}

impl<'a> Way<'a> {
    pub(crate) fn new(sidecar: &'a Running, version: Version, papers: &Papers) -> Self {
        let authority = papers.authority.clone();
        Self {
            sidecar,
            version,
            authority,
        }
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        let tls = if self.sidecar.tls { " under TLS" } else { "" };
        format!("HTTP/{:?}{tls}", self.version)
    }

    /// `path` at the sidecar.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.sidecar.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.sidecar.port)
    }

    /// curl with what makes it speak this way.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::from(tools::program("curl"));
        let version = match (self.version, self.sidecar.tls) {
            (Version::One, _) => "--http1.1",
            (Version::Two, false) => "--http2-prior-knowledge",
            (Version::Two, true) => "--http2",
        };
        let patience = PATIENCE.as_secs().to_string();
        command.args(["-q", "-sS", version, "--max-time", &patience, "--cacert"]);
        command.arg(&self.authority).kill_on_drop(true);
        command
    }

    /// One request with `more` arguments.
    pub(crate) async fn curl(&self, path: &str, more: &[&str]) -> Answer {
        let folder = tempfile::tempdir().unwrap();
        let (head, body) = (folder.path().join("head"), folder.path().join("body"));
        let mut command = self.command();
        command.arg("-D").arg(&head).arg("-o").arg(&body);
        command.args(["-w", "%{http_code} %{http_version}"]);
        command.args(more).arg(self.url(path));
        let done = command.stdin(Stdio::null()).output().await.unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        let (status, version) = said.split_once(' ').unwrap();
        let text = std::fs::read(&head).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let blocks = text.split("\r\n\r\n").filter(|b| !b.trim().is_empty());
        let (heads, trailers): (Vec<_>, Vec<_>) = blocks
            .map(str::to_owned)
            .partition(|b| b.starts_with("HTTP/"));
        Answer {
            exit: done.status.code().unwrap_or(-1),
            status: status.parse().unwrap(),
            version: version.to_owned(),
            heads,
            trailers: trailers.join("\n"),
            complaint: String::from_utf8_lossy(&done.stderr).into_owned(),
            body: std::fs::read(&body).unwrap_or_default(),
        }
    }

    /// A request that succeeds with `status`, in the version that was asked for.
    pub(crate) async fn expect(&self, status: u16, path: &str, more: &[&str]) -> Answer {
        let answer = self.curl(path, more).await;
        let version = match self.version {
            Version::One => "1.1",
            Version::Two => "2",
        };
        let got = (answer.exit, answer.status, answer.version.as_str());
        let heads = &answer.heads;
        let way = self.name();
        let complaint = &answer.complaint;
        assert_eq!(
            got,
            (0, status, version),
            "{way} {path}: {heads:?} {complaint}"
        );
        answer
    }
}

impl Answer {
    /// The values of a field of the last head.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let head = self.heads.last().map_or("", String::as_str);
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
