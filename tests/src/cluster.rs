//! A cluster for controllers: an API server with the definition of rules, a namespace, and an
//! account that may do what the documentation says a controller must be allowed.

use std::path::PathBuf;

use a8_apiserver::{ApiServer, Options};

/// The namespace of the rules.
pub const NAMESPACE: &str = "shop";

const ACCOUNT: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: a8controller, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: a8controller, namespace: shop}
rules:
- {apiGroups: [amalgam8.io], resources: [routingrules], verbs: [get, list, watch, create, update, delete]}
- {apiGroups: [amalgam8.io], resources: [routingrules/status], verbs: [patch]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [pods, services], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a8controller, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a8controller}
subjects: [{kind: ServiceAccount, name: a8controller, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: a8controller}
rules:
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [routingrules.amalgam8.io]
  verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: a8controller}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: a8controller}
subjects: [{kind: ServiceAccount, name: a8controller, namespace: shop}]
"#;

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
        api.apply_yaml(ACCOUNT).await;
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
        let token = self.api.service_account_token(NAMESPACE, "a8controller");
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
