//! The list: who is on it, who is told when.

use super::*;

fn tunnels() -> Tunnels {
    Tunnels::new(&Registry::new(), &["app".into()], &["app".into()])
}

fn drain(rate: u32) -> Drain {
    let now = Instant::now();
    Drain { reason: CloseReason::Drain, pace: Pace::new(rate, now.into_std()), cut_at: now + Duration::from_secs(30) }
}

fn told(open: &Open) -> Option<Instant> {
    match open.live.take_request() {
        Some(crate::tunnel::live::Request::End(order)) => Some(order.at),
        _ => None,
    }
}

#[test]
fn places_are_used_again_and_identities_are_not() {
    let tunnels = tunnels();
    let first = tunnels.open(0, 0, About::default());
    let second = tunnels.open(0, 0, About::default());
    assert_eq!((first.live.id, second.live.id, tunnels.count()), (0, 1, 2));
    drop(first);
    let third = tunnels.open(0, 0, About::default());
    assert_eq!((third.live.id, third.place, tunnels.count()), (2, 0, 2));
    drop((second, third));
    assert_eq!(tunnels.count(), 0);
    assert_eq!(tunnels.shared.list.lock().places.capacity(), 0);
}

#[test]
fn pages_show_each_tunnel_once() {
    let tunnels = tunnels();
    let mut open: Vec<Open> = (0..1000).map(|_| tunnels.open(0, 0, About::default())).collect();
    open.retain(|open| open.live.id % 3 != 0);
    let seen: Vec<u64> = tunnels.all().map(|live| live.id).collect();
    assert_eq!(seen, open.iter().map(|open| open.live.id).collect::<Vec<_>>());
    let (page, next) = tunnels.page(100_000);
    assert!(page.is_empty() && next.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_tells_the_longest_silent_first_and_those_that_come_later_last() {
    let tunnels = tunnels();
    let open: Vec<Open> = (0..3).map(|_| tunnels.open(0, 0, About::default())).collect();
    tokio::time::advance(Duration::from_secs(1)).await;
    open[0].live.note_activity(Instant::now());
    tokio::time::advance(Duration::from_secs(1)).await;
    open[1].live.note_activity(Instant::now());
    assert_eq!(tunnels.drain_all(drain(10)), 3);
    let late = tunnels.open(0, 0, About::default());
    let moments = [&open[2], &open[0], &open[1], &late].map(|open| told(open).unwrap());
    assert!(moments.is_sorted() && moments[3] - moments[0] > Duration::from_millis(200), "{moments:?}");
    // A second drain changes nothing.
    assert_eq!(tunnels.drain_all(drain(10)), 0);
    assert!(open.iter().all(|open| told(open).is_none()));
}

#[test]
fn a_part_may_be_drained() {
    let tunnels = Tunnels::new(&Registry::new(), &["a".into(), "b".into()], &["app".into()]);
    let (stays, goes) = (tunnels.open(0, 0, About::default()), tunnels.open(1, 0, About::default()));
    assert_eq!(tunnels.drain(|live| live.route == 1, &mut drain(10)), 1);
    assert!(told(&stays).is_none() && told(&goes).is_some());
    assert!(told(&tunnels.open(1, 0, About::default())).is_none());
}

#[test]
fn after_a_cut_no_tunnel_begins() {
    let tunnels = tunnels();
    let before = tunnels.open(0, 0, About::default());
    tunnels.cut_all();
    for open in [before, tunnels.open(0, 0, About::default())] {
        assert!(matches!(open.live.take_request(), Some(crate::tunnel::live::Request::Cut)));
    }
}
