//! The backend's end: what it says, when, and how it breaks off. The fetch itself goes as the gateway's does.

use super::*;

/// All answers carry it.
pub(super) const TAG: &str = "everything";

/// What a fetch brought its client.
pub(super) enum Got {
    Stored(Arc<Stored>),
    Growing(Reader),
    /// An answer for nobody else, or none.
    Other,
    /// The 304 was about something else.
    Again,
}

/// What a fetch is for.
pub(super) struct Errand {
    pub(super) key: usize,
    pub(super) request: RequestHead,
    pub(super) leader: Leader,
    pub(super) stored: Option<Arc<Stored>>,
}

/// Which answer it is; its entity tag says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edition {
    pub(super) key: usize,
    pub(super) variant: usize,
    pub(super) version: u32,
}

impl Edition {
    pub(super) fn of(answer: &Answer) -> Self {
        let tag = std::str::from_utf8(answer.etag.as_deref().unwrap()).unwrap().trim_matches('"');
        let mut numbers = tag.split('-').map(|number| number.parse::<u32>().unwrap());
        let mut next = || numbers.next().unwrap();
        Self { key: next() as usize, variant: next() as usize, version: next() }
    }

    fn tag(self) -> String {
        format!("\"{}-{}-{}\"", self.key, self.variant, self.version)
    }

    /// Its body: mostly small, sometimes empty, sometimes too large to be kept.
    pub(super) fn body(self) -> Vec<u8> {
        let mut random =
            fastrand::Rng::with_seed(u64::from(self.version) * 31 + self.variant as u64 * 7 + self.key as u64);
        let length = match random.u32(0..10) {
            0 => 0,
            1 => random.usize(MAX_OBJECT as usize..8 * MAX_OBJECT as usize),
            _ => random.usize(1..20_000),
        };
        // A prime number of bytes, so that a piece which is lost, doubled or moved shows.
        let block: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(251).collect();
        let mut body = block.repeat(length.div_ceil(block.len()));
        body.truncate(length);
        body
    }
}

pub(super) async fn fetch(world: Rc<World>, errand: Errand) -> Got {
    let Errand { key, request, leader, stored } = errand;
    let requested = world.now();
    world.pause(if world.percent(12) { 30_000 } else { 2000 }).await;
    let answered = world.now();
    let exchange = Exchange { request: &request, policy: &world.policy, requested, answered };
    if world.percent(12) {
        let failure = crate::cache::BackendFailure::Unreachable;
        let Some(stored) = stored else { return Got::Other };
        if world.cache.stale_usable(&request, &stored.answer, failure, &world.policy, answered) {
            world.note("stood in");
            leader.resolve_stale(&stored);
            return Got::Stored(stored);
        }
        return Got::Other;
    }
    if let Some(stored) = stored.filter(|_| world.percent(60)) {
        return validate(&world, &exchange, leader, &stored);
    }
    world.versions[key].set(world.versions[key].get() + 1);
    let variant = variant_of(key, &request);
    let edition = Edition { key, variant, version: world.versions[key].get() };
    let body = edition.body();
    let head = head_of(&world, edition, body.len());
    match world.cache.storable(&exchange, &head) {
        Ok(plan) => keep(world, leader, plan, body),
        Err(reason) => {
            leader.pass(reason, head.status, answered);
            Got::Other
        }
    }
}

fn validate(world: &World, exchange: &Exchange<'_>, leader: Leader, stored: &Arc<Stored>) -> Got {
    let edition = Edition::of(&stored.answer);
    let same = world.percent(90);
    let tag = if same { edition.tag() } else { "\"9-9-9\"".to_owned() };
    let head = response(304, &[("Cache-Control", "max-age=3, stale-while-revalidate=10"), ("ETag", &tag)]);
    if same {
        world.confirmed.borrow_mut().insert((edition.key, edition.version));
    }
    match leader.freshen(exchange, stored, &head, |_| {}) {
        Ok((stored, _)) => {
            world.note("freshened");
            Got::Stored(stored)
        }
        Err(_) => Got::Again,
    }
}

/// Key 0 has one answer for all, the others vary.
pub(super) fn variant_of(key: usize, request: &RequestHead) -> usize {
    let named = request.fields.get_str("foo").map_or(0, |name| name.parse().unwrap());
    if key == 0 { 0 } else { named }
}

fn head_of(world: &World, edition: Edition, length: usize) -> ResponseHead {
    let (tag, length) = (edition.tag(), length.to_string());
    let status = if world.percent(8) { 503 } else { 200 };
    let control = match world.number(0..10) {
        0 => "private",
        1 => "no-cache",
        2 => "max-age=0, stale-while-revalidate=10",
        3..6 => "max-age=2",
        _ => "max-age=5, stale-while-revalidate=10",
    };
    let mut fields = vec![("Cache-Control", control), ("ETag", &tag), ("Cache-Tag", TAG)];
    if edition.key > 0 {
        fields.push(("Vary", "foo"));
    }
    if world.percent(50) {
        fields.push(("Content-Length", &length));
    }
    response(status, &fields)
}

fn keep(world: Rc<World>, leader: Leader, plan: Plan, body: Vec<u8>) -> Got {
    if body.len() < 3000 && world.percent(50) {
        return leader.store_whole(plan, &body).map_or(Got::Other, Got::Stored);
    }
    match leader.begin(plan) {
        Ok((fill, reader)) => {
            world.spawn(pump(world.clone(), fill, body));
            Got::Growing(reader)
        }
        Err(_) => Got::Other,
    }
}

/// Brings a body, or the front of it.
async fn pump(world: Rc<World>, mut fill: Fill, body: Vec<u8>) {
    let dies_at = world.percent(20).then(|| world.number(0..body.len() as u64 + 1) as usize);
    let slowness = if world.percent(20) { 3000 } else { 20 };
    let mut rest = &body[..dies_at.unwrap_or(body.len())];
    while !rest.is_empty() {
        fill.ready().await;
        if !fill.is_wanted() {
            return world.note("unwanted");
        }
        world.pause(slowness).await;
        let (piece, left) = rest.split_at(rest.len().min(1 + world.number(0..9000) as usize));
        fill.push(Bytes::copy_from_slice(piece));
        assert!(world.cache.held_bytes() <= CAPACITY);
        rest = left;
    }
    if dies_at.is_some() {
        // A body that has all of its bytes but not its end is no whole body either.
        return if world.percent(50) { fill.fail() } else { drop(fill) };
    }
    match fill.finish() {
        Finished::Stored(stored) => assert!(stored.body.chunks().concat() == body),
        Finished::NotStored(Reason::TooLarge) => world.note("too large"),
        Finished::NotStored(Reason::Incomplete) => panic!("it was complete"),
        Finished::NotStored(_) => {}
    }
}
