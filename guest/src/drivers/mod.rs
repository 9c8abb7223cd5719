//! Device drivers.

pub(crate) mod balloon;
pub(crate) mod virtio;
