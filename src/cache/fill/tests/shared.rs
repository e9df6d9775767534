//! Who shares a fetch is counted with what it takes.

use super::*;

#[tokio::test]
async fn who_shares_a_body_counts_at_its_end_with_what_it_takes() {
    for length in [None, Some(("Content-Length", "10"))] {
        let (cache, plain) = (roomy(), get(&[]));
        let fields: Vec<_> = [FRESH, ("ETag", "\"a\"")].into_iter().chain(length).collect();
        let (mut fill, own) = lead(&cache, &plain).begin(plan_of(&cache, &fields)).unwrap();
        fill.push(Bytes::from_static(b"01234"));
        let known = get(&[("If-None-Match", "\"a\"")]);
        let first = get(&[("Range", "bytes=0-2")]);
        let mut readers = Vec::new();
        for request in [&plain, &plain, &known, &first] {
            let reader = streaming(follow(&cache, &plain), &plain).await;
            reader.count_shared(request);
            readers.push(reader);
        }
        assert_eq!(cache.metrics.saved.bytes(), 0);
        fill.push(Bytes::from_static(b"56789"));
        let Finished::Stored(stored) = fill.finish() else { panic!() };
        // A range of what has no known end is the whole.
        let bytes = 2 * 10 + if length.is_some() { 3 } else { 10 };
        assert_eq!((stored.hits(), stored.given_bytes(), cache.metrics.saved.bytes()), (4, bytes, bytes));
        assert_eq!(read_all(own).await.unwrap(), b"0123456789");
    }
}

#[tokio::test]
async fn a_fetch_counts_from_its_beginning_and_so_does_who_waits_for_it() {
    let (cache, plain) = (roomy(), get(&[]));
    let now = || (cache.metrics.fills.value(), cache.metrics.waiting.value());
    let leader = lead(&cache, &plain);
    let (first, second) = (follow(&cache, &plain), follow(&cache, &plain));
    assert_eq!(now(), (1, 2));
    drop(first);
    assert_eq!(now(), (1, 1));
    let (fill, _own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    let _reader = streaming(second, &plain).await;
    assert_eq!(now(), (1, 0), "who reads waits no longer");
    fill.finish();
    assert_eq!(now(), (0, 0));
    drop(lead(&cache, &get(&[("Cache-Control", "no-cache")])));
    assert_eq!(now(), (0, 0));
}

#[tokio::test]
async fn what_is_too_large_to_keep_is_shared_all_the_same() {
    let (cache, plain) = (cache(64 * MEBIBYTE, 1000), get(&[]));
    let (mut fill, _own) = lead(&cache, &plain).begin(plan_of(&cache, &[FRESH])).unwrap();
    let reader = streaming(follow(&cache, &plain), &plain).await;
    reader.count_shared(&plain);
    fill.push(Bytes::from_static(&[0; 2000]));
    assert!(matches!(fill.finish(), Finished::NotStored(Reason::TooLarge)));
    assert_eq!(cache.metrics.saved.bytes(), 2000);
}

#[tokio::test]
async fn what_breaks_off_has_spared_nothing() {
    let (cache, plain) = (roomy(), get(&[]));
    let (mut fill, _own) = lead(&cache, &plain).begin(plan_of(&cache, &[FRESH])).unwrap();
    streaming(follow(&cache, &plain), &plain).await.count_shared(&plain);
    fill.push(Bytes::from_static(b"half"));
    fill.fail();
    assert_eq!(cache.metrics.saved.bytes(), 0);
}
