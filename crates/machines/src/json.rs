//! Descriptions as JSON.

use serde::Serialize;

use crate::description::Description;
use crate::setup::Setup;

#[derive(Serialize)]
struct Machine<'a> {
    #[serde(flatten)]
    description: &'a Description,
    /// What the simulator makes of it.
    options: Setup,
}

impl<'a> Machine<'a> {
    fn new(description: &'a Description) -> Self {
        Self { description, options: description.setup() }
    }
}

/// One machine as a JSON object, with a final newline.
pub fn json(machine: &Description) -> String {
    text(&Machine::new(machine))
}

/// Machines as a JSON array, with a final newline.
pub fn json_list(machines: &[Description]) -> String {
    text(&machines.iter().map(Machine::new).collect::<Vec<_>>())
}

fn text(value: &impl Serialize) -> String {
    // Keys are strings and numbers are whole: nothing that JSON has not.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
