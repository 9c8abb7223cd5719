//! The `slab_debug` option of the command line
//! ([`pagelab_abi::platform::CMDLINE_SLAB_DEBUG`]).

use core::{error::Error, fmt};
use pagelab_abi::slab::CacheFlags;

/// A letter that stands for no debugging aid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLetter(pub char);

impl fmt::Display for UnknownLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "slab_debug: unknown letter {:?}: use F (sanity checks), Z (red zones), P (poison) \
             and U (user tracking), or - for none",
            self.0
        )
    }
}

impl Error for UnknownLetter {}

/// Reads the option's value: letters in either case, none for all of them, `-` for none of them
/// (Linux mm/slub.c, `parse_slub_debug_flags`).
///
/// # Errors
/// The first letter that means nothing.
pub fn parse_slab_debug(value: &str) -> Result<CacheFlags, UnknownLetter> {
    if value.is_empty() {
        return Ok(CacheFlags::DEBUG);
    }
    if value == "-" {
        return Ok(CacheFlags::empty());
    }
    value
        .chars()
        .map(|letter| match letter.to_ascii_uppercase() {
            'F' => Ok(CacheFlags::CONSISTENCY_CHECKS),
            'Z' => Ok(CacheFlags::RED_ZONE),
            'P' => Ok(CacheFlags::POISON),
            'U' => Ok(CacheFlags::STORE_USER),
            _ => Err(UnknownLetter(letter)),
        })
        .try_fold(CacheFlags::empty(), |flags, flag| Ok(flags | flag?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_linux() {
        assert_eq!(parse_slab_debug("FZPU"), Ok(CacheFlags::DEBUG));
        assert_eq!(parse_slab_debug(""), Ok(CacheFlags::DEBUG));
        assert_eq!(parse_slab_debug("-"), Ok(CacheFlags::empty()));
        let red_and_poison = CacheFlags::RED_ZONE | CacheFlags::POISON;
        assert_eq!(parse_slab_debug("zP"), Ok(red_and_poison));
        let error = parse_slab_debug("FX").unwrap_err();
        assert!(error.to_string().contains("unknown letter 'X': use F"));
    }
}
