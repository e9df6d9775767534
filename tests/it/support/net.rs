//! Addresses that nobody else uses.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use socket2::{Domain, SockAddr, Socket, Type};

/// Below the range that outgoing connections take their ports from, so that none of them can take one meanwhile.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A loopback address that was free a moment ago and is handed out only once by this process.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Test processes that run at the same time start in different places.
    let start = (std::process::id() * 97 % u32::from(count)) as u16;
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % count;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + (start + step) % count));
        if TcpListener::bind(address).is_ok() {
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
