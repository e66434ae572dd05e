//! The program `backfence-registry`: its command line, its lines, its end.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
};

#[cfg(unix)]
use backfence_process::Environment;
#[cfg(unix)]
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

fn program() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("backfence-registry"));
    command
        .env_remove("BACKFENCE_LISTEN")
        .env_remove("BACKFENCE_LOG")
        .env_remove("BACKFENCE_LOG_FORMAT");
    command
}

fn run(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

/// Ended when the test is.
struct Running(Child);

impl Running {
    /// Waits for the line that says it is ready, and gives back its address.
    fn start(command: &mut Command) -> (Self, String) {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Self(child.spawn().unwrap());
        let mut line = String::new();
        let stdout = running.0.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.strip_prefix("REGISTRY READY http://").unwrap();
        (running, address.trim_end().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where a test is about that.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn help_explains_each_flag_and_gives_an_example() {
    let output = run(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in [
        "--listen",
        "--insecure",
        "--log",
        "--log-format",
        "BACKFENCE_LISTEN",
        "Example:",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_wrong_command_line_is_refused() {
    let check = |args: &[&str], part: &str| {
        let output = run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty());
    };
    check(&["--no-such-option"], "--no-such-option");
    check(&["--listen", "nowhere"], "\"nowhere\" is no address");
    check(&["--listen", "127.0.0.1:99999"], "65535");
    check(&["--listen", "https://127.0.0.1:1"], "TLS");
    // TEST-NET-1 (RFC 5737) belongs to no machine.
    check(
        &["--listen", "192.0.2.1:0"],
        "error: 192.0.2.1:0 is no address of this machine",
    );
    check(&["--listen", "0.0.0.0:0"], "or --insecure where you trust");
    check(&["--log", "loud"], "loud");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["--listen", &address]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains(&format!("error: {address} is in use")),
        "{stderr}"
    );
}

#[test]
fn the_environment_gives_what_flags_do_not() {
    let (_running, address) = Running::start(program().env("BACKFENCE_LISTEN", "[::1]:0"));
    assert!(address.starts_with("[::1]:"), "{address}");
    let mut both = program();
    both.env("BACKFENCE_LISTEN", "[::1]:0")
        .args(["--listen", "127.0.0.1:0"]);
    let (_running, address) = Running::start(&mut both);
    assert!(address.starts_with("127.0.0.1:"), "{address}");
}

#[cfg(unix)]
fn signal(running: &Running, signal: &str) {
    let pid = running.0.id().to_string();
    let kill = Command::new("kill").args(["-s", signal, &pid]).status();
    assert!(kill.unwrap().success());
}

#[cfg(unix)]
#[test]
fn signals_end_it_cleanly() {
    for sent in ["TERM", "INT"] {
        let (mut running, _) =
            Running::start(program().args(["--listen", "127.0.0.1:0", "--log-format", "json"]));
        signal(&running, sent);
        let mut log = String::new();
        let stderr = running.0.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        assert_eq!(running.0.wait().unwrap().code(), Some(0), "{sent}: {log}");
        assert!(log.contains(&format!(r#""signal":"SIG{sent}""#)), "{log}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_interrupt_ends_the_drain() {
    let (mut running, address) = Running::start(program().args(["--listen", "127.0.0.1:0"]));
    let mut client = HealthClient::new(Environment::real().connect(&address.parse().unwrap()));
    // A call that never ends by itself, so that the registry drains for long.
    let watch = client.watch(HealthCheckRequest::default());
    let mut watch = watch.await.unwrap().into_inner();
    let mut next = async || watch.message().await.unwrap().unwrap().status();
    assert_eq!(next().await, ServingStatus::Serving);
    signal(&running, "INT");
    assert_eq!(next().await, ServingStatus::NotServing);
    signal(&running, "INT");
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
}
