//! The clients' end: each asks a few times, as the gateway does for it, and looks at what it gets.

use super::{
    backend::{Edition, Errand, Got, fetch, variant_of},
    *,
};

/// How often a request may find that its leader went away; the gateway has the same bound.
const TRIES: usize = 4;

pub(super) async fn client(world: Rc<World>) {
    for _ in 0..6 {
        world.pause(15_000).await;
        let key = world.number(0..KEYS as u64) as usize;
        let request = request_for(&world);
        let asking = ask(&world, key, &request);
        if world.percent(20) {
            let patience = Duration::from_millis(world.number(0..8000));
            if tokio::time::timeout(patience, asking).await.is_err() {
                world.note("vanished");
            }
        } else {
            asking.await;
        }
    }
}

fn request_for(world: &World) -> RequestHead {
    let variant = world.number(0..3).to_string();
    let mut fields = vec![("Foo", variant.as_str())];
    if world.percent(10) {
        fields.push(("Cache-Control", "no-cache"));
    }
    get(&fields)
}

/// One request, and what it may not be given any more.
struct Ask<'w> {
    world: &'w Rc<World>,
    key: usize,
    request: &'w RequestHead,
    purged: u32,
}

async fn ask(world: &Rc<World>, key: usize, request: &RequestHead) {
    let asked = Ask { world, key, request, purged: world.purged[key].get() };
    match world.cache.lookup(&[key as u8], request, &world.policy, world.now()) {
        Lookup::Hit { stored, .. } => asked.is_right("hit", &stored),
        Lookup::StaleWhileRevalidate { stored, .. } => {
            asked.is_right("stale hit", &stored);
            asked.refresh(stored);
        }
        Lookup::Miss(_) => asked.fill(None).await,
        Lookup::Revalidate { stored, .. } => asked.fill(Some(stored)).await,
        Lookup::Marked { .. } => world.note("passed"),
        other => panic!("{other:?}"),
    }
}

impl Ask<'_> {
    fn refresh(&self, stored: Arc<Stored>) {
        let (world, key) = (self.world, [self.key as u8]);
        let begun = world.cache.begin_refresh(&key, self.request, &world.policy, &stored, world.now());
        let Some(leader) = begun else { return };
        world.note("refresh");
        let errand = Errand { key: self.key, request: self.request.clone(), leader, stored: Some(stored) };
        let work = fetch(world.clone(), errand);
        world.spawn(async { drop(work.await) });
    }

    async fn fill(&self, mut stored: Option<Arc<Stored>>) {
        let world = self.world;
        for _ in 0..TRIES {
            let leader = match world.cache.begin_fill(&[self.key as u8], self.request, &world.policy, world.now()) {
                Begin::Leader(leader) => leader,
                Begin::Stored(stored) => return self.is_right("collapsed", &stored),
                Begin::Marked { .. } => return world.note("passed"),
                Begin::Follower(follower) => {
                    world.note("followed");
                    match follower.head(self.request).await {
                        FollowerOutcome::Streaming(reader) => return self.read("streamed", reader).await,
                        FollowerOutcome::Stored(stored) => return self.is_right("collapsed", &stored),
                        FollowerOutcome::NotStorable(_) => return world.note("told to pass"),
                        FollowerOutcome::TooSlow(leader) => {
                            world.note("went alone");
                            leader
                        }
                        FollowerOutcome::NotMyVariant => {
                            world.note("other variant");
                            continue;
                        }
                        FollowerOutcome::LeaderGone => {
                            world.note("leader gone");
                            continue;
                        }
                    }
                }
            };
            world.note("led");
            match self.lead(leader, stored.take()).await {
                Got::Stored(stored) => return self.is_right("led to the end", &stored),
                Got::Growing(reader) => return self.read("read its own", reader).await,
                Got::Other => return,
                Got::Again => {}
            }
        }
        world.note("passed");
    }

    /// Waits for a fetch, which may go on when this is dropped, or may be dropped with it.
    async fn lead(&self, leader: Leader, stored: Option<Arc<Stored>>) -> Got {
        let (tell, told) = tokio::sync::oneshot::channel();
        let errand = Errand { key: self.key, request: self.request.clone(), leader, stored };
        let work = fetch(self.world.clone(), errand);
        let task = self.world.spawn(async {
            // Nobody may be there any more.
            let _ = tell.send(work.await);
        });
        let mut first = FirstClient { world: self.world, task: Some(task) };
        let got = told.await.unwrap();
        first.task = None;
        got
    }

    async fn read(&self, what: &'static str, mut reader: Reader) {
        let slowness = if self.world.percent(15) { 15_000 } else { 20 };
        let mut body = Vec::new();
        while let Some(piece) = reader.next().await {
            match piece {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(FillFailed::Incomplete) => return self.world.note("cut short"),
                Err(FillFailed::TooSlow) => return self.world.note("too slow"),
            }
            self.world.pause(slowness).await;
        }
        self.matches(what, reader.answer(), &body);
    }

    fn is_right(&self, what: &'static str, stored: &Stored) {
        self.matches(what, &stored.answer, &stored.body.chunks().concat());
    }

    /// The whole of an answer that this request may have.
    #[track_caller]
    fn matches(&self, what: &'static str, answer: &Answer, body: &[u8]) {
        self.world.note(what);
        let edition = Edition::of(answer);
        let (key, variant) = (self.key, variant_of(self.key, self.request));
        assert_eq!((edition.key, edition.variant), (key, variant), "{what}: another's answer");
        assert!(body == edition.body(), "{what}: {} bytes of {}", body.len(), edition.body().len());
        let is_allowed =
            edition.version > self.purged || self.world.confirmed.borrow().contains(&(key, edition.version));
        assert!(is_allowed, "{what}: {edition:?} was purged with {} before this request came", self.purged);
    }
}

/// The client that a fetch was begun for.
struct FirstClient<'w> {
    world: &'w World,
    task: Option<tokio::task::AbortHandle>,
}

impl Drop for FirstClient<'_> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        if self.world.percent(50) {
            task.abort();
        } else {
            self.world.note("orphaned");
        }
    }
}
