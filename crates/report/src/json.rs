//! The report as JSON, and the schema of that JSON.

use pagewalk_machine::report::Report;

/// The report as indented JSON with a final newline.
///
/// Fields stand in the order of their declaration and maps in the order of their keys, so equal
/// reports give equal bytes.
pub fn json(report: &Report) -> String {
    with_newline(serde_json::to_string_pretty(report))
}

/// The JSON Schema (draft 2020-12) of what [`json()`] writes.
pub fn schema() -> String {
    with_newline(serde_json::to_string_pretty(&schemars::schema_for!(Report)))
}

/// Serialising to memory fails only on maps whose keys are not strings, and there are none.
pub(crate) fn with_newline(text: serde_json::Result<String>) -> String {
    text.expect("every map of a report has string keys") + "\n"
}
