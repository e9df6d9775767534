//! A client whose answer can be watched from outside while it is given.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Method;
use parking_lot::Mutex;

use super::client::{BodyLength, Client, ClientFault};
use crate::{
    cache::{Answer, Body, CacheStatus},
    net::ClientInfo,
    tunnel::Progress,
    wire::{Fields, RequestHead, ResponseHead},
};

/// How far an answer has come, written by its client and read between two steps of the work, by the same task.
#[derive(Default)]
pub(super) struct Track {
    received: AtomicU64,
    sent: AtomicU64,
    /// The request is a GET.
    is_get: bool,
    is_endless: AtomicBool,
    backend: Mutex<Option<Arc<str>>>,
}

/// A client that leaves a track of its answer. All else is the client's own.
pub(super) struct Observed<'c, C> {
    client: &'c mut C,
    track: &'c Track,
}

impl Track {
    /// Of the answer to this request.
    pub(super) fn of(request: &RequestHead) -> Self {
        Self { is_get: request.method == Method::GET, ..Self::default() }
    }

    /// As far as it has come.
    pub(super) fn progress(&self) -> Progress {
        Progress {
            backend: self.backend.lock().clone(),
            up: self.received.load(Ordering::Relaxed),
            down: self.sent.load(Ordering::Relaxed),
            is_endless: self.is_endless.load(Ordering::Relaxed),
        }
    }
}

impl<'c, C: Client> Observed<'c, C> {
    pub(super) fn new(client: &'c mut C, track: &'c Track) -> Self {
        Self { client, track }
    }
}

impl<C: Client> Client for Observed<'_, C> {
    fn info(&self) -> &ClientInfo {
        self.client.info()
    }

    fn asking(&mut self, server: &Arc<str>) {
        *self.track.backend.lock() = Some(server.clone());
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientFault>>> {
        let piece = self.client.poll_body(cx);
        self.track.received.store(self.client.received(), Ordering::Relaxed);
        piece
    }

    fn take_trailers(&mut self) -> Option<Fields> {
        self.client.take_trailers()
    }

    fn limit_body(&mut self, bytes: u64) {
        self.client.limit_body(bytes);
    }

    fn received(&self) -> u64 {
        self.client.received()
    }

    fn interim(&mut self, head: &ResponseHead) {
        self.client.interim(head);
    }

    fn start(&mut self, head: &ResponseHead, length: BodyLength) {
        let is_endless = self.track.is_get && length == BodyLength::Unknown && is_stream_of_events(head);
        self.track.is_endless.store(is_endless, Ordering::Relaxed);
        self.client.start(head, length);
    }

    fn start_stored(&mut self, answer: &Answer, not_modified: bool, age: u64, status: Option<CacheStatus>) {
        self.client.start_stored(answer, not_modified, age, status);
    }

    fn hold(&mut self, body: &Arc<Body>) {
        self.client.hold(body);
    }

    fn push(&mut self, piece: Bytes) {
        self.client.push(piece);
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        self.client.finish(trailers);
    }

    fn queued(&self) -> usize {
        self.client.queued()
    }

    fn lead(&self) -> usize {
        self.client.lead()
    }

    fn sent(&self) -> u64 {
        self.client.sent()
    }

    fn started(&self) -> bool {
        self.client.started()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        self.track.sent.store(self.client.sent(), Ordering::Relaxed);
        self.client.poll_flush(cx)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<ClientFault> {
        self.client.poll_gone(cx)
    }

    fn take_back(&mut self) -> bool {
        self.client.take_back()
    }

    fn abandon(&mut self) {
        self.client.abandon();
    }

    fn break_off(&mut self) {
        self.client.break_off();
    }
}

/// Whether the answer to a GET never comes to an end by itself; who asked by another method can't ask again, and mostly gets
/// an answer in events that ends. Of other answers without a length nobody can tell.
fn is_stream_of_events(head: &ResponseHead) -> bool {
    const TYPE: &[u8] = b"text/event-stream";
    head.fields
        .get("content-type")
        .and_then(|value| value.get(..TYPE.len()))
        .is_some_and(|it| it.eq_ignore_ascii_case(TYPE))
}
