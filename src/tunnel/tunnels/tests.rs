//! The list: who is on it, who is told when.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::{Wake, Waker},
    time::Duration,
};

use super::*;
use crate::tunnel::{CloseReason, Fate, Kind, Open, Pace, Progress, live::Request};

impl Tunnels {
    /// A tunnel whose handshake is over.
    pub(in crate::tunnel) fn open(&self, route: usize, upstream: usize, about: About) -> Open {
        self.connect(route, upstream, about, Instant::now()).unwrap().open(None, "".into())
    }
}

fn tunnels() -> Tunnels {
    Tunnels::new(&Registry::new(), &["app".into()], &["app".into()])
}

fn drain(rate: u32) -> Drain {
    let now = Instant::now();
    Drain { reason: CloseReason::Drain, pace: Pace::new(rate, now.into_std()), cut_at: now + Duration::from_secs(30) }
}

fn told(open: &Open) -> Option<Instant> {
    order(open.live()).map(|order| order.at)
}

fn order(live: &Live) -> Option<Order> {
    match live.take_request() {
        Some(Request::End(order)) => Some(*order),
        _ => None,
    }
}

#[test]
fn places_are_used_again_and_identities_are_not() {
    let tunnels = tunnels();
    let first = tunnels.open(0, 0, About::default());
    let second = tunnels.open(0, 0, About::default());
    assert_eq!((first.live().id, second.live().id, tunnels.count()), (0, 1, 2));
    drop(first);
    let third = tunnels.open(0, 0, About::default());
    assert_eq!((third.live().id, tunnels.page(0).0[0].0, tunnels.count()), (2, 0, 2));
    drop((second, third));
    assert_eq!(tunnels.count(), 0);
    assert_eq!(tunnels.shared.list.lock().places.capacity(), 0);
}

#[test]
fn pages_show_each_tunnel_once() {
    let tunnels = tunnels();
    let mut open: Vec<Open> = (0..1000).map(|_| tunnels.open(0, 0, About::default())).collect();
    open.retain(|open| open.live().id % 3 != 0);
    let seen: Vec<u64> = tunnels.all().map(|live| live.id).collect();
    assert_eq!(seen, open.iter().map(|open| open.live().id).collect::<Vec<_>>());
    let (page, next) = tunnels.page(100_000);
    assert!(page.is_empty() && next.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_tells_the_longest_silent_first_and_those_that_come_later_last() {
    let tunnels = tunnels();
    let open: Vec<Open> = (0..3).map(|_| tunnels.open(0, 0, About::default())).collect();
    tokio::time::advance(Duration::from_secs(1)).await;
    open[0].live().note_activity(Instant::now());
    tokio::time::advance(Duration::from_secs(1)).await;
    open[1].live().note_activity(Instant::now());
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
    assert_eq!(tunnels.drain(|live| live.route == 1, |_| drain(10)), 1);
    assert!(told(&stays).is_none() && told(&goes).is_some());
    assert!(told(&tunnels.open(1, 0, About::default())).is_none());
}

#[test]
fn after_a_cut_no_tunnel_begins() {
    let tunnels = tunnels();
    let before = tunnels.open(0, 0, About::default());
    tunnels.cut_all();
    for open in [before, tunnels.open(0, 0, About::default())] {
        assert!(matches!(open.live().take_request(), Some(Request::Cut)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_drained_with_all_once_it_is_known_to_have_no_end() {
    let tunnels = tunnels();
    tunnels.drain_all(drain(10));
    let since = Instant::now();
    let answer = tunnels.list_answer(0, 0, About { kind: Kind::Http, ..About::default() }, since);
    assert!(answer.live().take_request().is_none());
    answer.note(&Progress { down: 7, ..Progress::default() });
    assert!(answer.live().take_request().is_none() && answer.live().totals().down.bytes == 7);
    answer.note(&Progress { down: 7, is_endless: true, ..Progress::default() });
    assert!(answer.live().take_request().is_some());
}

#[test]
fn what_is_drained_takes_no_handshake_until_it_is_taken_back_and_its_tunnels_stay_then() {
    let tunnels = Tunnels::new(&Registry::new(), &["a".into(), "b".into()], &["app".into()]);
    let open = tunnels.open(1, 0, About::default());
    let part = Part::Route(1);
    assert_eq!((tunnels.drain_part(&part, drain(10)), tunnels.drain_part(&part, drain(10))), (1, 1));
    assert!(told(&open).is_some() && tunnels.drained() == [part.clone()]);
    let connect = |route| tunnels.connect(route, 0, About::default(), Instant::now());
    assert!(connect(0).is_ok() && connect(1).is_err());
    assert!(tunnels.take_back(&part) && !tunnels.take_back(&part));
    assert!(matches!(open.live().take_request(), Some(Request::Stay)));
    assert!(connect(1).is_ok());
    // What else drains it goes on.
    tunnels.drain_part(&part, drain(10));
    tunnels.drain_all(drain(10));
    tunnels.take_back(&part);
    assert!(told(&open).is_some());
}

#[test]
fn a_tunnel_that_opens_to_a_drained_server_is_told_to_go() {
    let tunnels = tunnels();
    let connecting = tunnels.connect(0, 0, About::default(), Instant::now()).unwrap();
    let server: Arc<str> = "10.0.0.1:1".into();
    assert_eq!(tunnels.drain_part(&Part::Server(server.clone()), drain(10)), 0, "nobody knows yet where it leads");
    assert!(told(&connecting.open(Some(&server), "".into())).is_some());
}

#[tokio::test(start_paused = true)]
async fn taking_back_leaves_what_a_changed_route_and_another_part_have_asked() {
    let tunnels = tunnels();
    let open = tunnels.open(0, 0, About::default());
    let (route, upstream) = (Part::Route(0), Part::Upstream(0));
    tunnels.drain_part(&route, drain(1000));
    let first = order(open.live()).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    tunnels.drain_part(&upstream, drain(1000));
    tokio::time::advance(Duration::from_secs(1)).await;
    tunnels.follow(&[Fate::Drain], Drain { reason: CloseReason::RouteChanged, ..drain(1000) });
    assert!(order(open.live()).is_none_or(|order| order == first), "the first turn counts");
    tunnels.take_back(&route);
    let second = order(open.live()).unwrap();
    assert!(second.at > first.at && second.reason == CloseReason::Drain, "{second:?}");
    tunnels.take_back(&upstream);
    let third = order(open.live()).unwrap();
    assert!(third.at > second.at && third.reason == CloseReason::RouteChanged, "{third:?}");
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_taking_back_a_part_leaves_each_the_turn_that_the_stop_has_given_it() {
    let tunnels = tunnels();
    let open: Vec<Open> = (0..20).map(|_| tunnels.open(0, 0, About::default())).collect();
    tunnels.drain_all(drain(1));
    let turns: Vec<Instant> = open.iter().map(|open| told(open).unwrap()).collect();
    tunnels.drain_part(&Part::All, drain(1000));
    tunnels.take_back(&Part::All);
    let look = |open: &Open| {
        // Where the part's turn was no earlier there is nothing new to see.
        open.live().remind();
        told(open).unwrap()
    };
    let after: Vec<Instant> = open.iter().map(look).collect();
    assert_eq!(after, turns);
    // Who comes now is told as well: by the stop alone.
    assert!(told(&tunnels.open(0, 0, About::default())).unwrap() > turns[19]);
}

#[test]
fn a_handshake_that_goes_on_to_another_server_is_not_drained_with_the_first() {
    let tunnels = tunnels();
    let [first, second] = ["10.0.0.1:1", "10.0.0.2:1"].map(Arc::<str>::from);
    let asking = || {
        let connecting = tunnels.connect(0, 0, About::default(), Instant::now()).unwrap();
        connecting.note_backend(&first);
        connecting
    };
    let (noted, unnoted, stays) = (asking(), asking(), asking());
    assert_eq!(tunnels.drain_part(&Part::Server(first.clone()), drain(10)), 3);
    noted.note_backend(&second);
    noted.note_backend(&second);
    let opened = [(noted, &second), (unnoted, &second), (stays, &first)];
    let opened = opened.map(|(connecting, server)| connecting.open(Some(server), "".into()));
    assert_eq!([told(&opened[0]), told(&opened[1])], [None, None]);
    assert!(told(&opened[2]).is_some());
    assert_eq!(tunnels.drain_part(&Part::Server(second), drain(10)), 2);
}

/// Wants the list when it is woken, as the drop of a tunnel does.
struct Reader(Tunnels, AtomicBool);

impl Wake for Reader {
    fn wake(self: Arc<Self>) {
        let is_free = self.0.shared.list.try_lock().is_some();
        self.1.store(is_free, Ordering::Relaxed);
    }
}

#[test]
fn whoever_is_told_is_woken_when_the_list_is_free_again() {
    let tunnels = tunnels();
    let free = |live: &Live, tell: &dyn Fn()| {
        let reader = Arc::new(Reader(tunnels.clone(), AtomicBool::new(false)));
        live.listen(&Waker::from(reader.clone()));
        tell();
        reader.1.load(Ordering::Relaxed)
    };
    let answer = tunnels.list_answer(0, 0, About { kind: Kind::Http, ..About::default() }, Instant::now());
    let part = Part::Route(0);
    let open = tunnels.open(0, 0, About::default());
    assert!(free(open.live(), &|| _ = tunnels.drain_part(&part, drain(10))));
    assert!(free(open.live(), &|| _ = tunnels.take_back(&part)));
    tunnels.drain_all(drain(10));
    let begun = Progress { is_endless: true, ..Progress::default() };
    assert!(free(answer.live(), &|| answer.note(&begun)));
    assert!(free(open.live(), &|| tunnels.cut_all()));
}
