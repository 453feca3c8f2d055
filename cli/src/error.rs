//! What can go wrong, said so that the reader knows what to do next.

use std::io;

use reqwest::StatusCode;

use crate::wire::Refusal;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server's address is missing.
    #[error(
        "the {server} URL is not set: give --{flag} or set {variable}, for example {variable}=http://localhost:{port}{or}", or = OR
    )]
    NoUrl {
        /// Which server.
        server: &'static str,
        /// The flag that sets it.
        flag: &'static str,
        /// The variable that sets it.
        variable: &'static str,
        /// The port of the demos, for the example.
        port: u16,
    },
    /// A server's address is no URL.
    #[error(
        "the {server} URL {url:?} is not usable: it must be http://host:port or https://host:port"
    )]
    BadUrl {
        /// Which server.
        server: &'static str,
        /// The refused address.
        url: String,
    },
    /// No answer.
    #[error(
        "no answer from the {server} at {url}: {reason}\nIs it running, and does {variable} name it?"
    )]
    Unreachable {
        /// Which server.
        server: &'static str,
        /// Where it was sought.
        url: String,
        /// What the network said, innermost cause.
        reason: String,
        /// The variable that names it.
        variable: &'static str,
    },
    /// The server said no.
    #[error("the {server} answered {status}: {refusal}{hint}", hint = hint(server, *.status, refusal))]
    Refused {
        /// Which server.
        server: &'static str,
        /// The status of the answer.
        status: StatusCode,
        /// What it said.
        refusal: Refusal,
    },
    /// The answer is not what such a server answers.
    #[error("the {server} at {url} answered something that is not its API: {reason}")]
    Answer {
        /// Which server.
        server: &'static str,
        /// The address asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A listing is not what it should be.
    #[error("the list of {what} is not understood: {reason}")]
    Listing {
        /// Of what.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read.
    #[error("cannot read {name}: {source}")]
    Read {
        /// File name, or "standard input".
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A document has a fault of syntax or shape.
    #[error("{name}: {reason}")]
    Document {
        /// File name, or "standard input".
        name: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A question has nobody to answer it.
    #[error("{0}; add --force to do it without asking")]
    NotConfirmed(&'static str),
    /// There is no way to a cluster.
    #[error("no way to a cluster: {0}; --kubeconfig or KUBECONFIG names a kubeconfig")]
    NoCluster(String),
    /// The API server of the cluster gave no answer, or one of no use.
    #[error("no answer from the cluster's API server: {0}")]
    Silent(String),
    /// The API server does not know who asks.
    #[error("the cluster does not know who you are: {0}")]
    Stranger(String),
    /// The definition of rules is not there.
    #[error("the cluster has no RoutingRules; `a8ctl install --crd-only --apply` installs them")]
    NoDefinition,
    /// A permission is lacking.
    #[error("you may not {0}")]
    Forbidden(String),
    /// The cluster, or the rule engine in its place, said no.
    #[error("{0}")]
    Unfit(Refusal),
    /// A write failed half-way, and not all of it could be undone.
    #[error("{cause}\nOf what was done before, this could not be undone: {left}")]
    Partly {
        /// Which rules, and how they were left.
        left: String,
        /// Why it failed.
        cause: Box<Error>,
    },
    /// What was asked for cannot be done in a cluster.
    #[error("{0}")]
    NotThere(&'static str),
    /// Something did not come to be as it should.
    #[error("{0}")]
    NotReady(String),
    /// The check found something.
    #[error("{0} of the checks failed")]
    CheckFailed(usize),
    /// The HTTP client could not be made.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Write(#[from] io::Error),
}

impl Error {
    /// Whether the reader of our output went away, as `head` does.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Write(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What goes without servers.
const OR: &str = match cfg!(feature = "kubernetes") {
    true => "; or --kubernetes to work on a cluster",
    false => "",
};

fn hint(server: &str, status: StatusCode, refusal: &Refusal) -> String {
    let variable = format!("A8_{}", server.to_uppercase());
    match status {
        StatusCode::UNAUTHORIZED => {
            format!("\nIt wants another token: --{server}-token or {variable}_TOKEN gives it.")
        }
        StatusCode::NOT_FOUND if !refusal.is_of_a_rule() => {
            format!("\nIs it the {server} that {variable}_URL names?")
        }
        StatusCode::PRECONDITION_FAILED => {
            "\nSomebody changed the rules meanwhile: look at them again.".to_owned()
        }
        _ => String::new(),
    }
}
