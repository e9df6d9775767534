//! HTTP/1.x clients (RFC 9112): one request after another on one connection, answers in order.
//!
//! A connection at rest holds no buffer: the event loop says when bytes are there, they are read into the thread's
//! scratch and parsed where they lie. A hit is one read and one write.

mod client;
mod connection;
mod read;

use std::sync::Arc;

pub(super) use connection::Http1Client;
use read::Next;

use super::{
    Gateway, failure,
    upgrade::{self, OpenTunnel},
};
use crate::{
    net::{ClientInfo, Stream},
    wire::RequestHead,
};

/// Serves requests until the connection ends, or until it has become the tunnel that this gives back.
pub(super) async fn serve(gateway: Arc<Gateway>, stream: Stream, info: ClientInfo) -> Option<OpenTunnel> {
    let mut client = Http1Client::new(&gateway, stream, info);
    let mut request = RequestHead::default();
    loop {
        match client.next_request(&mut request).await {
            Next::Request => {}
            Next::Ended => return None,
            Next::Refused(refusal) => {
                client.reset_for_refusal();
                failure::refuse(&gateway, &mut client, &request, refusal).await;
                Box::pin(client.close()).await;
                return None;
            }
            Next::TooSlow => {
                client.reset_for_refusal();
                failure::too_slow(&gateway, &mut client, &request).await;
                Box::pin(client.close()).await;
                return None;
            }
        }
        if request.wants_websocket {
            let agreed = Box::pin(upgrade::serve(&gateway, &mut client, &mut request)).await;
            if let Some(agreed) = agreed {
                return agreed.open(gateway, client, request);
            }
        } else {
            gateway.journey(&mut client, &mut request).await;
        }
        if !client.may_go_on().await {
            Box::pin(client.close()).await;
            return None;
        }
    }
}
