//! Addresses that nobody else uses.

use std::{
    cell::RefCell,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

use socket2::{Domain, SockAddr, Socket, Type};

/// Below the range that outgoing connections take their ports from, so that none of them can take one meanwhile.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

thread_local! {
    /// What this story has taken, until its thread ends.
    static TAKEN: RefCell<Vec<UdpSocket>> = const { RefCell::new(Vec::new()) };
}

/// A loopback address that no other story gets, of this process or another, until this one is over.
///
/// Gateways share their ports with whoever asks (`SO_REUSEPORT`), so two that were given the same one would both start, and each
/// get some of the other's connections. The UDP port of the same number, which nobody shares, tells who has it.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Test processes that run at the same time start in different places.
    let start = (std::process::id() * 97 % u32::from(count)) as u16;
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % count;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + (start + step) % count));
        // Also a gateway that was killed just now may still have it.
        if let Ok(token) = UdpSocket::bind(address)
            && TcpListener::bind(address).is_ok()
        {
            TAKEN.with_borrow_mut(|taken| taken.push(token));
            return address;
        }
    }
    panic!("no free port in {PORTS:?}");
}

/// An address where connections are refused for as long as this lives: bound, never listening.
pub struct DeadAddress {
    _socket: Socket,
    pub address: SocketAddr,
}

impl DeadAddress {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { _socket: socket, address }
    }
}
