//! What becomes of the body: kept, joined, passed on, cut, broken off.

use super::*;

#[tokio::test]
async fn pieces_that_are_there_are_taken_together() {
    let cache = roomy();
    let (mut fill, mut reader) = lead(&cache, &get(&[])).begin(plan_of(&cache, &[FRESH])).unwrap();
    for piece in ["a", "b", "c"] {
        fill.push(Bytes::from_static(piece.as_bytes()));
    }
    let mut out = Vec::new();
    assert_eq!(reader.take_ready(&mut out, 2), Ok(false));
    assert_eq!(out, ["a", "b"]);
    fill.finish();
    assert_eq!(reader.take_ready(&mut out, 2), Ok(true));
    assert_eq!(out.len(), 3);
}

#[tokio::test]
async fn a_fill_that_breaks_off_is_an_error_to_every_reader_and_stores_nothing() {
    let cache = roomy();
    let plain = get(&[]);
    for way in 0..3 {
        let leader = lead(&cache, &plain);
        let unread = follow(&cache, &plain);
        let (mut fill, mut own) = leader.begin(plan_of(&cache, &[FRESH, ("Content-Length", "9")])).unwrap();
        let mut reader = streaming(follow(&cache, &plain), &plain).await;
        fill.push(Bytes::from_static(b"half"));
        assert_eq!(own.next().await.unwrap().unwrap(), "half");
        match way {
            0 => drop(fill),
            1 => fill.fail(),
            // RFC 9111 §3.3: fewer bytes than announced.
            _ => assert!(matches!(fill.finish(), Finished::NotStored(Reason::Incomplete))),
        }
        for reader in [&mut own, &mut reader] {
            assert_eq!(reader.next().await, Some(Err(FillFailed::Incomplete)));
            assert_eq!(reader.next().await, Some(Err(FillFailed::Incomplete)));
        }
        assert!(matches!(unread.head(&plain).await, FollowerOutcome::LeaderGone));
        assert!(!is_hit(&cache, &plain));
        drop((own, reader));
        assert_eq!(cache.held_bytes(), 0);
    }
}

#[tokio::test]
async fn a_body_that_outgrows_the_largest_object_reaches_its_readers_in_bounded_memory() {
    let cache = cache(64 * MEBIBYTE, 300_000);
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let (mut fill, own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    let follower = streaming(follow(&cache, &plain), &plain).await;
    let body: Vec<u8> = (0..2_000_000u32).map(|number| (number % 251) as u8).collect();
    let readers = tokio::spawn(async move { tokio::join!(read_all(own), read_all(follower)) });
    let (mut refused_late, mut most) = (false, 0);
    for piece in body.chunks(10_000) {
        fill.push(Bytes::copy_from_slice(piece));
        fill.ready().await;
        assert!(fill.is_wanted());
        if fill.passing().is_some() {
            most = most.max(cache.held_bytes());
            refused_late |= matches!(begin(&cache, &plain), Begin::Leader(_));
        }
    }
    assert!(refused_late && most <= PASS_WINDOW + 10_000 + 8192, "{most}");
    assert!(matches!(fill.finish(), Finished::NotStored(Reason::TooLarge)));
    let (one, other) = readers.await.unwrap();
    assert!(one.unwrap() == body && other.unwrap() == body);
    assert!(!is_hit(&cache, &plain));
    assert_eq!(cache.held_bytes(), 0);
}

#[tokio::test]
async fn two_hundred_mebibytes_stream_to_fifty_readers_within_the_window() {
    const PIECE: usize = 64 * 1024;
    let cache = cache(64 * MEBIBYTE, MEBIBYTE);
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let followers: Vec<Follower> = (0..50).map(|_| follow(&cache, &plain)).collect();
    let (mut fill, own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    let mut readers = tokio::task::JoinSet::new();
    let read = |mut reader: Reader| async move {
        let mut length = 0;
        while let Some(piece) = reader.next().await {
            let piece = piece.unwrap();
            assert_eq!(piece.first(), Some(&((length / PIECE) as u8)));
            length += piece.len();
        }
        length
    };
    readers.spawn(read(own));
    for follower in followers {
        readers.spawn(read(streaming(follower, &plain).await));
    }
    let pieces: Vec<Bytes> = (0..=255).map(|number| Bytes::from(vec![number; PIECE])).collect();
    let mut most = 0;
    for number in 0..200 * MEBIBYTE as usize / PIECE {
        fill.ready().await;
        fill.push(pieces[number % 256].clone());
        most = most.max(cache.held_bytes());
    }
    assert!(matches!(fill.finish(), Finished::NotStored(Reason::TooLarge)));
    while let Some(length) = readers.join_next().await {
        assert_eq!(length.unwrap(), 200 * MEBIBYTE as usize);
    }
    assert!(most < 2 * MEBIBYTE, "{most} bytes held");
    assert_eq!(cache.held_bytes(), 0);
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_by_its_head() {
    let cache = cache(64 * MEBIBYTE, 1000);
    let now = Clock::new().at(0);
    let (request, policy) = (get(&[]), rfc());
    let exchange = Exchange { request: &request, policy: &policy, requested: now, answered: now };
    let weigh = |length| cache.storable(&exchange, &response(200, &[FRESH, ("Content-Length", length)])).err();
    assert_eq!((weigh("1000"), weigh("1001")), (None, Some(Reason::TooLarge)));
}

#[tokio::test]
async fn without_room_nothing_is_stored_and_all_still_get_the_body() {
    let cache = cache(16_384, 8192);
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let (mut fill, own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    let hog = cache.charge(10_000).unwrap();
    for _ in 0..7 {
        fill.push(Bytes::from_static(&[7; 1000]));
    }
    assert_eq!(fill.passing(), Some(Reason::NoRoom));
    assert!(cache.held_bytes() <= 16_384);
    assert!(matches!(fill.finish(), Finished::NotStored(Reason::NoRoom)));
    assert_eq!(read_all(own).await.unwrap().len(), 7000);
    let _all = cache.charge(4000).unwrap();
    let follower_side = lead(&cache, &plain);
    let follower = follow(&cache, &plain);
    assert_eq!(follower_side.begin(plan_of(&cache, &[FRESH])).unwrap_err(), Reason::NoRoom);
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::NotStorable(Reason::NoRoom)));
    drop(hog);
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody_for_long() {
    let pipe = pipe::Pipe::new(Arc::new(plan_of(&roomy(), &[FRESH]).answer));
    let (mut stuck, mut quick) = (pipe.join().unwrap(), pipe.join().unwrap());
    pipe.stop_keeping();
    assert!(pipe.join().is_none());
    let half = Bytes::from(vec![0; PASS_WINDOW as usize / 2 + 1]);
    pipe.push(half.clone());
    pipe.push(half.clone());
    let patience = Duration::from_millis(20);
    // Both are equally slow: nobody is cut, the body waits.
    let waiting = tokio::time::timeout(patience * 5, pipe.drained(patience, |_| panic!("cut too early"))).await;
    assert!(waiting.is_err());
    quick.next().await.unwrap().unwrap();
    quick.next().await.unwrap().unwrap();
    let cut = std::cell::Cell::new(0);
    assert_eq!(pipe.drained(patience, |readers| cut.set(readers)).await, 0);
    assert_eq!(cut.get(), 1);
    assert_eq!(stuck.next().await, Some(Err(FillFailed::TooSlow)));
    pipe.push(half);
    assert!(quick.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_fill_is_wanted_while_it_is_kept_or_read() {
    let cache = cache(64 * MEBIBYTE, 100);
    let (mut fill, reader) = lead(&cache, &get(&[])).begin(plan_of(&cache, &[FRESH])).unwrap();
    let second = streaming(follow(&cache, &get(&[])), &get(&[])).await;
    drop(reader);
    assert!(fill.is_wanted());
    fill.push(Bytes::from_static(&[0; 200]));
    assert!(fill.is_wanted());
    drop(second);
    assert!(!fill.is_wanted());
    fill.ready().await;
}

#[tokio::test]
async fn a_vanished_first_client_does_not_stop_the_fill() {
    let cache = roomy();
    let plain = get(&[]);
    let (mut fill, own) = lead(&cache, &plain).begin(plan_of(&cache, &[FRESH])).unwrap();
    drop(own);
    fill.push(Bytes::from_static(b"body"));
    assert!(matches!(fill.finish(), Finished::Stored(_)));
    assert!(is_hit(&cache, &plain));
}

#[tokio::test]
async fn large_bodies_keep_their_pieces_and_small_pieces_are_joined() {
    let cache = roomy();
    for (piece, pieces, expected) in [(65_536, 4, 7), (20_000, 10, 4), (100, 3000, 6), (1, 65_536, 1), (65_536, 1, 1)] {
        cache.invalidate(KEY, None);
        let (mut fill, own) = lead(&cache, &get(&[])).begin(plan_of(&cache, &[FRESH])).unwrap();
        let mut body = Vec::new();
        for number in 0..pieces {
            let data = vec![number as u8; piece];
            body.extend_from_slice(&data);
            fill.push(data.into());
        }
        let Finished::Stored(stored) = fill.finish() else { panic!() };
        assert_eq!(stored.body.chunks().len(), expected);
        assert_eq!(stored.body.chunks().concat(), body);
        assert_eq!(stored.body.length(), body.len() as u64);
        assert_eq!(read_all(own).await.unwrap(), body);
    }
}
