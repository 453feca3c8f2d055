//! The bookinfo demo on a cluster: the one that the kubeconfig names, in a namespace of its own.
//!
//! | module | owns |
//! |---|---|
//! | [`images`] | bringing the images to where the cluster finds them |
//! | [`manifests`] | what is applied, and where |
//! | [`home`] | the namespace: made, filled, waited for, taken away |
//! | [`pages`] | the walk's requests and rules, by way of the API server |

mod home;
mod images;
mod manifests;
mod pages;

use std::time::Instant;

use a8_common::kubernetes::{Cluster, Named, api_reason};
use a8_common::run::chain;
use a8_common::task::Stop;

use super::screen::say;
use super::{Error, walk};
use home::Home;
use images::Images;
use pages::Pages;

/// The first version whose sidecars start before the application and end after it, and whose pods
/// can serve on for a moment when they are to end.
const OLDEST: u32 = 30;

/// What the demo does.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Only look whether there is a cluster that would do
    #[arg(long)]
    only_look: bool,
    /// Do not ask before anything is changed
    #[arg(long)]
    yes: bool,
    /// Leave everything running in the end
    #[arg(long)]
    keep: bool,
    /// The namespace to make
    #[arg(long, default_value = "a8-demo")]
    namespace: String,
    /// Put before the names of images, with its slash; images must be there already
    #[arg(long, value_name = "REGISTRY/")]
    image_prefix: Option<String>,
    /// Runs with the name of each image as its last word, to bring it to the nodes
    #[arg(long, value_name = "COMMAND")]
    load_command: Option<String>,
    /// The nodes have the images already
    #[arg(long)]
    images_present: bool,
}

/// Installs bookinfo, walks, and takes everything away again.
///
/// # Errors
/// When there is no cluster, something does not start, or the walk finds a fault.
pub async fn run(options: &Options, stop: &Stop) -> Result<(), Error> {
    let outcome = stop.race(prepare(options)).await;
    let prepared = match outcome {
        None => return Ok(()),
        Some(Err(error)) => {
            eprintln!("demo: {}", chain(&error));
            return Err(error);
        }
        Some(Ok(None)) => return Ok(()),
        Some(Ok(Some(prepared))) => prepared,
    };
    let home = Home::new(
        prepared,
        &options.namespace,
        options.image_prefix.as_deref(),
    );
    let whole = async {
        home.make().await?;
        home.fill().await?;
        let pages = Pages::new(&home);
        pages.default_routes().await?;
        walk::run(&pages).await?;
        pages.say_how_soon();
        Ok(())
    };
    let outcome = stop.race(whole).await;
    if let Some(Err(error)) = &outcome {
        eprintln!("\ndemo: {}", chain(error));
    }
    match options.keep && matches!(outcome, Some(Ok(()))) {
        true => home.invite(),
        false => {
            say("\nTaking everything away; Ctrl-C again leaves the rest to you");
            home.remove().await?;
        }
    }
    outcome.unwrap_or(Err(Error::Interrupted))
}

/// Looks at the cluster, asks, and brings the images. `None` when that was all.
async fn prepare(options: &Options) -> Result<Option<Cluster>, Error> {
    let cluster = Cluster::named(&Named {
        namespace: Some(options.namespace.clone()),
        ..Named::default()
    })
    .await;
    let cluster = cluster.map_err(|e| Error::NoCluster(chain(&e)))?;
    let version = cluster.client.apiserver_version().await;
    let version = version.map_err(|e| Error::NoCluster(api_reason(&e)))?;
    let minor = version.minor.trim_end_matches('+').parse().unwrap_or(0);
    if minor < OLDEST {
        let why = format!(
            "it is {}.{minor}, and 1.{OLDEST} or later is needed",
            version.major
        );
        return Err(Error::NoCluster(why));
    }
    let context = home::context();
    say(format_args!(
        "Amalgam8 demo: bookinfo on Kubernetes {}.{minor}, context {context}, in a new namespace {}",
        version.major, options.namespace
    ));
    if options.only_look {
        return Ok(None);
    }
    if !options.yes && !home::agreed().await? {
        return Ok(None);
    }
    let images = Images {
        context: &context,
        prefix: options.image_prefix.as_deref(),
        command: options.load_command.as_deref(),
        present: options.images_present,
    };
    let began = Instant::now();
    images.load().await?;
    if began.elapsed().as_secs() > 0 {
        say(format_args!(
            "images are there after {} s",
            began.elapsed().as_secs()
        ));
    }
    Ok(Some(cluster))
}
