//! The published schema: what `pagelab campaign --schema` prints, and
//! `scripts/experiments/experiment.schema.json`.

use super::file::ExperimentFile;

/// The JSON schema (draft 2020-12) of an experiment file, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(ExperimentFile).into()
}

#[cfg(test)]
mod tests {
    use super::schema;

    #[test]
    fn the_published_file_is_this_schema() {
        let published = include_str!("../../../../scripts/experiments/experiment.schema.json");
        let published: serde_json::Value = serde_json::from_str(published).expect("it is JSON");
        assert_eq!(
            published,
            schema(),
            "renew it: cargo run -- campaign --schema > scripts/experiments/experiment.schema.json"
        );
    }
}
