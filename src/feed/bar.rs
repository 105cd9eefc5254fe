//! How far a feed has come, on standard error; nothing where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// The bar moves every so many records.
const MOVES_EVERY: u64 = 4096;

/// A progress bar.
pub struct Bar(ProgressBar);

impl Bar {
    /// Of a feed whose end is known: after so many steps. `what` is being done to `unit`s.
    pub fn to_an_end(what: &str, unit: &str, steps: u64) -> Bar {
        let bar = ProgressBar::new(steps);
        styled(bar, &format!("{what} {{bar:40}} {{percent:>3}} %  {{msg}} {unit}  {{elapsed}}"))
    }

    /// Of a feed of which nobody knows how long it is.
    pub fn endless(unit: &str) -> Bar {
        styled(ProgressBar::no_length(), &format!("{{spinner}} {{msg}} {unit}  {{elapsed}}"))
    }

    /// Shows now and then how many records there were, and how many steps that is.
    pub fn show(&self, records: u64, steps: impl FnOnce() -> u64) {
        if records.is_multiple_of(MOVES_EVERY) {
            self.0.set_position(steps());
            self.0.set_message(records.to_string());
        }
    }

    /// Takes it away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

fn styled(bar: ProgressBar, template: &str) -> Bar {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Bar(bar)
}
