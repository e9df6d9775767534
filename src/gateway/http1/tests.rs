use tokio::net::UnixStream;

use super::*;
use crate::{
    access_log::AccessLog,
    config::{LogTarget, from_text},
    metrics::Registry,
};

#[tokio::test]
async fn a_connection_at_rest_has_no_room_for_what_requests_need() {
    let (mut config, _) = from_text("small.toml", "upstream = \"127.0.0.1:1\"", |_| None).unwrap();
    config.access_log.target = LogTarget::Off;
    let registry = Registry::new();
    let log = AccessLog::start(&config.access_log, &registry).unwrap();
    let gateway = Gateway::new(Arc::new(config), &registry, log).unwrap();
    let (stream, _peer) = UnixStream::pair().unwrap();
    let info = ClientInfo { client: None, local: None, tls: false, http2: false, listener: 0 };
    let at_rest = size_of_val(&serve(gateway, Stream::Unix(stream), info));
    assert!(at_rest <= 800, "{at_rest} bytes");
}
