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

use super::{Gateway, failure, upgrade};
use crate::{
    net::{ClientInfo, Stream},
    wire::RequestHead,
};

/// Serves one connection until it ends.
pub(super) async fn serve(gateway: Arc<Gateway>, stream: Stream, info: ClientInfo) {
    let mut client = Http1Client::new(&gateway, stream, info);
    let mut request = RequestHead::default();
    loop {
        match client.next_request(&mut request).await {
            Next::Request => {}
            Next::Ended => return,
            Next::Refused(refusal) => {
                client.reset_for_refusal();
                failure::refuse(&gateway, &mut client, &request, refusal).await;
                return Box::pin(client.close()).await;
            }
            Next::TooSlow => {
                client.reset_for_refusal();
                failure::too_slow(&gateway, &mut client, &request).await;
                return Box::pin(client.close()).await;
            }
        }
        if request.wants_websocket {
            match Box::pin(upgrade::serve(&gateway, client, &mut request)).await {
                Some(returned) => client = returned,
                None => return,
            }
        } else {
            gateway.journey(&mut client, &mut request).await;
        }
        if !client.may_go_on().await {
            // The buffer that it reads with is no part of a connection at rest.
            return Box::pin(client.close()).await;
        }
    }
}
