//! A registry or a controller under test, and calls of its API.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::process::Process;
use crate::wait;
use crate::watch::Watch;

/// A server on a port of its own.
pub struct Server {
    binary: &'static str,
    args: Vec<String>,
    /// The process, for signals and logs.
    pub process: Process,
    /// `http://127.0.0.1:port`
    pub url: String,
    http: reqwest::Client,
}

impl Server {
    /// Starts `a8registry` and waits until it is ready.
    pub async fn registry(args: &[&str]) -> Self {
        Self::start("a8registry", args).await
    }

    /// Starts `a8controller` and waits until it is ready.
    pub async fn controller(args: &[&str]) -> Self {
        Self::start("a8controller", args).await
    }

    /// Starts `binary` by [`Process::start_sheltered`] and waits until it is ready.
    pub async fn sheltered(binary: &'static str, args: &[&str]) -> Self {
        Self::start_by(Process::start_sheltered, binary, args).await
    }

    async fn start(binary: &'static str, args: &[&str]) -> Self {
        Self::start_by(plainly, binary, args).await
    }

    async fn start_by(start: Start, binary: &'static str, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let (process, address) = launch(start, binary, &args, "0").await;
        let http = client();
        let server = Self {
            binary,
            args,
            process,
            url: format!("http://{address}"),
            http,
        };
        server.ready().await;
        server
    }

    /// It listens before it has read its store, and answers 503 meanwhile.
    async fn ready(&self) {
        wait::until(&format!("{} to be ready", self.binary), || async {
            let reply = self.get("/ready").await;
            match reply.status.as_u16() {
                200 => Ok(()),
                _ => Err(format!("{reply:?}")),
            }
        })
        .await;
    }

    /// Kills it and starts it again on the same port with the same arguments.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.resume().await;
    }

    /// Starts it again, after [`Process::kill`], on the same port.
    pub async fn resume(&mut self) {
        let port = self.url.rsplit(':').next().unwrap().to_owned();
        self.process = launch(plainly, self.binary, &self.args, &port).await.0;
        self.ready().await;
    }

    /// A call to be filled in and sent.
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call(self.http.request(method, format!("{}{path}", self.url)))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path).send().await
    }

    /// POST of a JSON document.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path).json(body).send().await
    }

    /// PUT of a JSON document.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::PUT, path).json(body).send().await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path).send().await
    }

    /// Opens a watch.
    pub async fn watch(&self, path: &str) -> Watch {
        Watch::open(&self.http, &format!("{}{path}", self.url), None).await
    }

    /// Opens a watch with a token.
    pub async fn watch_as(&self, path: &str, token: &str) -> Watch {
        Watch::open(&self.http, &format!("{}{path}", self.url), Some(token)).await
    }
}

type Start = fn(&str, &[String]) -> Process;

fn plainly(binary: &str, args: &[String]) -> Process {
    Process::start(binary, args, &[])
}

async fn launch(start: Start, binary: &str, args: &[String], port: &str) -> (Process, String) {
    let mut all = vec![format!("--api_port={port}"), "--log_format=json".to_owned()];
    all.extend_from_slice(args);
    let process = start(binary, &all);
    let address = format!("127.0.0.1:{}", process.port().await);
    (process, address)
}

/// An HTTP client that goes straight to where it is told.
pub fn client() -> reqwest::Client {
    // An error only says that another test of this process was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // What is not used for a moment is let go, so that what a process holds open is its own.
    let idle = Duration::from_secs(1);
    let client = reqwest::Client::builder().pool_idle_timeout(idle);
    client.no_proxy().build().unwrap()
}

/// Whether no series of a metric of the process at `url` is above zero.
///
/// # Errors
/// The first that is.
pub async fn is_zero(url: &str, metric: &str) -> Result<(), String> {
    let answer = client().get(format!("{url}/metrics")).send().await;
    let text = answer.unwrap().text().await.unwrap();
    let of_it = |line: &&str| {
        let rest = line.strip_prefix(metric);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    let above = text
        .lines()
        .filter(of_it)
        .find(|line| !line.ends_with(" 0"));
    above.map_or(Ok(()), |line| Err(line.to_owned()))
}

/// A call being filled in.
pub struct Call(reqwest::RequestBuilder);

impl Call {
    /// With a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// With a bearer token.
    pub fn token(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// With a JSON document.
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// With a body as it stands, said to be nothing.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    /// With a body as it stands, said to be JSON.
    pub fn raw(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", "application/json").body(body))
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Reply {
        let answer = self
            .0
            .send()
            .await
            .unwrap_or_else(|e| panic!("no answer: {e:?}"));
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer
            .text()
            .await
            .unwrap_or_else(|e| panic!("a cut answer: {e:?}"));
        Reply {
            status,
            headers,
            text,
        }
    }

    /// Sends it to a server that may be away.
    pub async fn try_send(self) -> Option<Reply> {
        let answer = self.0.send().await.ok()?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Some(Reply {
            status,
            headers,
            text: answer.text().await.ok()?,
        })
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// Fails the test unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Fails the test unless the status is `status` and the body is JSON whose text names
    /// `member`.
    #[track_caller]
    pub fn refused(self, status: u16, member: &str) -> Self {
        let reply = self.expect(status);
        assert!(
            reply.json()["error"].is_string(),
            "no error member: {reply:?}"
        );
        assert!(
            reply.text.contains(member),
            "{member:?} is not named: {reply:?}"
        );
        reply
    }

    /// A header as text.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.to_str().unwrap()
    }
}
