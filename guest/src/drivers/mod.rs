//! Device drivers.

pub(crate) mod balloon;
pub(crate) mod block;
pub(crate) mod virtio;
