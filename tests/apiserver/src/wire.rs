//! HTTP: requests as they are understood, and answers as they are written.

pub(crate) mod accept;
pub(crate) mod reply;
pub(crate) mod request;
