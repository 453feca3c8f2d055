//! What the tests of the double share.

use std::fmt::Debug;

use a8_apiserver::{ApiServer, Options};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

/// A double, and a client that may do everything.
pub(crate) async fn double() -> (ApiServer, Client) {
    double_with(Options::default()).await
}

/// The same, with other options.
pub(crate) async fn double_with(options: Options) -> (ApiServer, Client) {
    let api = ApiServer::start(options).await;
    let client = client(&api.admin_kubeconfig()).await;
    (api, client)
}

/// A client for a kubeconfig.
pub(crate) async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// The status that something was refused with.
pub(crate) fn refusal<T: Debug>(result: Result<T, kube::Error>) -> kube::core::Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("not refused: {other:?}"),
    }
}

/// The reason that something was refused for.
pub(crate) fn reason<T: Debug>(result: Result<T, kube::Error>) -> String {
    refusal(result).reason
}

/// The fields that something was refused for.
pub(crate) fn fields<T: Debug>(result: Result<T, kube::Error>) -> Vec<String> {
    let status = refusal(result);
    let causes = status
        .details
        .map(|details| details.causes)
        .unwrap_or_default();
    causes.into_iter().map(|cause| cause.field).collect()
}

/// A ConfigMap with one member, `k`.
pub(crate) fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": value}})).unwrap()
}

/// The bytes of a certificate in PEM.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    use base64::Engine;
    let text: String = pem
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}
