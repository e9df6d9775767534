use std::{future::poll_fn, time::Duration};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn soon(seconds: u32) -> Instant {
    tokio::time::Instant::now().into_std() + SECOND * seconds
}

/// Seconds until it expires.
async fn expires(watchdog: &mut Watchdog) -> u64 {
    let begun = tokio::time::Instant::now();
    poll_fn(|cx| watchdog.poll_expired(cx)).await;
    begun.elapsed().as_millis().div_ceil(10) as u64 / 100
}

#[tokio::test(start_paused = true)]
async fn it_expires_at_its_deadline() {
    let mut watchdog = Watchdog::default();
    watchdog.set(Some(soon(3)));
    assert_eq!(expires(&mut watchdog).await, 3);
    // Expired stays expired until it is set anew.
    assert_eq!(expires(&mut watchdog).await, 0);
    watchdog.set(Some(soon(2)));
    assert_eq!(expires(&mut watchdog).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_moved_on_is_waited_for() {
    let mut watchdog = Watchdog::default();
    watchdog.set(Some(soon(1)));
    assert!(poll_fn(|cx| std::task::Poll::Ready(watchdog.poll_expired(cx))).await.is_pending());
    watchdog.set(Some(soon(5)));
    assert_eq!(expires(&mut watchdog).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_moved_closer_is_kept() {
    let mut watchdog = Watchdog::default();
    watchdog.set(Some(soon(60)));
    assert!(poll_fn(|cx| std::task::Poll::Ready(watchdog.poll_expired(cx))).await.is_pending());
    watchdog.set(Some(soon(2)));
    assert_eq!(expires(&mut watchdog).await, 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_it_never_expires() {
    let mut watchdog = Watchdog::default();
    assert!(!watchdog.is_set());
    watchdog.set(Some(soon(1)));
    watchdog.set(None);
    let waited = tokio::time::timeout(SECOND * 1000, poll_fn(|cx| watchdog.poll_expired(cx))).await;
    assert!(waited.is_err());
}

#[tokio::test(start_paused = true)]
async fn asked_by_a_task_that_has_used_up_its_turn_it_still_expires() {
    let mut watchdog = Watchdog::default();
    watchdog.set(Some(soon(2)));
    poll_fn(|cx| {
        // Whatever takes part in taking turns uses them up.
        while tokio::task::coop::has_budget_remaining() {
            let mut turn = std::pin::pin!(tokio::task::coop::consume_budget());
            let _taken = std::future::Future::poll(turn.as_mut(), cx);
        }
        assert!(watchdog.poll_expired(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(expires(&mut watchdog).await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_task_that_asked_last_is_woken() {
    let mut watchdog = Watchdog::default();
    watchdog.set(Some(soon(2)));
    assert!(watchdog.poll_expired(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(expires(&mut watchdog).await, 2);
    watchdog.set(Some(soon(2)));
    assert!(poll_fn(|cx| Poll::Ready(watchdog.poll_expired(cx))).await.is_pending());
    let elsewhere = tokio::spawn(async move { expires(&mut watchdog).await });
    assert_eq!(elsewhere.await.unwrap(), 2);
}
