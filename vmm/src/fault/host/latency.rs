//! The grammar of `--fault host_latency`: the guest's memory is slow from one event on.

use super::{AT, Written};
use crate::{
    fault::{FaultError, knobs},
    machine::{Handler, LatencyConfig},
};
use std::{fmt, time::Duration};

/// The fault's name.
pub(super) const HOST_LATENCY: &str = "host_latency";

const KNOBS: [&str; 5] = ["delay", "interval", "handler", "nth", "at"];

/// Microseconds that are the longest delay: ten seconds.
const MAX_DELAY: u64 = 10_000_000;

/// Memory that is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencySpec {
    /// How slow, and for how long.
    pub config: LatencyConfig,
    /// Event; none for the end of boot.
    pub at: Option<u64>,
}

impl LatencySpec {
    pub(super) fn read(text: &str) -> Result<Self, FaultError> {
        const DELAY: &str = "microseconds, 0 to 10000000";
        const COUNT: &str = "a number from 1";
        let mut written = Written::read(text, HOST_LATENCY, &KNOBS)?;
        let delay = written.optional("delay", DELAY)?.unwrap_or(0);
        if delay > MAX_DELAY {
            return Err(knobs::bad("delay", &delay.to_string(), DELAY));
        }
        let interval = written.optional("interval", COUNT)?.unwrap_or(1);
        if interval == 0 {
            return Err(knobs::bad("interval", "0", COUNT));
        }
        let handler = match written.take("handler") {
            None | Some("lives") => Handler::Lives,
            Some("dies") => match written.optional("nth", COUNT)?.unwrap_or(1) {
                0 => return Err(knobs::bad("nth", "0", COUNT)),
                nth => Handler::Dies(nth),
            },
            Some(other) => return Err(knobs::bad("handler", other, "lives or dies")),
        };
        let at = written.optional("at", AT)?;
        written.finish()?;
        let delay = Duration::from_micros(delay);
        Ok(Self {
            config: LatencyConfig {
                delay,
                interval,
                handler,
            },
            at,
        })
    }
}

impl fmt::Display for LatencySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LatencyConfig {
            delay,
            interval,
            handler,
        } = self.config;
        write!(f, "{HOST_LATENCY},delay={}", delay.as_micros())?;
        if interval != 1 {
            write!(f, ",interval={interval}")?;
        }
        match handler {
            Handler::Lives => Ok(()),
            Handler::Dies(nth) => write!(f, ",handler=dies,nth={nth}"),
        }
    }
}
