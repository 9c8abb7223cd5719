//! The guest's policy about huge pages.

use super::ConfigError;
use std::str::FromStr;

/// Which memory of programs may come in huge pages of 2 MiB, by itself (Linux:
/// `transparent_hugepage=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransparentHugepage {
    /// All.
    Always,
    /// What madvise says so of.
    #[default]
    Madvise,
    /// None.
    Never,
}

impl TransparentHugepage {
    const ALL: [Self; 3] = [Self::Always, Self::Madvise, Self::Never];

    /// The name on the command lines of host and guest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Madvise => "madvise",
            Self::Never => "never",
        }
    }
}

impl FromStr for TransparentHugepage {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|it| it.name() == name)
            .ok_or_else(|| {
                ConfigError::unknown("policy about huge pages", name, &Self::ALL.map(Self::name))
            })
    }
}
