//! `a8registry`: see [`a8_registry`].

use std::process::ExitCode;

use a8_common::{run, telemetry};
use a8_registry::{app, config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run::configure(&config::COMPONENT, config::Config::read, |config| {
        telemetry::init(&config.host.log);
        run::until_stopped(|stop| app::serve(config, stop))
    })
}
