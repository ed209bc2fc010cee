//! The event stream: one JSON object a line, in the order in which things happened.
//!
//! Every line has `instruction` (how many had been retired), `cycle` (virtual time) and `event`
//! (its name); what else it has depends on the event.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Map, Value};

/// Where events go.
pub struct EventSink {
    out: Box<dyn Write + Send>,
    error: Option<io::Error>,
}

impl EventSink {
    /// A stream into `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, error: None }
    }

    /// Writes one event, whose name and field names need no escapes. After an error nothing more is written; [`EventSink::finish`] tells.
    pub fn write(&mut self, instruction: u64, cycle: u64, event: &str, fields: Map<String, Value>) {
        if self.error.is_some() {
            return;
        }
        let mut text =
            format!(r#"{{"instruction":{instruction},"cycle":{cycle},"event":"{event}""#);
        for (name, value) in fields {
            text.push_str(&format!(r#","{name}":{value}"#));
        }
        text.push_str("}\n");
        if let Err(error) = self.out.write_all(text.as_bytes()) {
            self.error = Some(error);
        }
    }

    /// Flushes what is buffered.
    ///
    /// # Errors
    /// The first error of the stream.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSink").field("error", &self.error).finish_non_exhaustive()
    }
}
