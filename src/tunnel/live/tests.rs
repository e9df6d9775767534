//! What others see of a tunnel, and how they reach it.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    task::{Wake, Waker},
};

use super::*;
use crate::tunnel::{CloseReason, Order};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn order(at: Instant) -> Order {
    Order { source: Source::Lasting, reason: CloseReason::Kicked, farewell: None, at, cut_at: None }
}

#[test]
fn an_order_wakes_the_tunnel_and_is_seen_once() {
    let live = Live::new(7, 0, 0, About::default(), Instant::now());
    let count = Arc::new(Count::default());
    live.listen(&Waker::from(Arc::clone(&count)));
    assert!(live.take_request().is_none());
    live.end(order(live.since()));
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(matches!(live.take_request(), Some(Request::End(got)) if *got == order(live.since())));
    assert!(live.take_request().is_none());
}

#[test]
fn the_earliest_order_counts_and_a_cut_before_all() {
    let live = Live::new(7, 0, 0, About::default(), Instant::now());
    let later = live.since() + Duration::from_secs(10);
    live.end(order(later));
    assert!(live.take_request().is_some());
    live.end(order(later + Duration::from_secs(1)));
    assert!(live.take_request().is_none());
    live.end(order(live.since()));
    assert!(matches!(live.take_request(), Some(Request::End(got)) if got.at == live.since()));
    live.cut();
    assert!(matches!(live.take_request(), Some(Request::Cut)));
}

#[test]
fn the_earliest_end_of_all_orders_counts_whichever_is_followed() {
    let live = Live::new(7, 0, 0, About::default(), Instant::now());
    let later = |seconds| live.since() + Duration::from_secs(seconds);
    let taken = || match live.take_request() {
        Some(Request::End(order)) => Some((order.at, order.cut_at)),
        _ => None,
    };
    live.end(Order { cut_at: Some(later(30)), ..order(later(20)) });
    assert_eq!(taken(), Some((later(20), Some(later(30)))));
    live.end(order(later(10)));
    assert_eq!(taken(), Some((later(10), Some(later(30)))));
    live.end(Order { cut_at: Some(later(25)), ..order(later(15)) });
    assert_eq!(taken(), Some((later(10), Some(later(25)))));
}

#[test]
fn an_order_given_before_anybody_listens_is_not_lost() {
    let live = Live::new(7, 0, 0, About::default(), Instant::now());
    live.cut();
    live.listen(Waker::noop());
    assert!(matches!(live.take_request(), Some(Request::Cut)));
}

#[tokio::test(start_paused = true)]
async fn the_last_activity_is_remembered_to_the_millisecond() {
    let live = Live::new(7, 0, 0, About::default(), Instant::now());
    tokio::time::advance(Duration::from_micros(1_234_567)).await;
    live.note_activity(Instant::now());
    assert_eq!(live.last_activity() - live.since(), Duration::from_millis(1234));
}

#[test]
fn round_trips_are_of_one_side() {
    let live = Live::new(7, 0, 0, About::default(), Instant::now());
    live.note_round_trip(Side::Backend, Duration::from_micros(42));
    assert_eq!((live.client_round_trip(), live.backend_round_trip()), (None, Some(Duration::from_micros(42))));
    live.note_round_trip(Side::Client, Duration::ZERO);
    assert_eq!(live.client_round_trip(), Some(Duration::from_micros(1)));
}

#[test]
fn an_open_tunnels_record_is_small() {
    // With the two counts of an Arc it takes one of the allocator's blocks of 320 bytes.
    assert!(size_of::<Live>() <= 304, "{}", size_of::<Live>());
}

#[tokio::test(start_paused = true)]
async fn what_is_open_counts_from_its_opening() {
    let begun = Instant::now();
    let live = Live::new(7, 0, 0, About::default(), begun);
    tokio::time::advance(Duration::from_millis(1500)).await;
    assert_eq!(live.since(), begun, "a handshake counts from its request");
    live.note_opened(Instant::now());
    assert_eq!((live.since() - begun, live.last_activity()), (Duration::from_millis(1500), live.since()));
}

#[test]
fn what_is_asked_for_a_servers_sake_is_not_asked_of_who_has_gone_on_to_another() {
    let live = Live::new(7, 0, 0, About::default(), Instant::now());
    let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
    let drained = || Order { source: Source::Server, ..order(live.since()) };
    live.note_backend(&one);
    live.end_at("other", drained());
    assert!(live.take_request().is_none());
    live.end_at("one", drained());
    assert!(matches!(live.take_request(), Some(Request::End(_))));
    live.note_backend(&other);
    assert!(matches!(live.take_request(), Some(Request::Stay)));
    live.end_at("one", drained());
    assert!(live.take_request().is_none());
}
