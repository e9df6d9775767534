//! A client whose answer can be watched from outside while it is given.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::client::{BodyLength, Client, ClientFault};
use crate::{
    cache::Answer,
    net::ClientInfo,
    tunnel::Progress,
    wire::{Fields, ResponseHead},
};

/// How far an answer has come, written by its client and read between two steps of the work, by the same task.
#[derive(Default)]
pub(super) struct Course {
    received: AtomicU64,
    sent: AtomicU64,
    is_endless: AtomicBool,
    backend: Mutex<Option<Arc<str>>>,
}

/// A client that notes the course of its answer. All else is the client's own.
pub(super) struct Observed<'c, C> {
    client: &'c mut C,
    course: &'c Course,
}

impl Course {
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
    pub(super) fn new(client: &'c mut C, course: &'c Course) -> Self {
        Self { client, course }
    }
}

impl<C: Client> Client for Observed<'_, C> {
    fn info(&self) -> &ClientInfo {
        self.client.info()
    }

    fn asking(&mut self, server: &Arc<str>) {
        *self.course.backend.lock() = Some(server.clone());
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientFault>>> {
        let piece = self.client.poll_body(cx);
        self.course.received.store(self.client.received(), Ordering::Relaxed);
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
        self.course.is_endless.store(length == BodyLength::Unknown, Ordering::Relaxed);
        self.client.start(head, length);
    }

    fn start_stored(&mut self, answer: &Answer, not_modified: bool, tail: &[(&str, &[u8])]) {
        self.course.is_endless.store(answer.length.is_none() && !not_modified, Ordering::Relaxed);
        self.client.start_stored(answer, not_modified, tail);
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

    fn queue_max(&self) -> usize {
        self.client.queue_max()
    }

    fn sent(&self) -> u64 {
        self.client.sent()
    }

    fn started(&self) -> bool {
        self.client.started()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        self.course.sent.store(self.client.sent(), Ordering::Relaxed);
        self.client.poll_flush(cx)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<ClientFault> {
        self.client.poll_gone(cx)
    }

    fn abandon(&mut self) {
        self.client.abandon();
    }

    fn break_off(&mut self) {
        self.client.break_off();
    }
}
