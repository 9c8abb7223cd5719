//! A shorter workload.

use super::{MinimizeError, search::Search};

impl Search<'_> {
    /// Fewer statements of a shell's script, which stands behind `-c`.
    pub(super) fn statements(&mut self) -> Result<(), MinimizeError> {
        let words = self.best().words();
        let flag = words.iter().position(|word| word == "-c");
        let Some((at, script)) = flag.and_then(|flag| Some((flag + 1, words.get(flag + 1)?)))
        else {
            return Ok(());
        };
        let mut statements = statements(script);
        let mut index = 0;
        while statements.len() > 1 && index < statements.len() {
            let mut fewer = statements.clone();
            let left_out = fewer.remove(index);
            let mut variant = self.best().clone();
            let mut command = variant.words();
            command[at] = fewer.join("; ");
            let what = format!("without the statement '{left_out}'");
            if variant.set_words(command) && self.accept(variant, &what)? {
                statements = fewer;
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// Fewer of a program's arguments, beginning with the last one.
    pub(super) fn arguments(&mut self) -> Result<(), MinimizeError> {
        for index in (1..self.best().words().len()).rev() {
            let mut command = self.best().words();
            let left_out = command.remove(index);
            let mut variant = self.best().clone();
            let what = format!("without the argument '{left_out}'");
            if variant.set_words(command) {
                self.accept(variant, &what)?;
            }
        }
        Ok(())
    }
}

/// The statements of a script. Of one that is no plain list the parts make no sense to the shell, and fail
/// in another way.
fn statements(script: &str) -> Vec<String> {
    let parts = script.split([';', '\n']).map(str::trim);
    let some = parts.filter(|part| !part.is_empty());
    some.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_a_list_of_statements() {
        assert_eq!(
            statements("cat a | wc; sync\n\n ls;"),
            ["cat a | wc", "sync", "ls"]
        );
    }
}
