//! HTTP/2 as a client speaks it: many requests and tunnels on one connection.

use std::{future::poll_fn, io, time::Duration};

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};

use crate::{dial::Dial, http1::Answer};

/// Windows as large as browsers have them, so that they never hold a gateway up.
const STREAM_WINDOW: u32 = 6 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 15 * 1024 * 1024;

/// How often it is looked whether the server's settings have come; a millisecond between two.
const SETTINGS_LOOKS: usize = 1000;

#[derive(Clone)]
pub struct Http2 {
    pub requests: SendRequest<Bytes>,
}

impl Http2 {
    /// Connects; the connection is driven by a task until it ends.
    pub async fn connect(dial: &Dial) -> io::Result<Self> {
        let stream = dial.connect().await?;
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            // Its streams tell how it ended.
            let _ended = connection.await;
        });
        Ok(Self { requests })
    }

    /// Waits until the server has said that it takes WebSockets (RFC 8441 §3).
    pub async fn takes_tunnels(&self) -> io::Result<()> {
        for _ in 0..SETTINGS_LOOKS {
            if self.requests.is_extended_connect_protocol_enabled() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(io::Error::other("the server offers no extended CONNECT"))
    }

    pub async fn exchange(&mut self, request: http::Request<()>, body: Bytes) -> io::Result<Answer> {
        poll_fn(|cx| self.requests.poll_ready(cx)).await.map_err(io::Error::other)?;
        let (response, mut sending) = self.requests.send_request(request, body.is_empty()).map_err(io::Error::other)?;
        if !body.is_empty() {
            sending.send_data(body, true).map_err(io::Error::other)?;
        }
        let response = response.await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let mut receiving = response.into_body();
        let mut body_bytes = 0;
        while let Some(piece) = receive(&mut receiving).await? {
            body_bytes += piece.len() as u64;
        }
        Ok(Answer { status, body_bytes, last: false })
    }
}

/// The next piece of a stream, whose room is given back at once.
pub async fn receive(stream: &mut RecvStream) -> io::Result<Option<Bytes>> {
    let Some(piece) = stream.data().await else { return Ok(None) };
    let piece = piece.map_err(io::Error::other)?;
    stream.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
    Ok(Some(piece))
}
