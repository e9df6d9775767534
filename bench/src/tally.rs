//! What a load has come to, and what the gateway spent on it.

use std::{
    cell::{Cell, RefCell},
    fs,
    rc::Rc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Slower than this is told as this.
const SLOWEST_NS: u64 = 60_000_000_000;

/// Counts of one load; only what ends while it records, and at its end what is late by then.
pub struct Tally {
    recording: Cell<bool>,
    done: Cell<u64>,
    bytes: Cell<u64>,
    failed: Cell<u64>,
    latency: RefCell<Histogram<u64>>,
    first_failure: RefCell<Option<String>>,
    askers: RefCell<Vec<Rc<Cell<Option<Instant>>>>>,
}

impl Tally {
    pub fn new() -> Self {
        Self {
            recording: Cell::new(false),
            done: Cell::new(0),
            bytes: Cell::new(0),
            failed: Cell::new(0),
            latency: RefCell::new(Histogram::new_with_bounds(1, SLOWEST_NS, 3).expect("bounds and digits are allowed")),
            first_failure: RefCell::new(None),
            askers: RefCell::default(),
        }
    }

    pub fn record(&self, on: bool) {
        self.recording.set(on);
    }

    /// Begins anew.
    pub fn reset(&self) {
        self.done.set(0);
        self.bytes.set(0);
        self.failed.set(0);
        self.latency.borrow_mut().reset();
        self.first_failure.take();
    }

    /// One exchange that was meant to begin at `since`.
    pub fn done(&self, since: Instant, bytes: u64) {
        if self.recording.get() {
            self.done.set(self.done.get() + 1);
            self.bytes.set(self.bytes.get() + bytes);
            self.latency.borrow_mut().saturating_record(since.elapsed().as_nanos() as u64);
        }
    }

    /// One who asks; holds since when a question is under way.
    pub fn asker(&self) -> Rc<Cell<Option<Instant>>> {
        let asker = Rc::new(Cell::new(None));
        self.askers.borrow_mut().push(asker.clone());
        asker
    }

    /// At the end: what is still without an answer, and has waited longer than nearly all others, waited no less than until
    /// now. So does what is `overdue`, which nobody was free to ask.
    pub fn late(&self, overdue: Vec<Instant>) {
        let mut latency = self.latency.borrow_mut();
        let usual = Duration::from_nanos(latency.value_at_quantile(0.99));
        let under_way = self.askers.borrow();
        let waiting = under_way.iter().filter_map(|asker| asker.get()).chain(overdue).map(|since| since.elapsed());
        for waited in waiting.filter(|waited| *waited > usual) {
            latency.saturating_record(waited.as_nanos() as u64);
        }
    }

    /// Failures count always: none is expected.
    pub fn failed(&self, why: impl std::fmt::Display) {
        self.failed.set(self.failed.get() + 1);
        self.first_failure.borrow_mut().get_or_insert_with(|| why.to_string());
    }

    pub fn count(&self) -> u64 {
        self.done.get()
    }

    pub fn failures(&self) -> u64 {
        self.failed.get()
    }

    pub fn to_json(&self, time: Duration) -> Value {
        let latency = self.latency.borrow();
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        json!({
            "done": self.done.get(),
            "bytes": self.bytes.get(),
            "failed": self.failed.get(),
            "failure": *self.first_failure.borrow(),
            "seconds": time.as_secs_f64(),
            "latency_us": {
                "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": latency.max() as f64 / 1e3,
            },
        })
    }
}

/// A gateway's process with all its descendants, as /proc has them.
pub struct Watched {
    root: u32,
}

impl Watched {
    pub fn new(root: u32) -> Self {
        Self { root }
    }

    /// User and system time of all of them until now, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let ticks: u64 = self.pids().iter().map(|pid| cpu_ticks(*pid).unwrap_or(0)).sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Resident memory of all of them, shared pages counted once for each.
    pub fn resident_bytes(&self) -> u64 {
        let pages: u64 = self.pids().iter().map(|pid| resident_pages(*pid).unwrap_or(0)).sum();
        pages * rustix::param::page_size() as u64
    }

    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.root];
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            pids.extend(children(*pid));
            next += 1;
        }
        pids
    }
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let texts = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    texts.flat_map(|text| text.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect()
}

/// Fields 14 and 15 of proc_pid_stat(5), counted behind the name, which may hold anything.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn resident_pages(pid: u32) -> Option<u64> {
    fs::read_to_string(format!("/proc/{pid}/statm")).ok()?.split_whitespace().nth(1)?.parse().ok()
}
