//! The real binary, with a configuration of the story's own.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    panic::Location,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use super::{Answer, Connection, Origin, client::Place, eventually, free_address, within};

pub struct Gateway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    directory: tempfile::TempDir,
    process: u32,
    /// What it printed, line by line.
    printed: Arc<Mutex<Vec<String>>>,
    /// Set once the process has ended.
    exit: watch::Receiver<Option<ExitStatus>>,
}

#[derive(Clone, Copy, Debug)]
pub enum Signal {
    Term,
    Int,
    Usr1,
    Kill,
}

impl Gateway {
    /// The smallest configuration, in front of one origin.
    pub async fn before(origin: &Origin) -> Self {
        Self::with(&format!("upstream = {:?}\n", origin.address)).await
    }

    /// One upstream and further configuration: top-level keys first, then tables.
    pub async fn before_with(origin: &Origin, text: &str) -> Self {
        Self::with(&format!("upstream = {:?}\n{text}\n", origin.address)).await
    }

    /// A configuration as text. `listen`, `[admin]` with its address, two threads and a JSON access log are added where it has none;
    /// `DIR` stands for a directory of the gateway's own.
    pub async fn with(text: &str) -> Self {
        Self::in_directory(tempfile::tempdir().unwrap(), text).await
    }

    /// The same, with files that the story has put into the directory.
    pub async fn in_directory(directory: tempfile::TempDir, text: &str) -> Self {
        let (address, admin) = (free_address(), free_address());
        let file = directory.path().join("tidegate.toml");
        let text = whole(text, address, admin).replace("DIR", &directory.path().display().to_string());
        std::fs::write(&file, &text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("run").arg("--config").arg(&file).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let process = child.id();
        let printed = Arc::new(Mutex::new(Vec::new()));
        read_lines(child.stdout.take().unwrap(), printed.clone());
        read_lines(child.stderr.take().unwrap(), printed.clone());
        let exit = watch_exit(child);
        let gateway = Self { address, admin, directory, process, printed, exit };
        gateway.wait_ready(&text).await;
        gateway
    }

    async fn wait_ready(&self, text: &str) {
        let ready = async || {
            if let Some(status) = *self.exit.borrow() {
                panic!("the gateway ended with {status}; it said:\n{}\nits configuration:\n{text}", self.printed());
            }
            tokio::net::TcpStream::connect(self.admin).await.ok()?;
            (self.ask_admin("/ready").await.status == 200).then_some(())
        };
        eventually("the gateway to be ready", ready).await;
    }

    /// A plain connection to the first listener.
    pub async fn connect(&self) -> Connection {
        Connection::tcp(self.address).await
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> impl Future<Output = Answer> {
        self.ask_at("GET", target, &[], b"", Location::caller())
    }

    /// One GET with further fields on a connection of its own.
    #[track_caller]
    pub fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> impl Future<Output = Answer> {
        self.ask_at("GET", target, fields, b"", Location::caller())
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn ask(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> impl Future<Output = Answer> {
        self.ask_at(method, target, fields, body, Location::caller())
    }

    async fn ask_at(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8], place: Place) -> Answer {
        self.connect().await.ask_at(method, target, fields, body, place).await
    }

    /// One GET of the admin listener.
    pub async fn ask_admin(&self, target: &str) -> Answer {
        let host = self.admin.to_string();
        Connection::tcp(self.admin).await.get_with(target, &[("Host", &host), ("Connection", "close")]).await
    }

    /// The whole of `/metrics`.
    pub async fn metrics(&self) -> String {
        self.ask_admin("/metrics").await.text()
    }

    /// The sum of a metric's samples that carry all these labels.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let text = self.metrics().await;
        let samples = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && wanted.iter().all(|label| rest.contains(label)))
        });
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Waits until a metric has this value.
    pub async fn metric_becomes(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name}{labels:?} to be {value}");
        eventually(what, async || (self.metric(name, labels).await == value).then_some(())).await;
    }

    /// Waits for an access log line that satisfies `test`.
    pub async fn logged(&self, what: &str, test: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        eventually(format!("an access log line: {what}"), async || self.access_log().into_iter().find(&test)).await
    }

    /// The access log so far.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path().join("access.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap().join("\n")
    }

    /// Waits for the end of the process.
    pub async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        within("the gateway to exit", async move { exit.wait_for(Option::is_some).await.unwrap().unwrap() }).await
    }

    pub fn is_running(&self) -> bool {
        self.exit.borrow().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        let signal = match signal {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Int => rustix::process::Signal::INT,
            Signal::Usr1 => rustix::process::Signal::USR1,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        let process = rustix::process::Pid::from_raw(i32::try_from(self.process).unwrap()).unwrap();
        if self.is_running() {
            // It may end at this very moment.
            let _ = rustix::process::kill_process(process, signal);
        }
    }

    /// Lets the process open files only below this number; gives the bound that was there before.
    pub fn limit_files(&self, most: Option<u64>) -> Option<u64> {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
        let process = Pid::from_raw(i32::try_from(self.process).unwrap());
        // The same for the gateway as for the story, and never more than that.
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(process, Resource::Nofile, Rlimit { current: most, maximum }).unwrap().current
    }

    /// Its directory, where `DIR` of the configuration points to.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The most memory it ever held, in KiB.
    pub fn memory_peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
        if std::thread::panicking() {
            eprintln!("the gateway said:\n{}", self.printed());
        }
    }
}

/// Adds what every story needs to its configuration; top-level keys must stand before the first table.
fn whole(text: &str, address: SocketAddr, admin: SocketAddr) -> String {
    let mut whole = format!("listen = [\"{address}\"]\n");
    if !text.lines().any(|line| line.starts_with("threads")) {
        whole += "threads = 2\n";
    }
    let admin = format!("[admin]\nlisten = \"{admin}\"\n");
    if text.contains("[admin]\n") {
        whole += &text.replace("[admin]\n", &admin);
    } else {
        whole += &format!("{text}\n{admin}");
    }
    if !text.contains("[access_log]") {
        whole += "\n[access_log]\npath = \"DIR/access.log\"\nformat = \"json\"\n";
    }
    whole
}

fn read_lines(from: impl Read + Send + 'static, into: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            into.lock().unwrap().push(line);
        }
    });
}

fn watch_exit(mut child: Child) -> watch::Receiver<Option<ExitStatus>> {
    let (sender, receiver) = watch::channel(None);
    std::thread::spawn(move || {
        let status = child.wait().unwrap();
        sender.send_replace(Some(status));
    });
    receiver
}
