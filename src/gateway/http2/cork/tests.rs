use std::future::poll_fn;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

/// A cork over a pipe of so many bytes, and the pipe's other end.
fn corked(room: usize) -> (Cork, DuplexStream) {
    let (near, far) = tokio::io::duplex(room);
    (Cork::new(Stream::Boxed(Box::new(near))), far)
}

/// What has arrived by now.
fn arrived(far: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    let mut buffer = ReadBuf::new(&mut bytes);
    let _waiting = Pin::new(far).poll_read(&mut Context::from_waker(std::task::Waker::noop()), &mut buffer);
    buffer.filled().to_vec()
}

#[tokio::test]
async fn what_is_written_leaves_together_once_it_is_let_out() {
    let (mut cork, mut far) = corked(1 << 20);
    cork.write_all(b"settings").await.unwrap();
    cork.flush().await.unwrap();
    assert_eq!(arrived(&mut far), b"settings");
    cork.hold();
    for _ in 0..3 {
        cork.write_all(b"answer ").await.unwrap();
        cork.flush().await.unwrap();
    }
    assert_eq!(arrived(&mut far), b"");
    poll_fn(|cx| cork.poll_release(cx)).await.unwrap();
    assert_eq!(arrived(&mut far), b"answer answer answer ");
    assert_eq!(cork.shared.lock().bytes.capacity(), 0, "a connection at rest holds no buffer");
}

#[tokio::test]
async fn what_is_gathered_leaves_before_the_end() {
    let (mut cork, mut far) = corked(1 << 20);
    cork.hold();
    cork.write_all(b"goodbye").await.unwrap();
    cork.shutdown().await.unwrap();
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"goodbye");
}

#[tokio::test]
async fn a_full_cork_waits_for_the_stream_and_holds_no_more_than_its_bound() {
    let (mut cork, mut far) = corked(1000);
    cork.hold();
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    let piece = [7; 50_000];
    let mut taken = 0;
    while let Poll::Ready(more) = Pin::new(&mut cork).poll_write(cx, &piece) {
        taken += more.unwrap();
    }
    assert_eq!(taken, GATHERED_MAX);
    assert!(cork.poll_release(cx).is_pending());
    let mut came = vec![0; taken];
    let (released, read) = tokio::join!(poll_fn(|cx| cork.poll_release(cx)), far.read_exact(&mut came));
    released.unwrap();
    read.unwrap();
    assert!(Pin::new(&mut cork).poll_write(cx, &piece).is_ready());
}

proptest! {
    #[test]
    fn no_byte_is_lost_or_moved(pieces in prop::collection::vec((0..70_000_usize, any::<bool>()), 1..12), room in 1..100_000_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut cork, mut far) = corked(room);
            cork.hold();
            let mut wanted = Vec::new();
            for (at, (length, _)) in pieces.iter().enumerate() {
                wanted.extend((0..*length).map(|byte| (byte * 31 + at) as u8));
            }
            let sent = wanted.clone();
            let writing = async move {
                let mut at = 0;
                for (length, release) in pieces {
                    cork.write_all(&sent[at..at + length]).await.unwrap();
                    at += length;
                    if release {
                        poll_fn(|cx| cork.poll_release(cx)).await.unwrap();
                    }
                }
                cork.shutdown().await.unwrap();
            };
            let mut came = Vec::new();
            let (_, read) = tokio::join!(writing, far.read_to_end(&mut came));
            read.unwrap();
            assert!(came == wanted, "{} bytes came of {}", came.len(), wanted.len());
        });
    }
}
