//! What a program prints, as it prints it.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use anyhow::Context as _;

/// Most lines kept in memory; before a further one the oldest goes. The file has
/// them all.
const KEPT: usize = 20_000;
/// How many lines an error shows.
const TAIL: usize = 20;

/// One stream of a program, copied to a file and watched line by line.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    file: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    /// The program has closed the stream: it has ended.
    closed: bool,
}

impl Capture {
    /// Reads the stream in a thread of its own until it is closed.
    pub(crate) fn start(stream: impl Read + Send + 'static, file: &Path) -> anyhow::Result<Self> {
        let capture = Self {
            file: file.to_owned(),
            shared: Arc::default(),
        };
        let copy =
            File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        let shared = Arc::clone(&capture.shared);
        thread::spawn(move || copy_lines(stream, copy, &shared));
        Ok(capture)
    }

    /// Waits for a line that `wanted` makes something of, among those kept and
    /// those to come. `None` at the deadline, or when the stream ends without one.
    pub(crate) fn wait_for<T>(
        &self,
        deadline: Instant,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let mut lines = self.lines();
        loop {
            if let Some(found) = lines.kept.iter().find_map(|line| wanted(line)) {
                return Some(found);
            }
            if lines.closed {
                return None;
            }
            lines = self.wait(lines, deadline)?;
        }
    }

    /// Waits until the stream is closed. False at the deadline.
    pub(crate) fn wait_until_closed(&self, deadline: Instant) -> bool {
        let mut lines = self.lines();
        while !lines.closed {
            match self.wait(lines, deadline) {
                Some(again) => lines = again,
                None => return false,
            }
        }
        true
    }

    /// All lines kept so far.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines();
        lines.kept.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// The last lines, for an error message.
    pub(crate) fn tail(&self) -> String {
        let lines = self.lines();
        let skipped = lines.kept.len().saturating_sub(TAIL);
        let mut tail = format!("--- the end of {}\n", self.file.display());
        for line in lines.kept.iter().skip(skipped) {
            tail.push_str(line);
            tail.push('\n');
        }
        tail
    }

    fn wait<'a>(
        &self,
        lines: MutexGuard<'a, Lines>,
        deadline: Instant,
    ) -> Option<MutexGuard<'a, Lines>> {
        let left = deadline.checked_duration_since(Instant::now())?;
        let woken = self.shared.changed.wait_timeout(lines, left);
        Some(woken.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.shared.lock()
    }
}

impl Shared {
    /// A line is added whole or not at all, so a poisoned lock is fine.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy_lines(stream: impl Read, mut copy: File, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut bytes) {
        // A full disk costs the copy, not the test.
        let _ = copy.write_all(&bytes);
        let line = String::from_utf8_lossy(&bytes);
        let mut lines = shared.lock();
        if lines.kept.len() == KEPT {
            lines.kept.pop_front();
        }
        lines
            .kept
            .push_back(line.trim_end_matches(['\r', '\n']).to_owned());
        shared.changed.notify_all();
        bytes.clear();
    }
    shared.lock().closed = true;
    shared.changed.notify_all();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn capture(bytes: &'static [u8]) -> Capture {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Capture::start(bytes, &dir.path().join("out")).expect("a new file")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn a_line_is_found_and_the_end_is_seen() {
        let capture = capture(b"one\nREADY at 5\n\xff no text\nlast");
        let port = capture.wait_for(soon(), |line| {
            line.strip_prefix("READY at ").map(str::to_owned)
        });
        assert_eq!(port.as_deref(), Some("5"));
        assert!(capture.wait_until_closed(soon()));
        assert_eq!(capture.text(), "one\nREADY at 5\n\u{fffd} no text\nlast\n");
        assert_eq!(
            capture.wait_for(soon(), |line| (line == "two").then_some(())),
            None
        );
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let capture = Capture::start(reader, &dir.path().join("out")).expect("a new file");
        let now = Instant::now();
        assert_eq!(capture.wait_for(now, |_| Some(())), None);
        assert!(!capture.wait_until_closed(now));
    }

    #[test]
    fn the_tail_is_short() {
        let capture =
            capture(b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\nr\ns\nt\nu\nv\n");
        assert!(capture.wait_until_closed(soon()));
        let tail = capture.tail();
        assert_eq!(tail.lines().count(), TAIL + 1);
        assert!(tail.ends_with("u\nv\n"), "{tail}");
    }
}
