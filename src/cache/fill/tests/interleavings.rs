//! No wake-up is lost, in one thread and in many.

use super::*;

#[tokio::test]
async fn a_change_between_looking_and_waiting_is_not_missed() {
    // Every order of one reader's polls and the fill's steps: the last poll is always ready.
    for order in 0..1 << 6 {
        let cache = roomy();
        let plain = get(&[]);
        let leader = lead(&cache, &plain);
        let follower = follow(&cache, &plain);
        let mut reading = Box::pin(async {
            let mut reader = match follower.head(&plain).await {
                FollowerOutcome::Streaming(reader) => reader,
                FollowerOutcome::Stored(stored) => return stored.body.chunks().concat(),
                other => panic!("{other:?}"),
            };
            let mut body = Vec::new();
            while let Some(piece) = reader.next().await {
                body.extend_from_slice(&piece.unwrap());
            }
            body
        });
        let mut result = None;
        let mut step = |at: u32| {
            if order >> at & 1 == 1
                && result.is_none()
                && let Poll::Ready(body) = poll(&mut reading)
            {
                result = Some(body);
            }
        };
        step(0);
        let (mut fill, _own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
        step(1);
        fill.push(Bytes::from_static(b"a"));
        step(2);
        fill.push(Bytes::from_static(b"b"));
        step(3);
        fill.finish();
        step(4);
        step(5);
        let body = result.or_else(|| match poll(&mut reading) {
            Poll::Ready(body) => Some(body),
            Poll::Pending => None,
        });
        assert_eq!(body.as_deref(), Some(&b"ab"[..]), "{order:b}");
    }
}

#[test]
fn many_runtimes_share_one_fetch_and_nobody_sleeps_for_ever() {
    let cache = roomy();
    let fetches = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    let work = async {
                        for round in 0..200u32 {
                            let key = round.to_be_bytes();
                            let tasks = (0..5).map(|_| one_request(&cache, key, &fetches));
                            for body in futures_util::future::join_all(tasks).await {
                                assert_eq!(body, vec![round as u8; 3 * 1000]);
                            }
                        }
                    };
                    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
                });
            });
        }
    });
    assert_eq!(fetches.into_inner(), 200);
}

/// One client's way through look-up, fill and follow; the leader fails nobody.
async fn one_request(cache: &Arc<Cache>, key: [u8; 4], fetches: &std::sync::atomic::AtomicUsize) -> Vec<u8> {
    let plain = get(&[]);
    loop {
        match cache.begin_fill(&key, &plain, &rfc(), Now::read()) {
            Begin::Stored(stored) => return stored.body.chunks().concat(),
            Begin::Follower(follower) => match follower.head(&plain).await {
                FollowerOutcome::Streaming(reader) => return read_all(reader).await.unwrap(),
                FollowerOutcome::Stored(stored) => return stored.body.chunks().concat(),
                FollowerOutcome::LeaderGone => {}
                other => panic!("{other:?}"),
            },
            Begin::Marked { until } => panic!("{until:?}"),
            Begin::Leader(leader) => {
                fetches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::task::yield_now().await;
                let now = Now::read();
                let exchange = Exchange { request: &plain, policy: &rfc(), requested: now, answered: now };
                let plan = cache.storable(&exchange, &response(200, &[FRESH])).unwrap();
                let (mut fill, reader) = leader.begin(plan).unwrap();
                let reading = tokio::spawn(read_all(reader));
                for _ in 0..3 {
                    fill.push(vec![u32::from_be_bytes(key) as u8; 1000].into());
                    tokio::task::yield_now().await;
                }
                assert!(matches!(fill.finish(), Finished::Stored(_)));
                return reading.await.unwrap().unwrap();
            }
        }
    }
}
