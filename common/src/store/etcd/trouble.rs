//! What etcd's errors mean here.

use std::io;

use tonic::{Code, Status};

use crate::peer::with_causes;
use crate::store::error::{CommitError, RefusedTransaction, Unavailable};

/// Why etcd did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The member asked cannot serve; another may.
    Elsewhere {
        /// What is wrong, for people.
        reason: String,
        /// Whether the request may have reached it all the same.
        sent: bool,
    },
    /// The user, the password or a permission is not good.
    Denied(String),
    /// No room is left.
    Full(String),
    /// The transaction is beyond one of etcd's limits.
    Limit(String),
    /// A lease is not there.
    NoLease,
    /// A lease of that id is there already.
    LeaseExists,
    /// The revision asked for is no longer kept.
    Compacted,
    /// Anything else.
    Other(String),
}

impl Trouble {
    /// A member that did not answer in time.
    pub(super) fn silent(url: &str) -> Self {
        Self::Elsewhere {
            reason: format!("{url} does not answer"),
            sent: true,
        }
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Elsewhere { reason, .. } => reason,
            Self::Denied(text) | Self::Full(text) | Self::Limit(text) | Self::Other(text) => text,
            Self::NoLease => "the lease has ended",
            Self::LeaseExists => "the lease is there already",
            Self::Compacted => "the revision is no longer kept",
        }
    }
}

impl From<etcd_client::Error> for Trouble {
    fn from(e: etcd_client::Error) -> Self {
        use etcd_client::Error;
        match e {
            Error::GRpcStatus(status) => of_status(&status),
            // How the client says that the lease of a new stream has ended.
            Error::LeaseKeepAliveError(text) if text.contains("lease not found") => Self::NoLease,
            Error::TransportError(e) => Self::Elsewhere {
                sent: !never_connected(&e),
                reason: with_causes(&e),
            },
            Error::IoError(e) => Self::Elsewhere {
                reason: e.to_string(),
                sent: true,
            },
            Error::WatchError(reason) | Error::LeaseKeepAliveError(reason) => {
                Self::Elsewhere { reason, sent: true }
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// The texts are etcd's own, which clients are meant to tell errors by (rpctypes/error.go).
fn of_status(status: &Status) -> Trouble {
    let text = status.message();
    let says = |what: &str| text.contains(what);
    match status.code() {
        Code::ResourceExhausted if says("space exceeded") => Trouble::Full(text.to_owned()),
        Code::ResourceExhausted if says("larger than max") => Trouble::Limit(text.to_owned()),
        Code::InvalidArgument if says("too large") || says("too many operations") => {
            Trouble::Limit(text.to_owned())
        }
        Code::NotFound if says("lease not found") => Trouble::NoLease,
        Code::FailedPrecondition if says("lease already exists") => Trouble::LeaseExists,
        Code::OutOfRange if says("compacted") => Trouble::Compacted,
        Code::Unauthenticated | Code::PermissionDenied => Trouble::Denied(text.to_owned()),
        Code::InvalidArgument | Code::FailedPrecondition
            if says("authentication") || says("user name is empty") || says("auth store") =>
        {
            Trouble::Denied(text.to_owned())
        }
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Aborted
        | Code::ResourceExhausted
        | Code::Unknown
        | Code::Internal => Trouble::Elsewhere {
            sent: !never_connected(status),
            reason: with_causes(status),
        },
        _ => Trouble::Other(with_causes(status)),
    }
}

/// Whether no connection came about, so that nothing can have been sent.
fn never_connected(e: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(e);
    while let Some(e) = cause {
        let kind = e.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
            )
        ) {
            return true;
        }
        cause = e.source();
    }
    false
}

impl From<Trouble> for Unavailable {
    fn from(e: Trouble) -> Self {
        match e {
            Trouble::Denied(reason) => {
                Self::because(format!("etcd refuses the user or its password: {reason}"))
            }
            Trouble::Full(reason) => Self::because(format!("etcd is full: {reason}")),
            Trouble::Elsewhere { reason, .. } => Self::because(format!("etcd is away: {reason}")),
            e => Self::because(format!("etcd: {}", e.reason())),
        }
    }
}

impl From<Trouble> for CommitError {
    fn from(e: Trouble) -> Self {
        match e {
            Trouble::Limit(limit) => RefusedTransaction::StoreLimit { limit }.into(),
            e => Self::Unavailable(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_says_is_understood() {
        let of = |code, text: &str| of_status(&Status::new(code, text));
        let full = "etcdserver: mvcc: database space exceeded";
        assert_eq!(
            of(Code::ResourceExhausted, full),
            Trouble::Full(full.into())
        );
        let large = "etcdserver: request is too large";
        assert_eq!(
            of(Code::InvalidArgument, large),
            Trouble::Limit(large.into())
        );
        let larger = "grpc: received message larger than max (2097200 vs. 2097152)";
        assert_eq!(
            of(Code::ResourceExhausted, larger),
            Trouble::Limit(larger.into())
        );
        let lease = "etcdserver: requested lease not found";
        assert_eq!(of(Code::NotFound, lease), Trouble::NoLease);
        let denied = "etcdserver: authentication failed, invalid user ID or password";
        assert_eq!(
            of(Code::InvalidArgument, denied),
            Trouble::Denied(denied.into())
        );
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        assert_eq!(of(Code::OutOfRange, compacted), Trouble::Compacted);
        let busy = "etcdserver: too many requests";
        assert!(matches!(
            of(Code::ResourceExhausted, busy),
            Trouble::Elsewhere { .. }
        ));
    }
}
