//! The versions of the API, each a face of the same use cases. None imports another.

pub mod v2008;
pub mod v2010;
