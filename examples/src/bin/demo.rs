//! The one-command demos.

use std::process::ExitCode;
use std::time::Duration;

use a8_common::run;
use a8_examples::demo::{Options, bookinfo, child, ha, helloworld, kubernetes};
use clap::{Parser, Subcommand};

/// Runs the whole fabric on this machine, with something to look at.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    demo: Option<Demo>,
}

#[derive(Subcommand)]
enum Demo {
    /// Two versions of helloworld under load, and a tour of rule changes (the default)
    Helloworld(Helloworld),
    /// A page made by four services, with rules to change under it
    Bookinfo {
        /// Make the documented walk by itself and say for each step whether it is as documented
        #[arg(long)]
        walk: bool,
    },
    /// Helloworld over three etcd, two registries and two controllers, which die in turn
    Ha {
        /// How many seconds a death lasts, and how long there is peace after it
        #[arg(long, value_name = "SECONDS", default_value_t = 4)]
        step: u64,
    },
    /// Bookinfo on the cluster of the current kubeconfig: installed, walked, taken away
    Kubernetes(kubernetes::Options),
    /// Becomes one of the demo's processes
    #[command(hide = true)]
    Child {
        #[arg(long)]
        parent: u32,
        #[arg(last = true, required = true)]
        words: Vec<String>,
    },
}

#[derive(clap::Args)]
struct Helloworld {
    /// Ask for no keys: each step lasts a while, and the demo ends after the last
    #[arg(long)]
    yes: bool,
    /// How many seconds a step lasts when no keys are asked for
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    step: u64,
}

impl Default for Helloworld {
    fn default() -> Self {
        Self {
            yes: false,
            step: 4,
        }
    }
}

fn main() -> ExitCode {
    let Args { options, demo } = Args::parse();
    match demo.unwrap_or_else(|| Demo::Helloworld(Helloworld::default())) {
        Demo::Helloworld(Helloworld { yes, step }) => run::until_stopped(|stop| async move {
            helloworld::run(&options, yes, Duration::from_secs(step), &stop).await
        }),
        Demo::Bookinfo { walk } => {
            run::until_stopped(|stop| async move { bookinfo::run(&options, walk, &stop).await })
        }
        Demo::Ha { step } => run::until_stopped(|stop| async move {
            ha::run(&options, Duration::from_secs(step), &stop).await
        }),
        Demo::Kubernetes(options) => {
            run::until_stopped(|stop| async move { kubernetes::run(&options, &stop).await })
        }
        Demo::Child { parent, words } => {
            let error = child::become_child(parent, &words);
            eprintln!("cannot run {words:?}: {error}");
            ExitCode::FAILURE
        }
    }
}
