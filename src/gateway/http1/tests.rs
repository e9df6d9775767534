use tokio::net::UnixStream;

use super::*;
use crate::gateway::tests::small_gateway;

#[tokio::test]
async fn a_connection_at_rest_has_no_room_for_what_requests_need() {
    let gateway = small_gateway();
    let (stream, _peer) = UnixStream::pair().unwrap();
    let info = ClientInfo { client: None, local: None, tls: false, http2: false };
    let at_rest = size_of_val(&serve(gateway, Stream::Unix(stream), info));
    assert!(at_rest <= 448, "{at_rest} bytes");
}
