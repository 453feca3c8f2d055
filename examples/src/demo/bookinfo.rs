//! The bookinfo demo: a page to look at, and rules to change under it.

use a8_common::task::Stop;

use super::fabric::{Fabric, Instance};
use super::screen::say;
use super::{Error, Options, walk};
use crate::rules;

const PLAIN: &[&str] = &[];
const VERSION: &[&str] = &["--service-version", "{version}"];
const CALLER: &[&str] = &["--service-version", "{version}", "--proxy-url", "{proxy}"];

const INSTANCES: [Instance; 6] = [
    instance("productpage-v1", "productpage", "v1", CALLER),
    instance("details-v1", "details", "v1", VERSION),
    instance("reviews-v1", "reviews", "v1", CALLER),
    instance("reviews-v2", "reviews", "v2", CALLER),
    instance("reviews-v3", "reviews", "v3", CALLER),
    instance("ratings-v1", "ratings", "v1", PLAIN),
];

const fn instance(
    name: &'static str,
    service: &'static str,
    version: &'static str,
    flags: &'static [&'static str],
) -> Instance {
    Instance {
        name,
        service,
        version,
        flags,
    }
}

pub(super) const DEFAULT_ROUTES: [&str; 4] = [
    "bookinfo-default-route-details.yaml",
    "bookinfo-default-route-productpage.yaml",
    "bookinfo-default-route-ratings.yaml",
    "bookinfo-default-route-reviews.yaml",
];

/// Runs the demo: with `by_itself` the documented walk and its verdict, otherwise until stopped.
///
/// # Errors
/// When something does not start, or ends, or the walk finds a fault or is not finished.
pub async fn run(options: &Options, by_itself: bool, stop: &Stop) -> Result<(), Error> {
    say("Amalgam8 demo: bookinfo, with three versions of its reviews service");
    let mut walked = false;
    super::run(options, &INSTANCES, stop, async |fabric| {
        default_routes(&fabric).await?;
        if by_itself {
            walk::run(&fabric).await?;
            walked = true;
            Ok(())
        } else {
            invite(&fabric);
            std::future::pending().await
        }
    })
    .await?;
    match by_itself && !walked {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

/// Sends everything to v1 and waits until it does.
pub(super) async fn default_routes(fabric: &Fabric) -> Result<(), Error> {
    for file in DEFAULT_ROUTES {
        fabric.controller.create(&rules::load(file)?).await?;
    }
    fabric.settled().await
}

fn invite(fabric: &Fabric) {
    let Fabric {
        gateway_url, shell, ..
    } = fabric;
    // The product page comes first, and it is the one that calls reviews.
    let sidecar = fabric.first().map_or("", |productpage| productpage.url());
    say(format_args!(
        "
The page:  {gateway_url}/productpage/productpage

Everybody gets reviews v1, which show no stars. In another terminal:

  {shell}
  a8ctl route-list

  Reviews v2, with black stars, for jason alone; then sign in as jason:
    a8ctl rule-create -f examples/bookinfo-jason-reviews-v2-route-rules.yaml

  Ratings seven seconds late for jason; his page takes six, and has no reviews:
    a8ctl rule-create -f examples/bookinfo-jason-7s-delay.yaml
    a8ctl action-list
    a8ctl rule-delete -f -i bookinfo-jason-7s-delay

  A quarter stays with v1, the others get v3, with red stars:
    a8ctl rule-delete -a -f
    a8ctl rule-create -f examples/bookinfo-reviews-routing.yaml

  Why jason gets which reviews, asked of the sidecar beside the product page:
    export A8_SIDECAR_URL={sidecar}
    a8ctl explain reviews -H Cookie:user=jason

Ctrl-C ends everything."
    ));
}
