//! A service manager that reads nothing holds up nothing.

use std::{
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
};

use innkeeper_e2e::{ANSWER, curl};

use crate::process::{Process, folder, serve, wait_for};

#[test]
fn a_service_manager_that_does_not_read_holds_up_neither_start_nor_reload_nor_end() {
    let folder = folder("");
    let path = folder.file("notify");
    let _unread = UnixDatagram::bind(&path).expect("the folder can be written");
    let full = UnixDatagram::unbound().expect("there are sockets");
    full.connect(&path).expect("it is bound");
    full.set_nonblocking(true).expect("it may be so");
    while full.send(b"STATUS=full").is_ok() {}
    let args = serve(&folder);
    let mut command = Command::new(&args[0]);
    command.args(&args[1..]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000").stderr(Stdio::null());
    let mut process = Process::spawn(&folder, &mut command);
    folder.configure("listeners = 1");
    process.signal("HUP");
    wait_for("the refusal", || (process.metric("innkeeper_config_last_reload_successful") == 0).then_some(()));
    assert_eq!(curl(&process, "shop.example", 1, &[]).output, ANSWER);
    process.signal("TERM");
    assert_eq!(process.ended().code(), Some(0));
}
