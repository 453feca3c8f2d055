//! The four ways of saying what is to be different.

pub(crate) mod apply;
mod go;
pub(crate) mod json;
pub(crate) mod merge;
pub(crate) mod strategic;
