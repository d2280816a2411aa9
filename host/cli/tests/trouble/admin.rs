//! The admin listener answers, whoever else has connected and whatever else the process is short of.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use innkeeper_e2e::{ANSWER, Folder, Reachable as _, Waiting, curl, run};

use crate::process::{Process, folder, serve, wait_for};

/// More than the admin listener has places.
const CROWD: usize = 100;

fn started(folder: &Folder) -> Process<'_> {
    let args = serve(folder);
    Process::spawn(folder, Command::new(&args[0]).args(&args[1..]).stderr(Stdio::null()))
}

/// Sends one byte after the other for as long as the other side takes them, and says how many.
fn drip(mut stream: TcpStream) -> usize {
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out can be set");
    let mut sent = 0;
    while stream.write_all(b"x").is_ok() {
        sent += 1;
        match stream.read(&mut [0; 1]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    sent
}

#[test]
fn a_crowd_of_silent_slow_and_idle_connections_keeps_no_operator_out() {
    let folder = folder("");
    let process = started(&folder);
    assert_eq!(curl(&process, "shop.example", 1, &["--tlsv1.3"]).output, ANSWER);
    let begun = b"POST /tenants/shop/actions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\naction=";
    let kinds: [&[u8]; 4] = [b"", b"G", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", begun];
    let crowd: Vec<TcpStream> = kinds
        .iter()
        .cycle()
        .take(CROWD)
        .map(|kind| {
            let mut stream = process.connect();
            stream.write_all(kind).expect("it takes a place");
            stream
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(process.ask("/healthz", &[]), "ok\n");
        assert!(process.ask("/metrics", &[]).contains("\ninnkeeper_tenants 1\n"));
    }
    assert_eq!(process.act("shop", "suspend"), r#"{"suspended":true}"#);
    assert_eq!(process.act("shop", "resume"), r#"{"suspended":false}"#);
    assert_eq!(process.act("shop", "revoke"), r#"{"revoked":1}"#);
    drop(crowd);
}

#[test]
fn a_request_that_does_not_come_to_its_end_is_not_waited_for() {
    let folder = folder("");
    let process = started(&folder);
    let head = process.connect();
    let mut next = process.connect();
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    next.write_all(request).expect("it reads");
    let mut body = process.connect();
    body.write_all(b"POST /tenants/shop/actions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 16000\r\n\r\n")
        .expect("it reads");
    let mut silent = process.connect();
    let slow: Vec<usize> = std::thread::scope(|threads| {
        let slow = [head, next, body].map(|stream| threads.spawn(|| drip(stream)));
        slow.map(|thread| thread.join().expect("no client panics")).into()
    });
    assert!(slow.iter().all(|sent| *sent < 100), "400 s would be 2000 bytes: {slow:?}");
    assert!(matches!(silent.read(&mut [0; 1]), Ok(0)), "it is closed");
}

#[test]
fn an_answer_that_is_not_taken_is_given_up() {
    let folder = folder("");
    let process = started(&folder);
    let mut stream = process.connect();
    let request = b"GET /style.css HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // Until neither side has room for more.
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a time-out can be set");
    while stream.write_all(request).is_ok() {}
    // It takes nothing of the answers, and is let go.
    stream.set_write_timeout(Some(Duration::from_secs(60))).expect("a time-out can be set");
    let error = wait_for("the end", || stream.write_all(request).err());
    assert!(error.kind() != std::io::ErrorKind::WouldBlock, "{error}");
}

#[test]
fn out_of_file_descriptors_the_admin_listener_answers_and_the_log_has_few_lines() {
    let folder = folder("");
    let args = serve(&folder);
    let mut process = Process::spawn(&folder, Command::new(&args[0]).args(&args[1..]).stderr(Stdio::piped()));
    assert_eq!(curl(&process, "shop.example", 1, &["--tlsv1.3"]).output, ANSWER);
    let mut log = BufReader::new(process.child.stderr.take().expect("standard error is a pipe"));
    let id = process.child.id().to_string();
    let limit = |files: usize| {
        let ended = run("prlimit", &["--pid", &id, &format!("--nofile={files}:")], "");
        assert!(ended.is_success, "{}", ended.output);
    };
    limit(process.files_end());
    // Until there is no descriptor left, and on for two seconds.
    let mut waiting = Vec::new();
    wait_for("the process is out of descriptors", || {
        let failed = process.metric("innkeeper_connections_not_accepted_total");
        if failed == 0 {
            let more = (0..30).map(|_| TcpStream::connect(process.address()).expect("the system has a queue"));
            waiting.extend(more);
        }
        (failed >= 40).then_some(())
    });
    for _ in 0..10 {
        assert_eq!(process.ask("/healthz", &[]), "ok\n");
    }
    assert_eq!(process.act("shop", "revoke"), r#"{"revoked":1}"#);
    limit(1_000);
    drop(waiting);
    assert_eq!(curl(&process, "shop.example", 1, &[]).output, ANSWER);
    process.signal("TERM");
    assert_eq!(process.ended().code(), Some(0));
    let mut text = String::new();
    log.read_to_string(&mut text).expect("the log is text");
    let lines = text.lines().filter(|line| line.contains("cannot accept")).count();
    // One of each listener in ten seconds, of which some forty a second would be without.
    assert!((2..=12).contains(&lines), "{text}");
}

#[test]
fn a_low_limit_on_file_descriptors_leaves_some_to_operators() {
    let folder = folder("");
    let limited = r#"ulimit -n 128; exec "$@""#;
    let mut command = Command::new("sh");
    let mut process =
        Process::spawn(&folder, command.args(["-c", limited, "sh"]).args(serve(&folder)).stderr(Stdio::piped()));
    let log = BufReader::new(process.child.stderr.take().expect("standard error is a pipe"));
    let warned = log.lines().map_while(Result::ok).any(|line| line.contains("too few file descriptors"));
    assert!(warned, "it warns");
    let crowd: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(process.address()).expect("the system has a queue")).collect();
    // Clients that say nothing have a part of the connections there are, and give way to each other.
    wait_for("the proxy has taken all", || {
        (process.metric("innkeeper_connections_displaced_total") >= 50).then_some(())
    });
    for _ in 0..10 {
        assert_eq!(process.ask("/healthz", &[]), "ok\n");
    }
    assert_eq!(process.metric("innkeeper_connections_not_accepted_total"), 0);
    drop(crowd);
    drop(Waiting::connect(&process, "shop.example"));
}
