//! The end of a terminal session, and what may come before it: signals, another size,
//! a terminal that is gone, keys that mean nothing.
#![cfg(unix)]

#[allow(dead_code)]
mod house;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command},
};

use house::{House, TODO, Terminal, fake, run, wait_until};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, open},
    io::{FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

const VIEWED: &str = "The rating that user 1 gave to movie Toy Story was 4.0";

#[test]
fn ctrl_d_at_a_prompt_ends_it() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.0.send_control('d').unwrap();
    terminal.sees("Okay thanks for coming!");
    terminal.ends_with(0);
}

/// It clears the line or the question, and ends nothing.
#[test]
fn ctrl_c_at_a_prompt_clears_it() {
    let house = House::new();
    let mut terminal = Terminal::start(house.command(&[]));
    let (user, how) = (
        "Enter your user ID: ",
        "\nTo leave, type quit or press Ctrl-D\r\n",
    );
    terminal.sees(user);
    terminal.types("12\x03");
    let between = terminal.sees(user);
    assert!(!between.contains("INVALID"), "{between}");
    terminal.says("1");
    terminal.sees(TODO);
    terminal.types("rate Toy Story 1\x03");
    let between = terminal.sees(TODO);
    assert!(!between.contains("To leave"), "{between}");
    terminal.does("view Toy Story", VIEWED);
    // Questions, and the choice between several movies.
    for (command, question) in [
        ("rate Toy Story", "What rating (0-5)? "),
        ("view", "Which movie? "),
        ("view hamlet", "Which one (1-2, Enter for none)? "),
        ("change", "Which server (1-3)? "),
    ] {
        terminal.says(command);
        terminal.sees(question);
        terminal.types("3\x03");
        terminal.sees(TODO);
        terminal.does("view Toy Story", VIEWED);
    }
    terminal.types("\x03");
    let between = terminal.sees(TODO);
    assert!(!between.contains("To leave"), "{between}");
    terminal.types("\x03");
    terminal.sees(how);
    terminal.sees(TODO);
    terminal.does("view Toy Story", VIEWED);
    assert!(house.world.lock().unwrap().taken.is_empty());
    terminal.says("quit");
    terminal.ends_with(0);
}

/// What is logged covers nothing: it goes to a file, and one line says what is waited for.
#[test]
fn who_is_gone_is_said_in_one_line() {
    let house = House::new();
    let mut command = house::program();
    command
        .args(["--registry", "http://127.0.0.1:1", "--user", "1"])
        .env("XDG_STATE_HOME", house.state.path())
        .env("TERM", "xterm");
    let mut terminal = Terminal::start(command);
    let line = "waiting for the registry at http://127.0.0.1:1";
    let before = terminal.sees(line);
    terminal.types("\x03");
    let after = terminal.sees("error: Interrupted\r\n");
    assert!(
        !before.contains("WARN") && !after.contains("WARN"),
        "{before}{after}"
    );
    terminal.ends_with(130);
    let log = house.state.path().join("backfence/client.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("WARN") && log.contains("no registry answers"),
        "{log}"
    );
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
    let mut terminal = Terminal::start(shell);
    terminal.sees("pid ");
    let id = terminal.sees(".");
    terminal.sees(TODO);
    (terminal, id.trim().to_owned())
}

/// The terminal is left as it was: it gathers lines, and its keys send signals.
#[test]
fn signals_from_elsewhere_leave_the_terminal_in_order() {
    let house = House::new();
    for signal in ["HUP", "TERM"] {
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

/// What is typed stays, and what comes after it fits.
#[test]
fn a_terminal_may_change_its_size() {
    let house = House::new();
    let mut terminal = Terminal::start(house.command(&["--user", "1"]));
    terminal.resize(120);
    terminal.sees(TODO);
    terminal.types("view Toy ");
    for columns in [30, 100, 60] {
        terminal.resize(columns);
    }
    terminal.does("Story", VIEWED);
    let mut widths = Vec::new();
    for columns in [60, 120] {
        terminal.types("sta");
        terminal.resize(columns);
        terminal.says("tus");
        terminal.sees("┌");
        let rest = terminal.sees("┐");
        widths.push(rest.chars().count() + 2);
    }
    assert!(widths[0] <= 60 && widths[1] > 60, "{widths:?}");
}

/// The client at a terminal that can go away, and that terminal.
fn at_a_terminal(house: &House, controlling: bool) -> (Child, File) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    // The client must not hold it open.
    fcntl_setfd(&screen, FdFlags::CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let name = name.to_str().unwrap();
    let mut command = match controlling {
        true => {
            // The first terminal that a session's leader opens is the session's.
            let mut leader = Command::new("setsid");
            let client = house.command(&["--user", "1"]);
            let script = format!("exec \"$@\" <{name} >{name} 2>&1");
            leader.args(["sh", "-c", &script, "sh"]);
            leader.arg(client.get_program()).args(client.get_args());
            for (key, value) in client.get_envs() {
                leader.env(key, value.unwrap_or_default());
            }
            leader
        }
        false => {
            let open = || open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
            let mut client = house.command(&["--user", "1"]);
            client.stdin(open()).stdout(open()).stderr(open());
            client
        }
    };
    let child = command.spawn().unwrap();
    drop(command);
    (child, File::from(screen))
}

/// The window is closed: at the prompt, and while a request waits.
#[test]
fn a_terminal_that_goes_away_ends_it() {
    if cfg!(not(target_os = "linux")) {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_terminal_that_goes_away_ends_it: setsid is a program of Linux"
        );
        return;
    }
    for (controlling, waiting) in [(true, false), (false, false), (true, true), (false, true)] {
        let house = House::new();
        let (mut child, mut screen) = at_a_terminal(&house, controlling);
        wait_for(&mut screen, TODO);
        if waiting {
            // It would wait for a minute otherwise.
            fake::fail(&house.world, (0..100).map(|_| fake::Fault::Hang));
            screen.write_all(b"view Toy Story\r").unwrap();
            wait_for(&mut screen, "waiting for an answer");
        }
        drop(screen);
        let ended = house::ends(&mut child);
        assert_eq!(
            ended,
            Some(130),
            "controlling {controlling}, waiting {waiting}"
        );
    }
}

fn wait_for(screen: &mut File, text: &str) {
    let (mut seen, mut part) = (Vec::new(), [0; 1024]);
    while !String::from_utf8_lossy(&seen).contains(text) {
        let read = screen.read(&mut part).unwrap();
        seen.extend_from_slice(&part[..read]);
    }
}

/// A reader that leaves is not told about.
#[test]
fn a_pipe_that_is_closed_ends_it_quietly() {
    let house = House::new();
    let mut command = Command::new("sh");
    let address = house.fake.address.to_string();
    let program = env!("CARGO_BIN_EXE_backfence");
    let script = format!(
        "printf '1\nview\nToy Story\nquit\n' | {program} --frontend {address} | head -n 1; echo done"
    );
    command.args(["-c", &script]);
    let (_, stdout, stderr) = run(command, "");
    assert_eq!(
        (stdout.as_str(), stderr.as_str()),
        ("Enter your user ID:\ndone\n", "")
    );
}

/// Bytes that are neither text nor keys, the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    // Knuth's linear congruential generator (MMIX).
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn any_bytes_may_be_typed() {
    // What the terminal itself obeys: Ctrl-C, Ctrl-D, Ctrl-S, Ctrl-Z, Ctrl-\.
    const OBEYED: [u8; 5] = [0x03, 0x04, 0x13, 0x1a, 0x1c];
    for seed in 0..8 {
        let house = House::new();
        let terminal = house.open(&[]);
        let mut keyboard = terminal.0.process().get_file_handle().unwrap();
        for line in noise(seed, 2_000).chunks(50) {
            let line: Vec<u8> = line
                .iter()
                .copied()
                .filter(|key| !OBEYED.contains(key))
                .collect();
            keyboard.write_all(&line).unwrap();
            keyboard.write_all(b"\r").unwrap();
        }
        // One may be taken literally, or give up a request. It also takes back what has
        // been printed and not read yet, so the code alone tells of the end.
        let mut status = String::new();
        wait_until(|| {
            // It fails once the client is gone. A write that has to wait is not woken when
            // Ctrl-C empties the queue that it waits for, so it does not wait.
            let mut ready = [PollFd::new(&keyboard, PollFlags::OUT)];
            let writable = poll(&mut ready, Some(&Timespec::default()));
            if writable.is_ok_and(|ready| ready > 0) {
                let _ = keyboard.write_all(b"\r\x04");
            }
            status = format!("{:?}", terminal.0.process().status());
            !status.contains("StillAlive")
        });
        assert!(status.ends_with(", 0))"), "seed {seed}: {status}");
    }
}

#[test]
fn any_bytes_may_come_through_a_pipe() {
    let house = House::new();
    for seed in 0..8 {
        for words in [&["--user", "1"][..], &["--user", "1", "-", "--keep-going"]] {
            let (code, _, stderr) = run(house.command(words), noise(seed, 20_000));
            assert!(
                [0, 2].contains(&code),
                "seed {seed}, {words:?}: {code}, {stderr}"
            );
            assert!(!stderr.contains("panicked"), "seed {seed}: {stderr}");
        }
    }
}
