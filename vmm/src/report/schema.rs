//! The published schema of the report: what `pagelab schema` prints, and `vmm/report.schema.json`.

use super::Report;

/// The JSON schema (draft 2020-12) of the document that `--format json` writes.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Report).into()
}

#[cfg(test)]
mod tests {
    use super::schema;

    #[test]
    fn the_published_file_is_this_schema() {
        let published = include_str!("../../report.schema.json");
        let published: serde_json::Value = serde_json::from_str(published).expect("it is JSON");
        assert_eq!(
            published,
            schema(),
            "renew it: cargo run -- schema > vmm/report.schema.json"
        );
    }
}
