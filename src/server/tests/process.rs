//! What belongs to a process: signals, the open-file limit, the service manager. Tried on a child process.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

const SOCKET: &str = "TIDEGATE_TEST_SOCKET";

/// Does nothing by itself; the other tests run it as a process of its own. Its exit code tells how many were cut.
#[test]
fn as_a_process() {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    let handler = Lines::new(false);
    let config = config(vec![unix(Path::new(&path))]);
    let stopped = run(config, move |parts| Ok(assembly(handler, parts))).unwrap();
    std::process::exit(CODE + i32::try_from(stopped.cut).unwrap());
}

/// Apart from what a failing test says.
const CODE: i32 = 40;

struct Process {
    child: Child,
    path: PathBuf,
    manager: UnixDatagram,
    _directory: tempfile::TempDir,
}

impl Process {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (path, manager_path) = (directory.path().join("socket"), directory.path().join("notify"));
        let manager = UnixDatagram::bind(&manager_path).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server::tests::process::as_a_process", "--nocapture"])
            .env(SOCKET, &path)
            .env("NOTIFY_SOCKET", &manager_path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, path, manager, _directory: directory };
        assert_eq!(process.told(), "READY=1\n");
        process
    }

    /// What the service manager was told next.
    fn told(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> ExitStatus {
        let latest = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < latest, "the process goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_of_the_three_signals_ends_the_process_in_order() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let process = Process::start();
        let mut idle = process.connect();
        ask(&mut idle, "hello\n");
        process.signal(signal);
        assert_eq!(process.told(), "STOPPING=1\n");
        assert_eq!(rest(&mut idle), b"");
        assert_eq!(process.end().code(), Some(CODE), "{signal:?}");
    }
}

#[test]
fn a_second_signal_cuts() {
    let process = Process::start();
    let mut held = process.connect();
    ask(&mut held, "hello\n");
    hold(&mut held);
    process.signal(Signal::TERM);
    assert_eq!(process.told(), "STOPPING=1\n");
    process.signal(Signal::INT);
    assert_eq!(rest(&mut held), b"");
    assert_eq!(process.end().code(), Some(CODE + 1));
}

#[test]
fn a_hang_up_and_a_reopen_leave_it_running() {
    let process = Process::start();
    let mut client = process.connect();
    for signal in [Signal::HUP, Signal::USR1] {
        process.signal(signal);
        ask(&mut client, "hello\n");
    }
    process.signal(Signal::TERM);
    assert_eq!(process.end().code(), Some(CODE));
}

#[test]
fn as_many_files_may_be_open_as_the_system_lets() {
    let process = Process::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let figures: Vec<_> = line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(figures[0], figures[1], "{line}");
    process.signal(Signal::TERM);
    assert_eq!(process.end().code(), Some(CODE));
}
