//! `innkeeper serve` depends on no log: its reader may be gone, its disk full, or nobody may read it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    process::{ChildStderr, Command, Stdio},
};

use innkeeper_e2e::{ANSWER, Folder, Waiting, curl};

use crate::process::{Process, configuration, folder, serve, wait_for};

const LOST: &str = "innkeeper_log_lines_lost_total";

fn command(folder: &Folder) -> Command {
    let args = serve(folder);
    let mut command = Command::new(&args[0]);
    command.args(&args[1..]).env("INNKEEPER_LOG_FORMAT", "json");
    command
}

/// Whatever a server does goes on, and the lines that it cannot write are counted.
fn check_that_all_goes_on(folder: &Folder, mut process: Process<'_>) {
    let is_served = |process: &Process<'_>, name: &str| curl(process, name, 1, &["--tlsv1.3"]).output == ANSWER;
    assert!(is_served(&process, "shop.example"));
    assert_eq!(process.act("shop", "revoke"), r#"{"revoked":1}"#);
    let lost = process.metric(LOST);
    folder.configure(&configuration(folder, "", &["shop", "blog"]));
    process.signal("HUP");
    wait_for("the reload", || is_served(&process, "blog.example").then_some(()));
    folder.configure("listeners = 1");
    process.signal("HUP");
    wait_for("the refusal", || (process.metric("innkeeper_config_last_reload_successful") == 0).then_some(()));
    assert!(is_served(&process, "shop.example"));
    wait_for("the lines are counted", || (process.metric(LOST) > lost).then_some(()));
    process.signal("TERM");
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn a_log_whose_reader_is_gone_stops_nothing() {
    let folder = folder("");
    let mut process = Process::spawn(&folder, command(&folder).stderr(Stdio::piped()));
    drop(process.child.stderr.take());
    check_that_all_goes_on(&folder, process);
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let folder = folder("");
    let full = File::options().write(true).open("/dev/full").expect("the system has it");
    let process = Process::spawn(&folder, command(&folder).stderr(full));
    check_that_all_goes_on(&folder, process);
}

#[test]
fn a_log_as_large_as_the_system_allows_stops_nothing() {
    let folder = folder("");
    let log = File::create(folder.file("log")).expect("the folder can be written");
    // In blocks of 512 or 1024 bytes.
    let limited = r#"ulimit -f 1; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", limited, "sh"]).args(serve(&folder)).env("INNKEEPER_LOG_FORMAT", "json").stderr(log);
    let process = Process::spawn(&folder, &mut command);
    check_that_all_goes_on(&folder, process);
    let log = std::fs::read_to_string(folder.file("log")).expect("it is there");
    assert!((512..=1_024).contains(&log.len()), "{log}");
}

/// A server whose log nobody has read, with more lines than wait, and what can be read of it.
fn unread(folder: &Folder) -> (Process<'_>, BufReader<ChildStderr>) {
    let mut process = Process::spawn(folder, command(folder).stderr(Stdio::piped()));
    let log = BufReader::new(process.child.stderr.take().expect("standard error is a pipe"));
    // More than a pipe holds.
    let visited = curl(&process, "shop.example", 400, &["--tlsv1.3"]);
    assert_eq!(visited.count(ANSWER), 400, "every handshake completes");
    // And more than waits.
    let name = "n".repeat(30_000);
    wait_for("lines are lost", || {
        assert!(process.act(&name, "revoke").contains("there is no tenant"));
        (process.metric(LOST) > 0).then_some(())
    });
    (process, log)
}

const HANDSHAKES: &str = "[log]\nhandshakes = true\n\n";

#[test]
fn a_log_that_nobody_reads_holds_up_neither_clients_nor_operators_nor_the_end() {
    let folder = folder(HANDSHAKES);
    let (mut process, _unread) = unread(&folder);
    assert_eq!(process.ask("/healthz", &[]), "ok\n");
    assert_eq!(curl(&process, "shop.example", 1, &[]).output, ANSWER);
    let waiting = Waiting::connect(&process, "shop.example");
    process.signal("TERM");
    assert!(waiting.finish(), "a connection from before is served to its end");
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn a_log_that_is_read_again_says_how_many_lines_were_lost() {
    let folder = folder(HANDSHAKES);
    let (process, log) = unread(&folder);
    let lost = process.metric(LOST);
    let mut lines = log.lines().map(|line| line.expect("the log is text"));
    let told = lines.find(|line| line.contains("log lines were lost")).expect("it logs so before it ends");
    let event: serde_json::Value = serde_json::from_str(&told).expect("each line is JSON");
    assert_eq!(event["lines"], lost, "{told}");
    assert_eq!(curl(&process, "shop.example", 1, &[]).output, ANSWER);
    assert!(lines.any(|line| line.contains("\"handshake\"")), "and goes on logging");
}
