//! The valid name that a mistyped one is nearest to, for error messages.

/// The candidate most like `word`, if any is like enough to be worth proposing.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const WORTH_PROPOSING: f64 = 0.5;
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(word, candidate),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= WORTH_PROPOSING)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn proposes_what_is_close_and_nothing_else() {
        let names = ["default", "buddy", "slab"];
        assert_eq!(nearest("defualt", names), Some("default"));
        assert_eq!(nearest("budy", names), Some("buddy"));
        assert_eq!(nearest("zzz", names), None);
    }
}
