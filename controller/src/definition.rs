//! x
pub(crate) fn start(_: &a8_common::kubernetes::Cluster, _: &a8_common::host::Site<'_>) {}
