//! Who gets a place, and that each comes back once.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

fn permits(total_max: Option<u64>, change: impl Fn(&mut RouteWebSocket)) -> Permits {
    let file = crate::config::minimal("127.0.0.1:1", "127.0.0.1:2").unwrap();
    let mut websocket = file.routes[0].websocket.clone();
    let unlimited = websocket.clone();
    change(&mut websocket);
    Permits::new(&Registry::new(), total_max, &[("chat".into(), &websocket), ("rest".into(), &unlimited)])
}

fn ip(last: u8) -> Option<IpAddr> {
    Some(Ipv4Addr::new(10, 0, 0, last).into())
}

fn limit(taken: Result<Permit, NoPermit>) -> PermitLimit {
    taken.err().unwrap().limit
}

#[test]
fn places_are_bounded_in_all_and_of_a_route_and_come_back() {
    let now = Instant::now();
    let permits = permits(Some(3), |websocket| websocket.max_connections = Some(2));
    let first = permits.take(0, ip(1), now).unwrap();
    let second = permits.take(0, None, now).unwrap();
    assert_eq!(limit(permits.take(0, ip(2), now)), PermitLimit::Connections);
    let third = permits.take(1, ip(1), now).unwrap();
    assert_eq!(limit(permits.take(1, ip(1), now)), PermitLimit::Tunnels);
    assert_eq!(permits.taken(), 3);
    drop(first);
    let fourth = permits.take(0, ip(2), now).unwrap();
    drop((second, third, fourth));
    assert_eq!(permits.taken(), 0);
    assert!(permits.shared.book.lock().clients.is_empty(), "nothing asks who they are");
}

#[test]
fn a_client_is_an_address_or_a_network_of_ipv6() {
    let now = Instant::now();
    let permits = permits(None, |websocket| websocket.max_connections_per_client = Some(1));
    let six = |upper: u16, lower: u16| Some(IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, upper, 0, 0, 0, lower)));
    let mapped = Some(IpAddr::from(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped()));
    let held = [ip(1), ip(2), six(1, 1), six(2, 1)].map(|client| permits.take(0, client, now).unwrap());
    for again in [ip(1), mapped, six(1, 2)] {
        assert_eq!(limit(permits.take(0, again, now)), PermitLimit::ConnectionsPerClient);
    }
    // Elsewhere, and where there is no address, nobody counts.
    let others = [permits.take(1, ip(1), now).unwrap(), permits.take(0, None, now).unwrap()];
    drop((held, others));
    assert_eq!((permits.taken(), permits.shared.book.lock().clients.len()), (0, 0));
    assert!(permits.take(0, ip(1), now).is_ok());
}

#[test]
fn handshakes_are_bounded_in_a_second_and_refused_ones_cost_nothing() {
    let now = Instant::now();
    let permits = permits(None, |websocket| {
        websocket.handshakes_per_second = Some(4);
        websocket.handshakes_per_second_per_client = Some(2);
    });
    drop((permits.take(0, ip(1), now).unwrap(), permits.take(0, ip(1), now).unwrap()));
    let refused = permits.take(0, ip(1), now).err().unwrap();
    assert_eq!(refused, NoPermit { limit: PermitLimit::HandshakesPerClient, after: Duration::from_millis(500) });
    drop((permits.take(0, ip(2), now).unwrap(), permits.take(0, ip(2), now).unwrap()));
    let refused = permits.take(0, ip(3), now).err().unwrap();
    assert_eq!(refused, NoPermit { limit: PermitLimit::Handshakes, after: Duration::from_millis(250) });
    let later = now + Duration::from_millis(250);
    assert!(permits.take(0, ip(3), later).is_ok(), "its own rate was not charged");
    let later = later + Duration::from_millis(250);
    assert!(permits.take(0, ip(1), later).is_ok(), "it came again when it was told to");
    assert_eq!(limit(permits.take(0, ip(2), later)), PermitLimit::Handshakes);
    assert_eq!(limit(permits.take(0, ip(1), later)), PermitLimit::HandshakesPerClient);
}

#[test]
fn clients_are_forgotten_when_nothing_is_to_be_known_of_them() {
    let mut now = Instant::now();
    let permits = permits(None, |websocket| websocket.handshakes_per_second_per_client = Some(1));
    let address = |number: u32| Some(IpAddr::from(Ipv4Addr::from_bits(number)));
    let stays = permits.take(0, address(0), now).unwrap();
    for number in 1..10_000 {
        now += Duration::from_millis(10);
        drop(permits.take(0, address(number), now).unwrap());
        assert!(permits.shared.book.lock().clients.len() <= PRUNE_FROM_FIRST + 100);
    }
    drop(stays);
    assert_eq!(permits.taken(), 0);
}

#[test]
fn more_clients_than_can_be_told_apart_are_let_in_and_counted() {
    let now = Instant::now();
    let permits = permits(None, |websocket| websocket.handshakes_per_second_per_client = Some(1));
    let address = |number: usize| Some(IpAddr::from(Ipv4Addr::from_bits(number as u32)));
    for number in 0..CLIENTS_MAX + 5 {
        drop(permits.take(0, address(number), now).unwrap());
    }
    assert_eq!(permits.shared.book.lock().clients.len(), CLIENTS_MAX);
    assert_eq!(limit(permits.take(0, address(7), now)), PermitLimit::HandshakesPerClient);
    assert!(permits.take(0, address(CLIENTS_MAX + 1), now).is_ok(), "it is not known");
    // Once the others are forgotten, it is.
    let later = now + Duration::from_secs(2);
    assert!(permits.take(0, address(CLIENTS_MAX + 1), later).is_ok());
    assert_eq!(limit(permits.take(0, address(CLIENTS_MAX + 1), later)), PermitLimit::HandshakesPerClient);
    assert_eq!(permits.taken(), 0);
}
