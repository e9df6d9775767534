//! HTTP/1.x clients (RFC 9112): one request after another on one connection, answers in order.
//!
//! A connection at rest holds no buffer: the event loop says when bytes are there, they are read into the thread's
//! scratch and parsed where they lie. A hit is one read and one write.

mod body;
mod client;
mod connection;
mod lent;
mod read;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

pub(super) use connection::Http1Client;
use read::Last;

use super::{
    Gateway,
    client::Client,
    failure,
    fields::scheme_of,
    journey::{Answered, Begun, Onward},
    upgrade::{self, Agreed, OpenTunnel},
};
use crate::{
    net::{ClientInfo, Stream},
    wire::RequestHead,
};

/// Serves requests until the connection ends, or until it has become the tunnel that this gives back.
pub(super) fn serve(
    gateway: Arc<Gateway>,
    stream: Stream,
    info: ClientInfo,
) -> impl Future<Output = Option<OpenTunnel>> + Send {
    // Made here, as arguments would be held beside it for as long as the connection lasts.
    let mut client = Http1Client::new(&gateway, stream, info);
    async move {
        client.await_request(Instant::now());
        loop {
            let turn = poll_fn(|cx| client.poll_turn(&gateway, cx)).await;
            // A connection at rest has no room for what may have to wait.
            match Box::pin(follow(&gateway, &mut client, turn)).await {
                Then::Rest { since } => client.await_request(since),
                Then::Tunnel(agreed, mut request) => {
                    let tunnel = agreed.open(gateway, client, &mut request);
                    lent::give_back(request);
                    return tunnel;
                }
                Then::End => return None,
            }
        }
    }
}

/// What a connection does that has stopped waiting.
enum Turn {
    /// A request was answered, but the connection may not go on as it is.
    Answered { at: Instant },
    /// An answer is queued, of which something is left to be sent.
    Sending(Box<RequestHead>, Answered),
    /// A request has some way to go.
    Onward(Box<RequestHead>, Onward),
    /// A handshake.
    WebSocket(Box<RequestHead>),
    /// There will be no request any more.
    Last(Last),
}

/// What it does then.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, and once for each tunnel")]
enum Then {
    /// Waits for the next request.
    Rest {
        since: Instant,
    },
    /// Becomes a tunnel.
    Tunnel(Agreed, Box<RequestHead>),
    End,
}

impl Http1Client {
    /// Answers what can be answered at once, one request after another, up to something else.
    fn poll_turn(&mut self, gateway: &Arc<Gateway>, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            let mut request = match ready!(self.poll_request(cx)) {
                Ok(request) => request,
                Err(last) => return Poll::Ready(Turn::Last(last)),
            };
            if request.wants_websocket {
                return Poll::Ready(Turn::WebSocket(request));
            }
            let mut answered = match gateway.begin(self, &mut request) {
                Begun::Answered(answered) => answered,
                Begun::Onward(onward) => return Poll::Ready(Turn::Onward(request, onward)),
            };
            let Poll::Ready(Ok(())) = self.poll_flush(cx) else {
                return Poll::Ready(Turn::Sending(request, answered));
            };
            let at = gateway.record(&mut answered.facts, &request, self);
            lent::give_back(request);
            if !(self.may_go_on() && self.is_read()) {
                return Poll::Ready(Turn::Answered { at });
            }
            self.await_request(at);
        }
    }
}

/// Takes a turn that may have to wait.
#[expect(clippy::manual_async_fn, reason = "an async function would hold the turn twice")]
fn follow<'a>(
    gateway: &'a Arc<Gateway>,
    client: &'a mut Http1Client,
    turn: Turn,
) -> impl Future<Output = Then> + Send + 'a {
    async move {
        let mut since = match turn {
            Turn::Answered { at } => at,
            Turn::Sending(request, answered) => {
                let ended = Box::pin(gateway.send(client, &request, answered)).await;
                lent::give_back(request);
                ended
            }
            Turn::Onward(request, onward) => {
                let ended = gateway.proceed(client, &request, onward).await;
                lent::give_back(request);
                ended
            }
            Turn::WebSocket(mut request) => {
                if let Some(agreed) = Box::pin(upgrade::serve(gateway, client, &mut request)).await {
                    return Then::Tunnel(agreed, request);
                }
                lent::give_back(request);
                Instant::now()
            }
            Turn::Last(last) => {
                Box::pin(take_leave(gateway, client, last)).await;
                return Then::End;
            }
        };
        if client.may_go_on() && !client.is_read() {
            Box::pin(client.read_rest_of_body()).await;
            since = Instant::now();
        }
        if client.may_go_on() && client.is_read() {
            return Then::Rest { since };
        }
        Box::pin(client.close()).await;
        Then::End
    }
}

/// Answers what was no request, if there was anything, and closes.
async fn take_leave(gateway: &Arc<Gateway>, client: &mut Http1Client, last: Last) {
    let scheme = scheme_of(client.info());
    match last {
        Last::Ended => return,
        Last::Refused(mut request, refusal) => {
            client.reset_for_refusal();
            request.scheme = scheme;
            failure::refuse(gateway, client, &request, refusal).await;
        }
        Last::TooSlow => {
            client.reset_for_refusal();
            let request = RequestHead { scheme, ..RequestHead::default() };
            failure::too_slow(gateway, client, &request).await;
        }
    }
    client.close().await;
}

#[cfg(test)]
mod tests;
