//! `a8sidecar`: see [`a8_sidecar`].

use std::process::ExitCode;

use a8_common::{run, telemetry};
use a8_sidecar::{app, config};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run::configure(&config::COMPONENT, config::Config::read, |config| {
        let log = telemetry::init(&config.log);
        // The control side has little to do; requests are served by threads of their own.
        let mut runtime = Builder::new_current_thread();
        run::until_stopped_on(&mut runtime, |stop| app::serve(config, log, stop))
    })
}
