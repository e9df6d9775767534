//! Who has asked for what, and what of it is in force.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const EACH: [Source; SOURCES] = [Source::Lasting, Source::All, Source::Route, Source::Upstream, Source::Server];

fn order(source: Source, start: Instant, at: u64, cut_at: Option<u64>) -> Order {
    let later = |seconds| start + Duration::from_secs(seconds);
    Order { source, reason: CloseReason::Drain, farewell: None, at: later(at), cut_at: cut_at.map(later) }
}

#[test]
fn what_one_source_takes_back_leaves_what_others_have_asked() {
    let start = Instant::now();
    let mut orders = Orders::default();
    let changed = Order { reason: CloseReason::RouteChanged, ..order(Source::Lasting, start, 20, Some(60)) };
    orders.add(order(Source::Route, start, 10, Some(30)));
    orders.add(changed.clone());
    let both = orders.in_force().unwrap();
    assert_eq!((both.reason, both.at), (CloseReason::Drain, start + Duration::from_secs(10)));
    orders.take_back(Source::Server);
    assert_eq!(orders.in_force(), Some(both));
    orders.take_back(Source::Route);
    assert_eq!(orders.in_force(), Some(changed));
    orders.take_back(Source::Lasting);
    assert_eq!(orders.in_force(), None);
}

proptest! {
    /// Beside the slow twin, which remembers every order and looks at those that count.
    #[test]
    fn what_is_in_force_is_the_earliest_of_what_was_not_taken_back(
        steps in proptest::collection::vec((0..SOURCES, 0..50u64, proptest::option::of(0..50u64), any::<bool>()), 0..20)
    ) {
        let start = Instant::now();
        let (mut orders, mut twin) = (Orders::default(), Vec::new());
        for (source, at, cut_at, takes_back) in steps {
            let source = EACH[source];
            if takes_back {
                orders.take_back(source);
                twin.retain(|order: &Order| order.source != source);
            } else {
                orders.add(order(source, start, at, cut_at));
                twin.push(order(source, start, at, cut_at));
            }
            let in_force = orders.in_force().map(|order| (order.at, order.cut_at));
            let earliest = twin.iter().map(|order| order.at).min();
            let cut_at = twin.iter().filter_map(|order| order.cut_at).min();
            prop_assert_eq!(in_force, earliest.map(|at| (at, cut_at)));
            prop_assert_eq!(orders.0.is_some(), !twin.is_empty(), "who is asked nothing holds nothing");
        }
    }
}
