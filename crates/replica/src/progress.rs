//! What somebody at a terminal sees while a base is made.

use std::time::Duration;

use backfence_ratings::Step;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr; nothing where that is no terminal.
pub(crate) struct Progress(ProgressBar);

/// A base that is made sooner than this needs no bar.
const AT_ONCE: Duration = Duration::from_millis(300);

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        let template = "{msg} {wide_bar} {bytes} of {total_bytes}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(crate) fn show(&self, step: Step) {
        match step {
            Step::Waiting => self
                .0
                .set_message("waiting for another replica to read the data"),
            Step::Read(..) if self.0.elapsed() < AT_ONCE => {}
            Step::Read(read, all) => {
                self.0.set_length(all);
                self.0.set_message("reading the data");
                self.0.set_position(read);
            }
            Step::Writing => self.0.set_message("keeping the data"),
        }
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
