use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;

use super::*;

fn connections(total: usize, of_one_address: usize) -> Connections {
    Connections::new(&limits(total, of_one_address), vec!["10.0.0.0/8".parse().unwrap()])
}

fn limits(connections: usize, connections_per_address: usize) -> config::Limits {
    config::Limits { connections, connections_per_address, ..crate::listen::testing::limits() }
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn the_total_cap_refuses_and_a_drop_gives_the_place_back() {
    let connections = connections(2, 10);
    let first = connections.admit(ip("192.0.2.1")).unwrap();
    let _second = connections.admit(None).unwrap();
    assert_eq!(connections.admit(ip("192.0.2.2")).err(), Some(Limit::Connections));
    assert_eq!(connections.open(), 2);
    drop(first);
    assert!(connections.admit(ip("192.0.2.2")).is_ok());
}

#[test]
fn the_cap_of_one_address_leaves_others_alone_and_takes_no_total() {
    let connections = connections(10, 1);
    let first = connections.admit(ip("192.0.2.1")).unwrap();
    assert_eq!(connections.admit(ip("192.0.2.1")).err(), Some(Limit::ConnectionsPerAddress));
    assert_eq!(connections.open(), 1);
    let _other = connections.admit(ip("192.0.2.2")).unwrap();
    drop(first);
    assert!(connections.admit(ip("192.0.2.1")).is_ok());
}

#[test]
fn one_ipv6_network_of_64_bits_is_one_address_and_a_mapped_address_is_its_ipv4_address() {
    let connections = connections(10, 1);
    let _first = connections.admit(ip("2001:db8:0:1::1")).unwrap();
    assert_eq!(connections.admit(ip("2001:db8:0:1:ffff::9")).err(), Some(Limit::ConnectionsPerAddress));
    let _neighbour = connections.admit(ip("2001:db8:0:2::1")).unwrap();
    let _plain = connections.admit(ip("192.0.2.1")).unwrap();
    assert_eq!(connections.admit(ip("::ffff:192.0.2.1")).err(), Some(Limit::ConnectionsPerAddress));
    let _mapped = connections.admit(ip("::ffff:192.0.2.2")).unwrap();
}

#[test]
fn trusted_proxies_and_unix_sockets_are_counted_in_all_only() {
    let connections = connections(4, 1);
    let _held: Vec<_> =
        [ip("10.1.2.3"), ip("10.1.2.3"), None, None].map(|client| connections.admit(client).unwrap()).into();
    assert_eq!(connections.addresses(), 0);
    assert_eq!(connections.admit(ip("10.1.2.3")).err(), Some(Limit::Connections));
}

#[test]
fn addresses_without_connections_are_forgotten() {
    let connections = connections(100, 10);
    let held: Vec<_> = (0..50).map(|last| connections.admit(ip(&format!("192.0.2.{}", last % 25))).unwrap()).collect();
    assert_eq!(connections.addresses(), 25);
    drop(held);
    assert_eq!((connections.addresses(), connections.open()), (0, 0));
}

#[tokio::test]
async fn all_closed_waits_for_the_last_one_and_not_a_moment_longer() {
    let connections = connections(10, 10);
    connections.all_closed().await;
    let permits: Vec<_> = (0..3).map(|_| connections.admit(None).unwrap()).collect();
    let waiting = tokio::spawn({
        let connections = connections.clone();
        async move { connections.all_closed().await }
    });
    for permit in permits {
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(permit);
    }
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
}

#[test]
fn threads_that_come_and_go_leave_nothing_behind() {
    let connections = connections(1000, 3);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..2000 {
                    let permit = connections.admit(ip(&format!("192.0.2.{}", round % 3)));
                    drop(permit);
                }
            });
        }
    });
    assert_eq!((connections.addresses(), connections.open()), (0, 0));
}

proptest! {
    /// Against a plain count of what is held.
    #[test]
    fn caps_agree_with_plain_counting(steps in prop::collection::vec((0_u8..6, any::<bool>()), 0..200)) {
        let connections = connections(8, 3);
        let mut held: Vec<(u8, Permit)> = Vec::new();
        for (client, come) in steps {
            if come {
                let mut counts: HashMap<u8, usize> = HashMap::new();
                held.iter().for_each(|(client, _)| *counts.entry(*client).or_default() += 1);
                let expected = match (held.len(), counts.get(&client).copied().unwrap_or(0)) {
                    (8.., _) => Some(Limit::Connections),
                    (_, 3..) => Some(Limit::ConnectionsPerAddress),
                    _ => None,
                };
                match connections.admit(ip(&format!("192.0.2.{client}"))) {
                    Ok(permit) => { prop_assert_eq!(expected, None); held.push((client, permit)); }
                    Err(limit) => prop_assert_eq!(expected, Some(limit)),
                }
            } else if let Some(index) = held.iter().position(|(other, _)| *other == client) {
                held.swap_remove(index);
            }
            prop_assert_eq!(connections.open(), held.len());
        }
    }
}
