//! What the gateway does whoever asks.

use std::task::Waker;

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::{
    config::{LogTarget, from_text},
    net::socket::UNACKNOWLEDGED_MAX,
};

/// One upstream, and no log.
pub(super) fn small_gateway() -> Arc<Gateway> {
    let (mut config, _) = from_text("small.toml", "upstream = \"127.0.0.1:1\"", |_| None).unwrap();
    config.access_log.target = LogTarget::Off;
    let registry = Registry::new();
    let log = AccessLog::start(&config.access_log, &registry).unwrap();
    Gateway::new(Arc::new(config), &registry, log).unwrap()
}

#[tokio::test]
async fn an_http2_client_that_acknowledges_nothing_is_given_up() {
    use std::os::fd::AsFd;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let near = listener.accept().await.unwrap().0;
    let seen = near.as_fd().try_clone_to_owned().unwrap();
    let info = ClientInfo { client: None, local: None, tls: false, http2: true };
    let mut serving = Box::pin(small_gateway().serve(Stream::Tcp(near), info));
    assert!(serving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(socket2::SockRef::from(&seen).tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_MAX));
}

#[tokio::test]
async fn tunnels_of_servers_that_fall_together_share_no_turn() {
    let gateway = small_gateway();
    let rate = gateway.config.limits.drain_rate;
    let start = std::sync::Barrier::new(4);
    let drains = std::thread::scope(|scope| {
        let fall = || {
            start.wait();
            (0..10_000).map(|_| gateway.turns_of_fallen(3)).collect::<Vec<_>>()
        };
        let falling: Vec<_> = (0..4).map(|_| scope.spawn(fall)).collect();
        falling.into_iter().flat_map(|falling| falling.join().unwrap()).collect::<Vec<_>>()
    });
    let turns = drains.into_iter().flat_map(|mut drain| (0..3).map(move |_| drain.pace.next(0.0)));
    let mut turns: Vec<_> = turns.collect();
    turns.sort();
    let slot = Duration::from_secs(1) / rate;
    assert!(turns.windows(2).all(|two| two[1] - two[0] >= slot));
}
