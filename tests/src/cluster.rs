//! A cluster for controllers: an API server with the definition of rules, a namespace, and the
//! account that the manifests have for a controller.

use std::path::PathBuf;

use a8_apiserver::{ApiServer, Options};

/// The namespace of the rules.
pub const NAMESPACE: &str = "shop";

const RBAC: &str = include_str!("../../kubernetes/rbac.yaml");

/// The account of controllers in the manifest.
pub const ACCOUNT: &str = "a8-controller";

/// The manifest of permissions, for our namespace.
fn permissions() -> String {
    let there = |document: &str| {
        let document = document.replace("namespace: default", "namespace: shop");
        match document.contains("kind: Cluster") {
            true => document,
            false => document.replacen("metadata:\n", "metadata:\n  namespace: shop\n", 1),
        }
    };
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n".to_owned();
    let documents = RBAC.split("---\n").map(there);
    [namespace]
        .into_iter()
        .chain(documents)
        .collect::<Vec<_>>()
        .join("---\n")
}

/// A cluster. It ends with this.
pub struct Cluster {
    /// The API server.
    pub api: ApiServer,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// One in which rules can be made.
    pub async fn start() -> Self {
        let cluster = Self::without_definition().await;
        cluster.install().await;
        cluster
    }

    /// One that does not know what a rule is.
    pub async fn without_definition() -> Self {
        let api = ApiServer::start(Options::default()).await;
        api.apply_yaml(&permissions()).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), api.ca_pem()).unwrap();
        Self { api, folder }
    }

    /// Installs the definition.
    pub async fn install(&self) {
        let definition = include_str!("../../kubernetes/crd.yaml");
        self.api.apply_yaml(definition).await;
    }

    /// What a controller is to be started with.
    pub fn args(&self) -> Vec<String> {
        let token = self.api.service_account_token(NAMESPACE, ACCOUNT);
        let authority: PathBuf = self.folder.path().join("ca.crt");
        vec![
            "--database_type=kubernetes".to_owned(),
            format!("--database_namespace={NAMESPACE}"),
            format!("--kubernetes_url={}", self.api.url()),
            format!("--kubernetes_ca_cert_file={}", authority.display()),
            format!("--kubernetes_token={token}"),
        ]
    }
}
