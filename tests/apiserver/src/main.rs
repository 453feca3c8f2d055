//! The double by hand: prints a kubeconfig, and serves until it is interrupted.

use a8_apiserver::{ApiServer, Options};

#[tokio::main]
async fn main() {
    let options = Options {
        port: 16_444,
        ..Options::default()
    };
    let api = ApiServer::start(options).await;
    println!("{}", api.admin_kubeconfig());
    let _ = tokio::signal::ctrl_c().await;
}
