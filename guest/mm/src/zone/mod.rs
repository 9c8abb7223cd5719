//! Zones: which there are, where they end, and what is kept back in them.

mod config;
mod request;
pub(crate) mod watermark;

pub use config::{ZoneConfig, ZoneLimitError};
pub(crate) use request::{REQUESTS, Request, request_table};

#[cfg(test)]
mod tests;
