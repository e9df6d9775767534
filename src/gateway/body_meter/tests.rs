use std::future::poll_fn;

use super::*;

const GRACE: Duration = Duration::from_millis(200);

fn meter(rate: u64) -> BodyMeter {
    BodyMeter {
        rate,
        grace: GRACE,
        limit: u64::MAX,
        received: 0,
        waiting_since: None,
        waited: Duration::ZERO,
        watchdog: Watchdog::default(),
    }
}

async fn given_up(meter: &mut BodyMeter, within: Duration) -> bool {
    tokio::time::timeout(within, poll_fn(|cx| meter.poll_too_slow(cx))).await.is_ok()
}

#[tokio::test]
async fn silence_past_the_grace_is_too_slow() {
    let mut meter = meter(1024);
    assert!(!given_up(&mut meter, GRACE / 2).await);
    assert!(given_up(&mut meter, 10 * GRACE).await);
}

#[tokio::test]
async fn what_came_earns_time() {
    let mut meter = meter(1000);
    meter.count(1_000_000).unwrap();
    assert!(!given_up(&mut meter, 2 * GRACE).await);
}

#[tokio::test]
async fn dripping_does_not_renew_the_grace() {
    let mut meter = meter(1_000_000);
    let mut given = false;
    for _ in 0..8 {
        given |= given_up(&mut meter, GRACE / 2).await;
        meter.came();
        meter.count(1).unwrap();
    }
    assert!(given);
}

#[tokio::test]
async fn without_a_floor_nobody_is_too_slow() {
    assert!(!given_up(&mut meter(0), 3 * GRACE).await);
}

#[test]
fn the_limit_holds_for_what_came_and_for_what_is_announced() {
    let mut meter = meter(1);
    meter.limit(10);
    assert_eq!(meter.count(10), Ok(()));
    assert_eq!(meter.announce(1), Err(ClientFault::BodyTooLarge));
    assert_eq!(meter.announce(u64::MAX), Err(ClientFault::BodyTooLarge));
    assert_eq!(meter.count(1), Err(ClientFault::BodyTooLarge));
    meter.begin();
    assert_eq!((meter.received(), meter.count(11)), (0, Ok(())));
}
