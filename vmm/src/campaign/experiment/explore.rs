//! What of the fault space is run.

/// The `[explore]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Explore {
    /// Which fault points.
    pub strategy: Strategy,
    /// Whether fault points of one class are run once, with their number as weight.
    pub prune: bool,
    /// Events that an experiment may take in all; none for four times the golden run's and 10,000.
    pub timeout: Option<u64>,
}

/// Which fault points are run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// All.
    Exhaustive,
    /// As many, drawn by the seed, as shares need that are to be known so well.
    Sample(Precision),
    /// All pairs, or as many of them as a precision needs.
    Pairs(Option<Precision>),
}

/// How well a share is to be known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// Probability that the true share is within the margin, between 0 and 1.
    pub confidence: f64,
    /// Half the width of the interval, between 0 and 1.
    pub margin: f64,
}

impl Default for Explore {
    fn default() -> Self {
        Self {
            strategy: Strategy::Exhaustive,
            prune: false,
            timeout: None,
        }
    }
}
