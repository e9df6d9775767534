//! HTTP/1.x clients (RFC 9112): one request after another on one connection, answers in order.
//!
//! A connection at rest holds no buffer: the event loop says when bytes are there, they are read into the thread's
//! scratch and parsed where they lie. A hit is one read and one write.

mod client;
mod connection;
mod read;

use std::{future::poll_fn, sync::Arc, task::Poll, time::Instant};

pub(super) use connection::Http1Client;
use read::Next;

use super::{
    Gateway,
    client::Client,
    failure,
    journey::Begun,
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
    let mut rests_since = Instant::now();
    loop {
        client.await_request(rests_since);
        match poll_fn(|cx| client.poll_request(&mut request, cx)).await {
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
        let ended = if request.wants_websocket {
            let agreed = Box::pin(upgrade::serve(&gateway, &mut client, &mut request)).await;
            if let Some(agreed) = agreed {
                return agreed.open(gateway, client, request);
            }
            Instant::now()
        } else {
            // One by one, not as one journey: the future of a hit would be made, and copied, for nothing.
            match gateway.begin(&mut client, &mut request) {
                Begun::Answered(mut answered) => match poll_fn(|cx| Poll::Ready(client.poll_flush(cx))).await {
                    Poll::Ready(Ok(())) => gateway.record(&mut answered.facts, &request, &client),
                    _ => Box::pin(gateway.send(&mut client, &request, answered)).await,
                },
                Begun::Onward(onward) => gateway.proceed(&mut client, &request, onward).await,
            }
        };
        rests_since = ended;
        if client.may_go_on() && !client.is_read() {
            Box::pin(client.read_rest_of_body()).await;
            rests_since = Instant::now();
        }
        if !(client.may_go_on() && client.is_read()) {
            Box::pin(client.close()).await;
            return None;
        }
    }
}
