//! `a8controller`: see [`a8_controller`].

use std::process::ExitCode;

use a8_common::{run, telemetry};
use a8_controller::{app, config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run::configure(&config::COMPONENT, config::read, |config| {
        telemetry::init(&config.log);
        run::until_stopped(|stop| app::serve(config, stop))
    })
}
