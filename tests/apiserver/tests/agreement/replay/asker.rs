//! Whoever asks: a client, the tokens that it has, and the answers that it got.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use http::{HeaderMap, Request as HttpRequest, header};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::answer::{self, Answer};
use super::table::Request;
use super::variables::Variables;
use super::{Failed, NAMESPACE};

/// How often something is asked again that takes a moment.
const TRIES: usize = 300;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks requests, each with the answers to the earlier ones at hand.
pub(super) struct Asker {
    admin: Client,
    /// One that says nothing about who asks.
    bare: Client,
    /// By the name of the service account.
    tokens: BTreeMap<String, String>,
    /// By the name of the request.
    answers: BTreeMap<String, Value>,
}

/// A request as it is sent.
struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    who: &'a str,
    accept: &'a str,
    content_type: &'a str,
    body: String,
}

/// An answer as it came.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Asker {
    pub(super) async fn new(kubeconfig: &str) -> Result<Self, Failed> {
        let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.default_retry = false;
        let admin = Client::try_from(config.clone())?;
        config.auth_info = AuthInfo::default();
        Ok(Self {
            admin,
            bare: Client::try_from(config)?,
            tokens: BTreeMap::new(),
            answers: BTreeMap::new(),
        })
    }

    /// Asks a request of the tables.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Answer, Failed> {
        let mut used = Variables::default();
        let (method, path) = request.ask.split_once(' ').ok_or("no method")?;
        let body = match (&request.body, &request.text, &request.file) {
            (Some(body), None, None) => body.to_string(),
            (None, Some(text), None) => text.clone(),
            (None, None, Some(file)) => {
                let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
                match file.split_once('#') {
                    None => fs::read_to_string(format!("{root}{file}"))?,
                    Some((file, number)) => {
                        let text = fs::read_to_string(format!("{root}{file}"))?;
                        let all: Vec<Value> = serde_saphyr::from_multiple(&text)?;
                        let one = all.get(number.parse::<usize>()?);
                        one.ok_or("no such document")?.to_string()
                    }
                }
            }
            (None, None, None) => String::new(),
            _ => return Err("more than one body".into()),
        };
        let sent = Sent {
            method,
            path: &used.fill(path, &self.answers)?,
            who: &request.who,
            accept: &request.accept,
            content_type: &request.content_type,
            body: used.fill(&body, &self.answers)?,
        };
        if let Some(start) = request
            .body
            .as_ref()
            .and_then(|body| body["metadata"]["generateName"].as_str())
        {
            used.expect_generated(start)?;
        }
        let mut got = self.send_in_time(&sent).await?;
        for _ in 0..TRIES {
            if request.until.is_none_or(|status| status == got.status) {
                break;
            }
            sleep(Duration::from_millis(100)).await;
            got = self.send_in_time(&sent).await?;
        }
        let said = Answer::read(got.status, &got.headers, &got.body, &request.show, &used);
        let document = answer::document(&got.body);
        self.answers.insert(request.name.clone(), document);
        Ok(said)
    }

    /// Reads something, as one who may do everything.
    pub(super) async fn get(&mut self, path: &str) -> Result<Value, Failed> {
        let got = self.send(&plain("GET", path, String::new())).await?;
        Ok(answer::document(&got.body))
    }

    /// Takes objects away, and waits until they are gone.
    pub(super) async fn remove(&mut self, paths: &[&str]) -> Result<(), Failed> {
        for path in paths {
            self.send(&plain("DELETE", path, String::new())).await?;
        }
        for path in paths {
            let mut tries = 0;
            while self.send(&plain("GET", path, String::new())).await?.status != 404 {
                tries += 1;
                if tries > TRIES {
                    return Err(format!("{path} does not go").into());
                }
                sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// Sends a request. One that is not answered in time, or with a watch that does not end, is
    /// told of as if it had the status 0.
    async fn send_in_time(&mut self, sent: &Sent<'_>) -> Result<Got, Failed> {
        let late = |_| {
            Ok(Got {
                status: 0,
                headers: HeaderMap::new(),
                body: String::new(),
            })
        };
        timeout(PATIENCE, self.send(sent))
            .await
            .unwrap_or_else(late)
    }

    async fn send(&mut self, sent: &Sent<'_>) -> Result<Got, Failed> {
        let mut request = HttpRequest::builder()
            .method(sent.method)
            .uri(sent.path)
            .header(header::USER_AGENT, "agreement/1")
            .header(header::ACCEPT, sent.accept);
        if !sent.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, sent.content_type);
        }
        let client = match sent.who {
            "admin" => &self.admin,
            "nobody" => &self.bare,
            who => {
                let token = self.token(who).await?;
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                &self.bare
            }
        };
        let request = request.body(Body::from(sent.body.clone().into_bytes()))?;
        let (head, body) = client.send(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Got {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    async fn token(&mut self, who: &str) -> Result<String, Failed> {
        if who == "stranger" {
            return Ok("wrong".into());
        }
        if let Some(token) = self.tokens.get(who) {
            return Ok(token.clone());
        }
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{who}/token");
        let body = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest"}"#;
        let got = Box::pin(self.send(&plain("POST", &path, body.into()))).await?;
        let document = answer::document(&got.body);
        // Where there is none, all that is asked with it tells.
        let token = document["status"]["token"].as_str().unwrap_or("missing");
        self.tokens.insert(who.to_owned(), token.to_owned());
        Ok(token.to_owned())
    }
}

fn plain<'a>(method: &'a str, path: &'a str, body: String) -> Sent<'a> {
    Sent {
        method,
        path,
        who: "admin",
        accept: "application/json",
        content_type: "application/json",
        body,
    }
}
