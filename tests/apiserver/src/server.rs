//! The server as tests hold it.

mod admin;
mod control;
mod listen;
mod papers;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use serde_json::json;

use crate::access::User;
use crate::api::Api;
use crate::record::Asked;
use listen::Listening;
use papers::Papers;

/// How a server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// HTTPS, with an authority of its own; HTTP otherwise. Default: HTTPS.
    pub tls: bool,
    /// The port of 127.0.0.1; 0, the default, for one that is free.
    pub port: u16,
    /// Whether those without a token are let in, as `system:anonymous`. Default: no.
    pub anonymous: bool,
    /// How long a new custom kind is not served yet. Default: 50 ms.
    pub establish_after: Duration,
    /// How often a watch that wants bookmarks gets one. Default: 10 s.
    pub bookmarks: Duration,
    /// Whether pods that were deleted go by themselves once their grace has passed; otherwise
    /// they wait for [`ApiServer::end_pod`]. Default: yes.
    pub grace: bool,
    /// Whether a watch from a revision that is forgotten is refused with status 410; otherwise
    /// it begins, and its first event says so, as with the real server. Default: the latter.
    pub gone_by_status: bool,
    /// How long a list waits for a revision that is not there yet. Default: 3 s.
    pub revision_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: true,
            port: 0,
            anonymous: false,
            establish_after: Duration::from_millis(50),
            bookmarks: Duration::from_secs(10),
            grace: true,
            gone_by_status: false,
            revision_wait: Duration::from_secs(3),
        }
    }
}

/// A server. It ends, with all its connections, when this is dropped.
pub struct ApiServer {
    api: Arc<Api>,
    papers: Papers,
    address: SocketAddr,
    tls: bool,
    listening: Mutex<Option<Listening>>,
    admin: String,
}

impl ApiServer {
    /// Starts one.
    ///
    /// # Panics
    /// Where the port is taken.
    pub async fn start(options: Options) -> Self {
        let tls = options.tls;
        let papers = Papers::new();
        let wanted = SocketAddr::from(([127, 0, 0, 1], options.port));
        let api = Api::new(options);
        let listening = Listening::start(wanted, &api, tls.then(|| papers.config())).await;
        let admin = api.tokens.lock().unwrap().mint(User::admin(), None);
        Self {
            address: listening.address,
            listening: Mutex::new(Some(listening)),
            api,
            papers,
            tls,
            admin,
        }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Where it listens, for those who want to come between.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its authority.
    pub fn ca_pem(&self) -> String {
        self.papers.authority.clone()
    }

    /// Makes somebody known who is in groups.
    pub fn add_user(&self, user: User) {
        self.api.tokens.lock().unwrap().declare(user);
    }

    /// A new token of somebody, who may do what roles let them, and no more.
    pub fn token(&self, user: &str) -> String {
        let mut tokens = self.api.tokens.lock().unwrap();
        let user = tokens.person(user);
        tokens.mint(user, None)
    }

    /// A new token of somebody, for some time only.
    pub fn token_for(&self, user: &str, lifetime: Duration) -> String {
        let mut tokens = self.api.tokens.lock().unwrap();
        let user = tokens.person(user);
        tokens.mint(user, Some(lifetime))
    }

    /// The token of one who may do everything.
    pub fn admin_token(&self) -> String {
        self.admin.clone()
    }

    /// A new token of a service account, which need not exist.
    pub fn service_account_token(&self, namespace: &str, name: &str) -> String {
        let account = self.get("serviceaccounts", namespace, name);
        let uid = account.map(|account| crate::object::uid(&account).to_owned());
        let user = User::service_account(namespace, name, &uid.unwrap_or_default());
        self.api.tokens.lock().unwrap().mint(user, None)
    }

    /// Ends a token: who uses it is answered 401 from now on.
    pub fn expire_token(&self, token: &str) {
        self.api.tokens.lock().unwrap().revoke(token);
    }

    /// Ends all tokens of somebody.
    pub fn expire_user(&self, user: &str) {
        self.api.tokens.lock().unwrap().revoke_all(user);
    }

    /// The text of a kubeconfig for somebody, with a new token.
    pub fn kubeconfig(&self, user: &str) -> String {
        self.kubeconfig_with(user, &self.token(user))
    }

    /// The text of a kubeconfig for one who may do everything.
    pub fn admin_kubeconfig(&self) -> String {
        self.kubeconfig_with("admin", &self.admin)
    }

    fn kubeconfig_with(&self, user: &str, token: &str) -> String {
        let mut cluster = json!({"server": self.url()});
        if self.tls {
            let engine = base64::engine::general_purpose::STANDARD;
            let authority = engine.encode(&self.papers.authority);
            cluster["certificate-authority-data"] = authority.into();
        }
        let context = json!({"cluster": "double", "user": user, "namespace": "default"});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "double", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "double", "context": context}],
            "current-context": "double",
        });
        config.to_string()
    }

    /// What was asked over the wire, in the order of the answers.
    pub fn requests(&self) -> Vec<Asked> {
        self.api.record.all()
    }

    /// Forgets what was asked.
    pub fn clear_requests(&self) {
        self.api.record.clear();
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.api.end();
    }
}
