//! Calls of the controller, the registry and sidecars.

use std::io::Write;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::args::Servers;
use crate::error::Error;
use crate::wire::Refusal;

/// Long enough for a large rule file over a slow link.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One server's API.
pub(crate) struct Client {
    server: &'static str,
    variable: &'static str,
    base: Url,
    token: Option<String>,
    http: reqwest::Client,
    debug: bool,
}

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: Vec<(&'static str, &'a str)>,
    pub(crate) body: Option<&'a RawValue>,
    pub(crate) if_revision: Option<u64>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
            if_revision: None,
        }
    }
}

impl Client {
    pub(crate) fn controller(servers: &Servers) -> Result<Self, Error> {
        let missing = Error::NoUrl {
            server: "controller",
            flag: "controller-url",
            variable: "A8_CONTROLLER_URL",
            port: 31200,
        };
        let url = servers
            .controller_url
            .as_deref()
            .filter(|u| !u.is_empty())
            .ok_or(missing)?;
        Self::new(
            "controller",
            "A8_CONTROLLER_URL",
            url,
            &servers.controller_token,
            servers.debug,
        )
    }

    pub(crate) fn registry(servers: &Servers) -> Result<Self, Error> {
        let missing = Error::NoUrl {
            server: "registry",
            flag: "registry-url",
            variable: "A8_REGISTRY_URL",
            port: 31300,
        };
        let url = servers
            .registry_url
            .as_deref()
            .filter(|u| !u.is_empty())
            .ok_or(missing)?;
        Self::new(
            "registry",
            "A8_REGISTRY_URL",
            url,
            &servers.registry_token,
            servers.debug,
        )
    }

    /// The admin port of a sidecar, which wants no token.
    pub(crate) fn sidecar(url: &str, debug: bool) -> Result<Self, Error> {
        Self::new("sidecar", "A8_SIDECAR_URL", url, &None, debug)
    }

    fn new(
        server: &'static str,
        variable: &'static str,
        url: &str,
        token: &Option<String>,
        debug: bool,
    ) -> Result<Self, Error> {
        let base = Url::parse(url)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
            .ok_or_else(|| Error::BadUrl {
                server,
                url: url.to_owned(),
            })?;
        // An error only says that a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .user_agent(concat!("a8ctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Tls(innermost(&e)))?;
        let token = token.clone().filter(|t| !t.is_empty());
        Ok(Self {
            server,
            variable,
            base,
            token,
            http,
            debug,
        })
    }

    /// Makes `call` and reads the answer's JSON; an empty answer reads as `null`.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`] or [`Error::Answer`].
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        notes: &mut dyn Write,
    ) -> Result<T, Error> {
        let mut url = self.base.clone();
        url.set_path(&format!(
            "{}{}",
            self.base.path().trim_end_matches('/'),
            call.path
        ));
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.http.request(call.method.clone(), url.clone());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(revision) = call.if_revision {
            request = request.header(header::IF_MATCH, format!("\"{revision}\""));
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        if self.debug {
            writeln!(notes, "> {} {url}", call.method)?;
            if let Some(body) = call.body {
                writeln!(notes, "> {body}")?;
            }
        }
        let unreachable = |e: reqwest::Error| Error::Unreachable {
            server: self.server,
            url: self.base.to_string(),
            reason: innermost(&e),
            variable: self.variable,
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        if self.debug {
            writeln!(notes, "< {status}\n< {text}")?;
        }
        self.read(status, &url, &text)
    }

    fn read<T: DeserializeOwned>(
        &self,
        status: StatusCode,
        url: &Url,
        text: &str,
    ) -> Result<T, Error> {
        let server = self.server;
        if !status.is_success() {
            let refusal = serde_json::from_str(text).unwrap_or_else(|_| Refusal::text(text));
            return Err(Error::Refused {
                server,
                status,
                refusal,
            });
        }
        let json = if text.trim().is_empty() { "null" } else { text };
        serde_json::from_str(json).map_err(|e| Error::Answer {
            server,
            url: url.to_string(),
            reason: e.to_string(),
        })
    }
}

/// The cause at the bottom says what happened; the layers above only that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
