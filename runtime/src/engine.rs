//! The one engine profile that both sides share. A setting that changes compiled code is set
//! here, explicitly, and nowhere else.

use crate::Error;

/// What compiled code must match to load.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Compatibility {
    /// A target triple, `pulley32` or `pulley64`.
    pub target: String,
    /// Hex of the hash over the engine's version and all settings that compiled code depends on.
    pub hash: String,
}

impl Compatibility {
    #[cfg(feature = "run")]
    pub(crate) fn of_this_host() -> Result<Self, Error> {
        Ok(Self {
            target: String::new(),
            hash: String::new(),
        })
    }
}
