//! The byte bound against what the system says: the resident memory of a process that does nothing but fill a cache.
//!
//! Its own binary, with the program's allocator, and a process for each load, so that nothing else stands in the figures.
#![cfg(all(target_os = "linux", not(target_env = "msvc")))]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that can't go on says so, and tells its figures")]

use std::{collections::VecDeque, process::Command, sync::Arc};

use bytes::Bytes;
use tidegate::{
    cache::{Begin, Cache, Exchange, Fill, Lookup, Policy, Purge, Purged, Reader, key},
    clock::Now,
    config,
    metrics::Registry,
    wire::{Fields, RequestHead, ResponseHead, Scheme},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CAPACITY: u64 = 64 << 20;
/// What the bound may be passed by.
const TOLERANCE: f64 = 1.05;
/// Names the load that a process of this test has to run.
const LOAD: &str = "TIDEGATE_TEST_LOAD";

/// What one load is made of.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    /// Bodies, of sizes between these, as many small as large ones in each power of two.
    body: (f64, f64),
    /// Different URLs.
    urls: u64,
    /// Tags of an answer, of which one is its own.
    tags: u64,
    /// Fetches under way at any time, for each thread.
    fills: usize,
    /// Bytes brought into the cache by all threads.
    turnover: u64,
    threads: u64,
}

const LOADS: [Load; 6] = [
    Load { name: "mixed", body: (100.0, 1e6), urls: 20_000, tags: 3, fills: 12, turnover: 200 << 20, threads: 2 },
    Load { name: "small", body: (100.0, 4e3), urls: 200_000, tags: 3, fills: 12, turnover: 60 << 20, threads: 2 },
    Load { name: "tagged", body: (500.0, 5e3), urls: 100_000, tags: 12, fills: 4, turnover: 60 << 20, threads: 2 },
    Load { name: "large", body: (1e5, 1e6), urls: 1_000, tags: 1, fills: 12, turnover: 400 << 20, threads: 2 },
    Load { name: "mixed by 8", body: (100.0, 1e6), urls: 20_000, tags: 3, fills: 12, turnover: 400 << 20, threads: 8 },
    Load { name: "large by 8", body: (1e5, 1e6), urls: 1_000, tags: 1, fills: 12, turnover: 400 << 20, threads: 8 },
];

#[test]
fn resident_memory_stays_within_the_capacity() {
    if let Ok(name) = std::env::var(LOAD) {
        return run(LOADS.into_iter().find(|load| load.name == name).unwrap());
    }
    for load in LOADS {
        let mut process = Command::new(std::env::current_exe().unwrap());
        // The allocator gives back as soon as it does in the program.
        process.arg("--nocapture").env(LOAD, load.name).env("MIMALLOC_PURGE_DELAY", "100");
        let output = process.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().filter(|line| line.contains("of the capacity")).for_each(|line| println!("{line}"));
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Most of what was resident and charged while a load ran.
#[derive(Clone, Copy, Default)]
struct Most {
    resident: u64,
    charged: u64,
}

fn run(load: Load) {
    let (cache, base) = (cache(load.threads), resident());
    let most = std::thread::scope(|scope| {
        let begin = |seed| {
            scope.spawn({
                let cache = &cache;
                move || load.run(cache, seed)
            })
        };
        let threads: Vec<_> = (0..load.threads).map(begin).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Most::default(), Most::or)
    });
    let share = |bytes: u64| bytes as f64 / CAPACITY as f64;
    let [resident, end] = [most.resident, resident()].map(|bytes| share(bytes.saturating_sub(base)));
    let [most_charged, charged] = [most.charged, cache.held_bytes()].map(share);
    println!(
        "{:10}: resident {resident:.3} of the capacity at most and {end:.3} at the end, charged {most_charged:.3} and {charged:.3}",
        load.name
    );
    assert!(resident <= TOLERANCE, "{}: {resident:.3} of the capacity is resident", load.name);
    assert!(charged >= if load.threads > 4 { 0.35 } else { 0.6 }, "{}: the cache was not full", load.name);
}

impl Most {
    fn or(self, other: Self) -> Self {
        Self { resident: self.resident.max(other.resident), charged: self.charged.max(other.charged) }
    }
}

fn cache(threads: u64) -> Arc<Cache> {
    let mut config = config::minimal("127.0.0.1:1", "127.0.0.1:2").unwrap().cache;
    (config.capacity, config.max_object, config.threads) = (CAPACITY, CAPACITY / 8, threads as usize);
    Cache::new(&config, &Registry::new())
}

/// A fetch under way: what it has yet to bring, and the client that reads along and is slow.
struct Open {
    fill: Fill,
    left: u64,
    _reader: Option<Reader>,
}

impl Load {
    /// One thread's share: fetches that come in side by side in pieces of all sizes, look-ups, and now and then a purge.
    fn run(&self, cache: &Arc<Cache>, seed: u64) -> Most {
        let mut random = fastrand::Rng::with_seed(seed);
        let piece = Bytes::from(vec![b'x'; 16 * 1024]);
        let mut open: VecDeque<Open> = VecDeque::new();
        let (mut brought, mut most) = (0, Most::default());
        for step in 0u64.. {
            if step % 128 == 0 {
                most = most.or(Most { resident: resident(), charged: cache.held_bytes() });
            }
            if brought >= self.turnover / self.threads {
                break;
            }
            if open.len() >= self.fills || (!open.is_empty() && random.bool()) {
                let at = random.usize(..open.len());
                let Open { fill, left, .. } = &mut open[at];
                let size = (*left).min(random.u64(1..=piece.len() as u64));
                (*left, brought) = (*left - size, brought + size);
                fill.push(piece.slice(..size as usize));
                if *left == 0
                    && let Some(done) = open.swap_remove_back(at)
                {
                    done.fill.finish();
                }
                continue;
            }
            // A few are asked for far more often than the rest.
            let number = (self.urls as f64).powf(random.f64()) as u64;
            if let Some(begun) = self.ask(cache, number, &mut random) {
                brought += 1000;
                open.push_back(begun);
            }
            if random.u64(..5000) == 0 {
                cache.purge(&Purge { what: Purged::Tag(b"section-1".to_vec()), soft: false });
            }
        }
        most
    }

    fn ask(&self, cache: &Arc<Cache>, number: u64, random: &mut fastrand::Rng) -> Option<Open> {
        let now = Now::read();
        // What a URL is and has depends on its number alone.
        let mut own = fastrand::Rng::with_seed(number);
        let target = format!("/{number}/{}", "p".repeat(own.usize(..150)));
        let mut key = Vec::new();
        key::build(&mut key, Scheme::Http, "www.example.com", &target);
        let mut request = RequestHead { target, ..RequestHead::default() };
        request.fields.push("Accept-Encoding", ["gzip", "br", "identity"][random.usize(..3)]);
        request.fields.push("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0");
        let policy = policy();
        let Lookup::Miss(_) = cache.lookup(&key, &request, &policy, now) else { return None };
        let Begin::Leader(leader) = cache.begin_fill(&key, &request, &policy, now) else { return None };
        let (low, high) = self.body;
        let length = (low * (high / low).powf(own.f64())) as u64;
        let head = ResponseHead {
            status: 200,
            reason: b"OK".into(),
            fields: self.fields(number, length, &mut own),
            ..ResponseHead::default()
        };
        let exchange = Exchange { request: &request, policy: &policy, requested: now, answered: now };
        let (fill, reader) = leader.begin(cache.storable(&exchange, &head).ok()?).ok()?;
        // Some clients hold on to what they read.
        Some(Open { fill, left: length, _reader: Some(reader).filter(|_| own.u8(..4) == 0) })
    }

    fn fields(&self, number: u64, length: u64, own: &mut fastrand::Rng) -> Fields {
        let mut fields = Fields::new();
        fields.push("Cache-Control", "public, max-age=3600");
        fields.push("Content-Type", "text/html; charset=utf-8");
        fields.push("ETag", format!("\"{number}-{length}\""));
        fields.push("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT");
        fields.push("X-Filler", "f".repeat(own.usize(..600)));
        if own.bool() {
            fields.push("Content-Length", length.to_string());
        }
        if own.u8(..4) == 0 {
            fields.push("Vary", "Accept-Encoding");
        }
        let shared = (1..self.tags).map(|_| format!("section-{} ", own.u8(..50))).collect::<String>();
        fields.push("Cache-Tag", format!("{shared}page-{number}"));
        fields
    }
}

fn policy() -> Policy {
    let route = config::minimal("127.0.0.1:1", "127.0.0.1:2").unwrap();
    let cache = &route.routes[0].cache;
    Policy {
        store_set_cookie: cache.store_set_cookie,
        client_cache_control: cache.client_cache_control,
        heuristic: cache.heuristic,
        stale_if_error: cache.stale_if_error,
        stale_while_revalidate: cache.stale_while_revalidate,
        default_ttl: cache.default_ttl,
        targeted_fields: route.cache.targeted_fields.clone(),
    }
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}
