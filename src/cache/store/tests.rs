//! What the store keeps, measured against a plain LRU and against the best that could be kept.

use std::collections::{BTreeMap, HashMap};

use crate::{
    cache::{
        Lookup, account,
        policy::testing::{Clock, get, rfc},
        tests::{cache, put_at},
    },
    clock::Now,
};

/// Keys in the order of their use, the least recent first, within a bound of bytes.
struct Lru {
    capacity: u64,
    held: u64,
    used: u64,
    by_use: BTreeMap<u64, (u32, u64)>,
    uses: HashMap<u32, u64>,
}

impl Lru {
    fn new(capacity: u64) -> Self {
        Self { capacity, held: 0, used: 0, by_use: BTreeMap::new(), uses: HashMap::new() }
    }

    /// Whether it is there; it is from now on.
    fn ask(&mut self, key: u32, cost: u64) -> bool {
        self.used += 1;
        let before = self.uses.insert(key, self.used);
        if let Some(before) = before {
            self.by_use.remove(&before);
        } else {
            self.held += cost;
        }
        self.by_use.insert(self.used, (key, cost));
        while self.held > self.capacity {
            let (_, (oldest, cost)) = self.by_use.pop_first().unwrap();
            self.uses.remove(&oldest);
            self.held -= cost;
        }
        before.is_some()
    }
}

/// Numbers of which the n-th is asked for in proportion to 1 / n^exponent.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(objects: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        Self(
            (1..=objects)
                .map(|rank| {
                    sum += f64::from(rank).powf(-exponent);
                    sum
                })
                .collect(),
        )
    }

    fn draw(&self, random: &mut fastrand::Rng) -> u32 {
        let at = random.f64() * self.0[self.0.len() - 1];
        self.0.partition_point(|&sum| sum < at) as u32
    }

    /// The share of requests for the first so many.
    fn share(&self, first: usize) -> f64 {
        self.0[first.min(self.0.len()) - 1] / self.0[self.0.len() - 1]
    }
}

struct Trial {
    objects: u32,
    body: usize,
    /// Bytes for this share of all objects.
    room: f64,
    requests: u32,
    /// How many requests for things that nobody asks for again come with each other request.
    scans: f64,
}

/// Hit ratios of the other requests in the second half.
#[derive(Debug)]
struct Ratios {
    own: f64,
    /// Of a plain LRU that has as many bytes for what it stores.
    lru: f64,
    /// Of a plain LRU that has the whole capacity for what it stores: nothing for fetches under way, nor for the allocator.
    whole_lru: f64,
    /// Of the whole capacity filled with what is asked for most.
    best: f64,
}

fn run(trial: &Trial) -> Ratios {
    let Trial { objects, body, room, requests, scans } = *trial;
    let (now, plain, policy, mut random) = (Clock::new().at(0), get(&[]), rfc(), fastrand::Rng::with_seed(7));
    let cost = cost_of(body, now);
    let capacity = (f64::from(objects) * room * cost as f64) as u64;
    let largest = 2 * body as u64;
    let (cache, zipf) = (cache(capacity, largest), Zipf::new(objects, 0.9));
    let stored = account::storable(account::usable(capacity, 2), largest);
    let (mut lru, mut whole_lru) = (Lru::new(stored), Lru::new(capacity));
    let whole = vec![b'x'; body];
    let mut ask = |key: u32| {
        let is_hit = matches!(cache.lookup(&key.to_be_bytes(), &plain, &policy, now), Lookup::Hit { .. });
        if !is_hit {
            put_at(&cache, &key.to_be_bytes(), &plain, &[("Cache-Control", "max-age=9999")], &whole, now);
        }
        [is_hit, lru.ask(key, cost), whole_lru.ask(key, cost)]
    };
    let (mut hits, mut owed, mut never_again) = ([0; 3], 0.0, objects);
    for number in 0..requests {
        let told = ask(zipf.draw(&mut random));
        if number >= requests / 2 {
            hits.iter_mut().zip(told).for_each(|(sum, hit)| *sum += u32::from(hit));
        }
        owed += scans;
        while owed >= 1.0 {
            (owed, never_again) = (owed - 1.0, never_again + 1);
            ask(never_again);
        }
    }
    let [own, lru, whole_lru] = hits.map(|hits| f64::from(hits) / f64::from(requests - requests / 2));
    Ratios { own, lru, whole_lru, best: zipf.share((capacity / cost) as usize) }
}

/// Bytes charged for one such answer.
fn cost_of(body: usize, now: Now) -> u64 {
    let cache = cache(64 << 20, 1 << 20);
    put_at(&cache, &[0; 4], &get(&[]), &[("Cache-Control", "max-age=9999")], &vec![0; body], now);
    cache.held_bytes()
}

#[test]
fn scans_do_not_push_out_what_is_asked_for_often() {
    let ratios = run(&Trial { objects: 5000, body: 500, room: 0.2, requests: 40_000, scans: 1.0 });
    assert!(ratios.own > ratios.whole_lru + 0.05, "{ratios:?}");
}

#[test]
fn the_hit_ratio_is_above_that_of_a_plain_lru() {
    let ratios = run(&Trial { objects: 5000, body: 500, room: 0.2, requests: 40_000, scans: 0.0 });
    assert!(ratios.own > ratios.lru && ratios.own > ratios.best - 0.15, "{ratios:?}");
}

#[test]
#[ignore = "a measurement, which takes a while"]
#[expect(clippy::print_stdout, reason = "it tells its figures")]
fn hit_ratios_of_a_large_load() {
    for scans in [0.0, 0.5, 2.0] {
        let ratios = run(&Trial { objects: 100_000, body: 8192, room: 0.2, requests: 1_000_000, scans });
        println!("{scans} scans to a request: {ratios:.4?}");
    }
}
