//! Bringing images to the nodes. How that is done depends on what the cluster is made of.

use std::process::Stdio;

use tokio::process::Command;

use super::super::Error;
use super::super::screen::say;
use super::manifests;

/// How the images come to the nodes.
pub(super) struct Images<'a> {
    pub(super) context: &'a str,
    pub(super) prefix: Option<&'a str>,
    pub(super) command: Option<&'a str>,
    pub(super) present: bool,
}

impl Images<'_> {
    /// Brings all of them, one after the other.
    pub(super) async fn load(&self) -> Result<(), Error> {
        if self.present || self.prefix.is_some() {
            return Ok(());
        }
        let Some(words) = self.words()? else {
            return Ok(());
        };
        say("Bringing the images to the cluster");
        for image in manifests::images() {
            run(&words, &image).await?;
        }
        Ok(())
    }

    /// The command, to which the image's name is added. `None` where nodes have what the
    /// engine of this machine has.
    fn words(&self) -> Result<Option<Vec<String>>, Error> {
        let own =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        if let Some(command) = self.command {
            return Ok(Some(own(command)));
        }
        let context = self.context;
        if let Some(name) = context.strip_prefix("kind-") {
            return Ok(Some(own(&format!("kind load docker-image --name {name}"))));
        }
        if let Some(name) = context.strip_prefix("k3d-") {
            return Ok(Some(own(&format!("k3d image import --cluster {name}"))));
        }
        if context == "minikube" {
            return Ok(Some(own("minikube image load")));
        }
        match ["docker-desktop", "orbstack", "rancher-desktop", "colima"].contains(&context) {
            true => Ok(None),
            false => Err(Error::Images(context.to_owned())),
        }
    }
}

async fn run(words: &[String], image: &str) -> Result<(), Error> {
    let Some((program, flags)) = words.split_first() else {
        return Ok(());
    };
    let failed = |why: String| Error::Control {
        what: format!("{} {image}", words.join(" ")),
        why,
    };
    let mut command = Command::new(program);
    command
        .args(flags)
        .arg(image)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.map_err(|e| failed(e.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
    }
}
