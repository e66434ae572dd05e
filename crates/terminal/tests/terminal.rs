//! The client in a real pseudo-terminal: editing, completion, choice, waiting, Ctrl-C,
//! end of input, resize.
#![cfg(unix)]

#[path = "../../client/tests/fake/mod.rs"]
#[allow(dead_code)]
mod fake;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, Instant},
};

use fake::{Fake, Fault, Shared, fail, said, world};
use rexpect::session::PtySession;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Code;

/// How long a line may take on the slowest machine.
const LIMIT_MS: u64 = 30_000;
const TODO: &str = "What would you like to do? ";
const VIEWED: &str = "The rating that user 1 gave to movie Toy Story was 4.0";

/// A front end, and a home for a user's state.
struct House {
    world: Shared,
    fake: Fake,
    state: TempDir,
    _runtime: Runtime,
}

impl House {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let world = world();
        let fake = runtime.block_on(Fake::start(&world));
        Self {
            world,
            fake,
            state: tempfile::tempdir().unwrap(),
            _runtime: runtime,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backfence"));
        for variable in std::env::vars_os().map(|(name, _)| name) {
            if variable.to_string_lossy().starts_with("BACKFENCE_") {
                command.env_remove(variable);
            }
        }
        command
            .args(["--frontend", &self.fake.address.to_string(), "--user", "1"])
            .args(args)
            .env("XDG_STATE_HOME", self.state.path())
            .env("TERM", "xterm")
            .env("NO_COLOR", "1");
        command
    }

    /// Opens a terminal, and waits for the first prompt.
    fn open(&self, args: &[&str]) -> Terminal {
        let session = rexpect::session::spawn_command(self.command(args), Some(LIMIT_MS));
        let mut terminal = Terminal(session.unwrap());
        terminal.sees(TODO);
        terminal
    }
}

struct Terminal(PtySession);

impl Terminal {
    fn sees(&mut self, text: &str) -> String {
        // The reader takes each byte for a character.
        let bytes: String = text.bytes().map(char::from).collect();
        let found = self.0.exp_string(&bytes);
        found.unwrap_or_else(|error| panic!("expected {text:?}: {error}"))
    }

    fn types(&mut self, text: &str) {
        self.0.send(text).unwrap();
        self.0.flush().unwrap();
    }

    fn says(&mut self, line: &str) {
        self.0.send_line(line).unwrap();
    }

    /// Says it at the prompt, sees the line, and the next prompt.
    fn does(&mut self, said: &str, line: &str) {
        self.says(said);
        self.sees(&format!("\n{line}\r\n"));
        self.sees(TODO);
    }

    fn ends_with(mut self, code: i32) {
        self.0.exp_eof().unwrap();
        let status = format!("{:?}", self.0.process().wait().unwrap());
        assert!(
            status.starts_with("Exited") && status.ends_with(&format!(", {code})")),
            "{status}"
        );
    }
}

fn wait_until(met: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !met() {
        assert!(Instant::now() < deadline, "it never came to that");
        std::thread::yield_now();
    }
}

#[test]
fn a_command_is_given_at_once_or_asks() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.does("view Toy Story", VIEWED);
    terminal.does("rate toy story 4.5", "Your update has been sent");
    terminal.does(
        "VIEW toy story",
        "The rating that user 1 gave to movie Toy Story was 4.5",
    );
    terminal.says("rate toy story");
    terminal.sees("What rating (0-5)? ");
    terminal.does("1", "Your update has been sent");
    // The number is part of the title, so the rating is asked for.
    terminal.says("rate babylon 5");
    terminal.sees("What rating (0-5)? ");
    terminal.does("3", "Your update has been sent");
    terminal.does("rate toy story 7", "INVALID: a rating lies from 0 to 5");
    terminal.says("rate");
    terminal.sees("Which movie? ");
    terminal.says("Toy Story");
    terminal.sees("What rating (0-5)? ");
    terminal.does("2.5", "Your update has been sent");
    terminal.does("change 9", "there is no server 9; there are 1, 2, 3");
    terminal.does(
        "search --fnord",
        "INVALID: unexpected argument '--fnord' found",
    );
    terminal.says("quit");
    terminal.sees("Okay thanks for coming!");
    terminal.ends_with(0);
}

#[test]
fn stars_stand_beneath_the_sentence() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.says("view Toy Story");
    terminal.sees(&format!("\n{VIEWED}\r\n★★★★☆\r\n"));
}

#[test]
fn lines_are_edited_and_kept_for_the_next_time() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    // Home, and a letter that was forgotten.
    terminal.types("iew Toy Story\x01v");
    terminal.does("", VIEWED);
    terminal.says("quit");
    terminal.ends_with(0);
    let history = house.state.path().join("backfence/history");
    let mode = fs::metadata(&history).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&history).unwrap();
    assert!(text.contains("view Toy Story"), "{text}");

    let mut terminal = house.open(&[]);
    // Twice up: `quit` was the last line.
    terminal.types("\x1b[A\x1b[A");
    terminal.does("", VIEWED);
    terminal.says("quit");
    terminal.ends_with(0);
    let before = fs::read_to_string(&history).unwrap();
    let mut terminal = house.open(&["--no-history"]);
    terminal.does(
        "average Toy Story",
        "3.75 is the average rating for Toy Story",
    );
    terminal.says("quit");
    terminal.ends_with(0);
    assert_eq!(fs::read_to_string(&history).unwrap(), before);
}

#[test]
fn the_menu_is_short_after_the_first_time() {
    let house = House::new();
    let session = rexpect::session::spawn_command(house.command(&[]), Some(LIMIT_MS));
    let mut terminal = Terminal(session.unwrap());
    terminal.sees("  find     a movie's year and genres");
    terminal.sees("  help     everything else, and how");
    terminal.sees(TODO);
    terminal.says("quit");
    terminal.ends_with(0);
    let session = rexpect::session::spawn_command(house.command(&[]), Some(LIMIT_MS));
    let mut terminal = Terminal(session.unwrap());
    let before = terminal.sees(TODO);
    assert!(before.contains("find, view, average, rate, delete, change, quit; help shows more"));
    assert!(!before.contains("a movie's year"), "{before}");
}

#[test]
fn tab_completes_commands_and_titles() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.types("aver\t");
    terminal.sees("average ");
    // The titles come in the background: Tab until they are there.
    terminal.types("unr");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        terminal.types("\t");
        if terminal.0.exp_regex("Unrated \\(1950\\)").is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "nothing is completed");
    }
    terminal.does("", "Unrated has no ratings yet");
    terminal.says("find");
    terminal.sees("Which movie? ");
    terminal.types("the m\t");
    terminal.sees("Matrix, The (1999)");
    terminal.does(
        "",
        "Matrix, The was made in (1999) and has the genres Action",
    );
}

#[test]
fn an_ambiguous_title_is_a_numbered_choice() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.says("rate hamlet 3");
    terminal.sees("hamlet stands for several movies:");
    terminal.sees("   1  Hamlet (1990), #3");
    terminal.sees("   2  Hamlet (1996), #4");
    terminal.sees("Which one (1-2, Enter for none)? ");
    terminal.does("2", "Your update has been sent");
    terminal.does(
        "view #4",
        "The rating that user 1 gave to movie Hamlet (1996) was 3.0",
    );
    terminal.says("view");
    terminal.sees("Which movie? ");
    terminal.says("hamlet");
    terminal.sees("Which one (1-2, Enter for none)? ");
    terminal.says("");
    terminal.sees(TODO);
    terminal.says("view hamlet");
    terminal.sees("Which one (1-2, Enter for none)? ");
    terminal.does("toy story", VIEWED);
    terminal.does("view toi story", "toi story is not in our database yet");
}

#[test]
fn what_is_waited_for_is_said_and_ctrl_c_gives_it_up() {
    let house = House::new();
    let mut terminal = house.open(&["--timeout", "60s"]);
    terminal.does("view Toy Story", VIEWED);
    let missing = [("server", "1"), ("incarnation", "77"), ("number", "17")];
    let behind = || Fault::Say(said(Code::DeadlineExceeded, "BEHIND", &missing));
    fail(
        &house.world,
        [behind(), Fault::Hang, Fault::Hang, Fault::Hang, Fault::Hang],
    );
    terminal.says("view Toy Story");
    terminal.sees("waiting for update 17 of server 1 (Ctrl-C gives up)");
    terminal.0.send_control('c').unwrap();
    terminal.sees("\nGiven up\r\n");
    terminal.sees(TODO);
    house.world.lock().unwrap().forget_faults();
    terminal.does("view Toy Story", VIEWED);

    fail(&house.world, [Fault::None, Fault::Hang]);
    terminal.says("rate Toy Story 3");
    wait_until(|| fake::all_met(&house.world));
    terminal.0.send_control('c').unwrap();
    terminal.sees("\nGiven up; it may still be done\r\n");
    terminal.sees(TODO);
    terminal.does("delete Toy Story", "Your update has been sent");
    terminal.says("quit");
    terminal.ends_with(0);
}

#[test]
fn ctrl_c_and_ctrl_d_at_a_prompt_end_it() {
    let house = House::new();
    for (key, code) in [('c', 130), ('d', 0)] {
        let mut terminal = house.open(&[]);
        terminal.0.send_control(key).unwrap();
        terminal.sees("Okay thanks for coming!");
        terminal.ends_with(code);
    }
}

/// Runs the client from a script that begins with the script's process id.
fn under_a_shell(house: &House, script: &str) -> (Terminal, String) {
    let mut shell = Command::new("sh");
    let client = format!(
        "{} --frontend {} --user 1",
        env!("CARGO_BIN_EXE_backfence"),
        house.fake.address
    );
    let script = format!("echo pid $$.; {}", script.replace("CLIENT", &client));
    shell
        .args(["-c", &script])
        .env("TERM", "xterm")
        .env("XDG_STATE_HOME", house.state.path());
    let session = rexpect::session::spawn_command(shell, Some(LIMIT_MS)).unwrap();
    let mut terminal = Terminal(session);
    terminal.sees("pid ");
    let id = terminal.sees(".");
    terminal.sees(TODO);
    (terminal, id.trim().to_owned())
}

/// The terminal is left as it was: it gathers lines, and its keys send signals.
#[test]
fn signals_from_elsewhere_leave_the_terminal_in_order() {
    let house = House::new();
    for signal in ["INT", "TERM"] {
        let (mut terminal, shell) =
            under_a_shell(&house, "CLIENT; echo code $?; stty -a; echo end");
        // The shell's child, not the shell.
        let killed = Command::new("pkill")
            .args([&format!("-{signal}"), "-P", &shell])
            .status();
        assert!(killed.unwrap().success());
        terminal.sees("code 130");
        let state = terminal.sees("end");
        for word in state.split_whitespace() {
            assert!(word != "-icanon" && word != "-isig", "{signal}: {state}");
        }
    }
}

#[test]
fn a_terminal_may_change_its_size() {
    let house = House::new();
    let (mut terminal, client) = under_a_shell(&house, "exec CLIENT");
    terminal.types("view Toy ");
    for _ in 0..3 {
        let sent = Command::new("kill").args(["-WINCH", &client]).status();
        assert!(sent.unwrap().success());
    }
    terminal.does("Story", VIEWED);
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    let house = House::new();
    let mut command = Command::new("sh");
    // A reader that leaves is all that a program sees of a closed window.
    let address = house.fake.address.to_string();
    let program = env!("CARGO_BIN_EXE_backfence");
    let script = format!(
        "printf '1\nview\nToy Story\nquit\n' | {program} --frontend {address} | head -n 1; echo done"
    );
    command.args(["-c", &script]);
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout, "Enter your user ID:\ndone\n");
    assert!(
        output.stderr.is_empty(),
        "{:?}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn help_is_at_the_prompt() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.says("help");
    terminal.sees("  search WORDS [--genre G] [--year Y]");
    terminal.sees(TODO);
    terminal.says("help rate");
    terminal.sees("Usage: rate TITLE RATING");
    terminal.sees(TODO);
    terminal.does(
        "help fnord",
        "INVALID: there is no command fnord; type help",
    );
    terminal.does(
        "fnord",
        "INVALID: type find, view, average, rate, delete, change or quit",
    );
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let house = House::new();
    let menu = |change: fn(&mut Command) -> &mut Command| {
        let mut command = house.command(&[]);
        change(&mut command);
        let session = rexpect::session::spawn_command(command, Some(LIMIT_MS));
        let mut terminal = Terminal(session.unwrap());
        terminal.sees("leave")
    };
    assert!(menu(|command| command.env_remove("NO_COLOR")).contains("\x1b[1m"));
    assert!(!menu(|command| command.env("NO_COLOR", "1")).contains('\x1b'));
    assert!(!menu(|command| command.env_remove("NO_COLOR").arg("--no-color")).contains('\x1b'));
}
