//! The nouns of the fabric, as types that cannot hold a wrong value.
//!
//! Nothing here does I/O. Every other module of the workspace speaks in these types; text
//! from outside becomes one of them at the edge, with an error that says what is wrong.

mod endpoint;
mod identity;
mod instance;
mod name;
mod revision;
mod tags;

pub use endpoint::{Authority, Endpoint, EndpointError, EndpointType};
pub use identity::Identity;
pub use instance::{HttpVersion, Instance, Metadata, Status, StatusError};
pub use name::{InstanceId, NameError, Namespace, RuleId, ServiceName, Tag};
pub use revision::{Epoch, Revision};
pub use tags::Tags;
