//! Who may do what.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};

use crate::kit::{self, config_map, double};

const ROLES: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules:
- {apiGroups: [''], resources: [configmaps], verbs: [get, list, watch]}
- {apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [one]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
subjects:
- {kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}
- {kind: ServiceAccount, name: robot, namespace: default}
roleRef: {kind: Role, name: reader, apiGroup: rbac.authorization.k8s.io}
";

#[tokio::test]
async fn roles_decide() {
    let (api, _) = double().await;
    api.apply_yaml(ROLES).await;
    let client = kit::client(&api.kubeconfig("alice")).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    maps.list(&ListParams::default()).await.unwrap();
    let refused = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await;
    assert_eq!(
        kit::refusal(refused).message,
        "configmaps is forbidden: User \"alice\" cannot create resource \"configmaps\" in API \
         group \"\" in the namespace \"default\""
    );
    let everywhere: Api<ConfigMap> = Api::all(client.clone());
    let refused = everywhere.list(&ListParams::default()).await;
    assert_eq!(
        kit::refusal(refused).message,
        "configmaps is forbidden: User \"alice\" cannot list resource \"configmaps\" in API \
         group \"\" at the cluster scope"
    );
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    assert_eq!(kit::reason(secrets.get("one").await), "NotFound");
    assert_eq!(kit::reason(secrets.get("two").await), "Forbidden");
    assert_eq!(
        kit::reason(secrets.list(&ListParams::default()).await),
        "Forbidden"
    );
    let pods: Api<Pod> = Api::namespaced(client, "default");
    assert_eq!(
        kit::refusal(pods.get("p").await).message,
        "pods \"p\" is forbidden: User \"alice\" cannot get resource \"pods\" in API group \"\" \
         in the namespace \"default\""
    );

    let asked = api.requests();
    let last = asked.last().unwrap();
    assert!(last.is("get", "pods"));
    assert_eq!((last.user.as_str(), last.status), ("alice", 403));
}

#[tokio::test]
async fn tokens_end() {
    let (api, _) = double().await;
    api.apply_yaml(ROLES).await;
    let token = api.service_account_token("default", "robot");
    let mut config = kube::Config::new(api.url().parse().unwrap());
    config.root_cert = Some(vec![kit::der(&api.ca_pem())]);
    config.auth_info.token = Some(token.clone().into());
    let client = kube::Client::try_from(config).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    maps.list(&ListParams::default()).await.unwrap();
    api.expire_token(&token);
    assert_eq!(
        kit::refusal(maps.list(&ListParams::default()).await).code,
        401
    );
}
