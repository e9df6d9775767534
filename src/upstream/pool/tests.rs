use tokio::{io::AsyncWriteExt, net::UnixStream};

use super::*;
use crate::{
    net::{OutQueue, Stream},
    upstream::AnswerLimits,
};

const SECOND: Duration = Duration::from_secs(1);

fn connection() -> (Box<Connection>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let limits = AnswerLimits { head_bytes: 4096, fields: 64, answer_timeout: None, read_timeout: None };
    (Connection::new(Stream::Unix(ours), OutQueue::default(), limits), theirs)
}

#[tokio::test]
async fn the_one_kept_last_is_taken_first_and_only_by_its_server() {
    let (first, first_end) = connection();
    let (second, second_end) = connection();
    keep(1, first, SECOND, 8);
    keep(1, second, SECOND, 8);
    assert!(take(2).is_none());
    drop(first_end);
    assert!(take(1).is_some());
    // The other one has been closed meanwhile.
    tokio::time::sleep(SECOND / 100).await;
    assert!(take(1).is_none());
    drop(second_end);
}

#[tokio::test]
async fn one_that_spoke_out_of_turn_is_not_taken() {
    let (connection, mut end) = connection();
    keep(1, connection, SECOND, 8);
    end.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    tokio::time::sleep(SECOND / 100).await;
    assert!(take(1).is_none());
}

#[tokio::test]
async fn no_more_are_kept_than_asked_for() {
    let ends: Vec<UnixStream> = (0..4)
        .map(|_| {
            let (connection, end) = connection();
            keep(1, connection, SECOND, 2);
            end
        })
        .collect();
    assert!(take(1).is_some() && take(1).is_some() && take(1).is_none());
    drop(ends);
}

#[tokio::test]
async fn what_has_rested_long_enough_is_closed() {
    let (short, mut short_end) = connection();
    let (long, _long_end) = connection();
    keep(1, short, SECOND / 100, 8);
    keep(2, long, 60 * SECOND, 8);
    let mut nothing = [0; 1];
    let closed = tokio::io::AsyncReadExt::read(&mut short_end, &mut nothing);
    assert_eq!(tokio::time::timeout(5 * SECOND, closed).await.unwrap().unwrap(), 0);
    assert!(take(1).is_none() && take(2).is_some());
}

#[tokio::test]
async fn a_backend_that_closes_early_is_closed_to_before() {
    let (mut connection, _end) = connection();
    connection.let_rest(5 * SECOND);
    keep(1, connection, 60 * SECOND, 8);
    let mut idle = POOL.with_borrow_mut(|pool| pool.http1.remove(&1).unwrap().pop().unwrap());
    let kept = Instant::now();
    assert!((1..4).all(|sweep| idle.is_wanted(kept + sweep * SWEEP_EVERY)));
    assert!(!idle.is_wanted(kept + 4 * SWEEP_EVERY), "its end may be under way when a request leaves");
}

#[tokio::test]
async fn one_whose_backend_closes_before_it_could_be_swept_is_not_kept() {
    let (mut connection, _end) = connection();
    connection.let_rest(SWEEP_EVERY);
    keep(1, connection, 60 * SECOND, 8);
    assert!(take(1).is_none());
}

#[tokio::test]
async fn http_2_streams_share_a_connection_until_it_is_full() {
    let one = http2(1, SECOND);
    let others: Vec<Lease> = (1..STREAMS_BEFORE_SETTINGS).map(|_| http2(1, SECOND)).collect();
    assert!(others.iter().all(|other| Arc::ptr_eq(other.shared(), one.shared())));
    let another = http2(1, SECOND);
    assert!(!Arc::ptr_eq(another.shared(), one.shared()));
    assert!(!Arc::ptr_eq(http2(2, SECOND).shared(), one.shared()));
    drop(others);
    assert!(Arc::ptr_eq(http2(1, SECOND).shared(), one.shared()));
    forget_http2(1, one.shared());
    assert!(!Arc::ptr_eq(http2(1, SECOND).shared(), one.shared()));
}

#[tokio::test]
async fn an_http_2_connection_without_streams_rests_for_its_time() {
    let lease = http2(1, 5 * SECOND);
    let mut rested = POOL.with_borrow_mut(|pool| pool.http2.remove(&1).unwrap().pop().unwrap());
    let now = Instant::now();
    assert!(rested.is_wanted(now) && rested.is_wanted(now + 100 * SECOND));
    drop(lease);
    assert!(rested.is_wanted(now) && rested.is_wanted(now + 4 * SECOND));
    assert!(!rested.is_wanted(now + 6 * SECOND));
}

#[tokio::test]
async fn one_that_was_kept_just_after_a_sweep_rests_no_longer_than_its_time() {
    let (connection, _end) = connection();
    keep(1, connection, 5 * SECOND, 8);
    let mut idle = POOL.with_borrow_mut(|pool| pool.http1.remove(&1).unwrap().pop().unwrap());
    // The first sweep comes when it has rested for nearly as long as there is between two.
    let (kept, sweeps) = (Instant::now(), SWEEP_EVERY);
    assert!((1..5).all(|sweep| idle.is_wanted(kept + sweep * sweeps)));
    assert!(!idle.is_wanted(kept + 5 * sweeps), "its server may close it now, and a request get lost with it");
}
