//! A front end to talk to, programs that talk to it, and terminals for them.

#[path = "../../../client/tests/fake/mod.rs"]
pub(crate) mod fake;

use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

use fake::{Fake, Shared, world};
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[cfg(unix)]
pub(crate) use terminal::{TODO, Terminal};

/// How long anything may take on the slowest machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A front end, and a home for a user's state.
pub(crate) struct House {
    pub(crate) world: Shared,
    pub(crate) fake: Fake,
    pub(crate) state: TempDir,
    pub(crate) runtime: Runtime,
}

impl House {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let world = world();
        let fake = runtime.block_on(Fake::start(&world));
        Self {
            world,
            fake,
            state: tempfile::tempdir().unwrap(),
            runtime,
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = program();
        command
            .args(["--frontend", &self.fake.address.to_string()])
            .args(words)
            .env("XDG_STATE_HOME", self.state.path())
            .env("TERM", "xterm")
            .env("NO_COLOR", "1");
        command
    }

    /// Runs it to its end, and gives its code, stdout and stderr.
    pub(crate) fn run(&self, words: &[&str], input: &str) -> (i32, String, String) {
        run(self.command(words), input)
    }

    /// Opens a terminal of user 1, and waits for the first prompt.
    #[cfg(unix)]
    pub(crate) fn open(&self, words: &[&str]) -> Terminal {
        let mut terminal = Terminal::start(self.command(&[&["--user", "1"], words].concat()));
        terminal.sees(TODO);
        terminal
    }
}

/// The program, whatever the environment of the tests says.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backfence"));
    for variable in std::env::vars_os().map(|(name, _)| name) {
        if variable.to_string_lossy().starts_with("BACKFENCE_") {
            command.env_remove(variable);
        }
    }
    command
}

pub(crate) fn run(command: Command, input: impl Into<Vec<u8>>) -> (i32, String, String) {
    let mut command = assert_cmd::Command::from(command);
    let output = command.write_stdin(input).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("no signal ended it");
    (code, text(output.stdout), text(output.stderr))
}

/// Its exit code; `None` if a signal ended it.
pub(crate) fn ends(child: &mut Child) -> Option<i32> {
    let mut ended = None;
    wait_until(|| {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended.and_then(|status| status.code())
}

pub(crate) fn wait_until(met: impl FnMut() -> bool) {
    let mut met = met;
    let deadline = Instant::now() + LIMIT;
    while !met() {
        assert!(Instant::now() < deadline, "it never came to that");
        std::thread::yield_now();
    }
}

#[cfg(unix)]
mod terminal {
    use std::process::Command;

    use rexpect::session::PtySession;
    use rustix::termios::{Winsize, tcsetwinsize};

    use super::LIMIT;

    pub(crate) const TODO: &str = "What would you like to do? ";

    pub(crate) struct Terminal(pub(crate) PtySession);

    impl Terminal {
        pub(crate) fn start(command: Command) -> Self {
            let limit_ms = LIMIT.as_millis() as u64;
            Self(rexpect::session::spawn_command(command, Some(limit_ms)).unwrap())
        }

        /// What came before it.
        pub(crate) fn sees(&mut self, text: &str) -> String {
            // The reader takes each byte for a character.
            let bytes: String = text.bytes().map(char::from).collect();
            let found = self.0.exp_string(&bytes);
            whole(&found.unwrap_or_else(|error| panic!("expected {text:?}: {error}")))
        }

        /// All until its end.
        pub(crate) fn sees_the_end(&mut self) -> String {
            whole(&self.0.exp_eof().unwrap())
        }

        pub(crate) fn types(&mut self, text: &str) {
            self.0.send(text).unwrap();
            self.0.flush().unwrap();
        }

        pub(crate) fn says(&mut self, line: &str) {
            self.0.send_line(line).unwrap();
        }

        /// Says it at the prompt, sees the line, and the next prompt.
        pub(crate) fn does(&mut self, said: &str, line: &str) {
            self.says(said);
            self.sees(&format!("\n{line}\r\n"));
            self.sees(TODO);
        }

        /// Has another size from now on. Who runs in it is told by a signal.
        pub(crate) fn resize(&self, columns: u16) {
            self.resize_to(columns, 40);
        }

        pub(crate) fn resize_to(&self, columns: u16, rows: u16) {
            let size = Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            let screen = self.0.process().get_file_handle().unwrap();
            tcsetwinsize(screen, size).unwrap();
        }

        pub(crate) fn ends_with(mut self, code: i32) {
            self.0.exp_eof().unwrap();
            // Its type cannot be named from here.
            let status = format!("{:?}", self.0.process().wait().unwrap());
            assert!(
                status.starts_with("Exited") && status.ends_with(&format!(", {code})")),
                "{status}"
            );
        }
    }

    /// The text whose bytes were taken for characters.
    fn whole(read: &str) -> String {
        let bytes: Vec<u8> = read.chars().map(|c| c as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
