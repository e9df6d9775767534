//! Whole conversations, direct and through the gateway: the same bytes come out, whatever happens on the way.

mod suite;

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

use crate::support::*;

/// What one client says, made from a seed: messages in pieces, with Pings between, and a Close.
fn speech(seed: u64) -> Vec<Frame> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut frames = Vec::new();
    for _ in 0..random.usize(0..12) {
        let (pieces, opcode) = (random.u8(1..5), random.u8(1..3));
        for piece in 0..pieces {
            let length = [0, 1, 125, 126, 5000, 65_535, 65_536, 150_000][random.usize(..8)];
            let opcode = if piece == 0 { opcode } else { 0 };
            frames.push(Frame { fin: piece + 1 == pieces, opcode, payload: pattern(random.u64(..), length) });
            if random.u8(..) < 80 {
                frames.push(Frame { fin: true, opcode: 9, payload: pattern(random.u64(..), random.usize(..126)) });
            }
        }
    }
    frames.push(Frame::close(random.u16(3000..5000)));
    frames
}

/// Holds the conversation with an echo at `address`; gives every byte that came behind the handshake's answer.
async fn converse(address: std::net::SocketAddr, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let spoken: Vec<u8> = speech(seed).iter().flat_map(Frame::masked).collect();
    let said = [handshake("/ws", &[]).as_bytes(), &spoken].concat();
    let (mut reading, mut writing) = socket.split();
    let writes = async {
        let mut rest = &said[..];
        while !rest.is_empty() {
            let size = [1, 3, 100, 5000, 200_000][random.usize(..5)].min(rest.len());
            let left = rest.len();
            writing
                .write_all(&rest[..size])
                .await
                .unwrap_or_else(|e| panic!("seed {seed} at {address}: {left} left: {e}"));
            rest = &rest[size..];
            if random.u8(..) < 10 {
                // The pace.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    let mut heard = Vec::new();
    let (_, read) = tokio::join!(writes, reading.read_to_end(&mut heard));
    read.unwrap();
    let end = heard.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer to the handshake") + 4;
    heard.split_off(end)
}

#[tokio::test]
async fn random_tunnels_hear_the_same_through_the_gateway() {
    let count: u64 = std::env::var("STORY_TUNNELS").map_or(40, |count| count.parse().expect("a number"));
    let origin = Origin::new().on("/ws", websocket_echo()).start().await;
    let terms = "max_message = \"10MiB\", messages_per_second = 100000, max_lifetime = \"1h\"";
    let text = format!("[[routes]]\nmatch = {{ path = \"/\" }}\nwebsocket = {{ {terms} }}\n");
    let gateway = Gateway::before_with(&origin, &text).await;
    let (direct, through) = (origin.address.parse().unwrap(), gateway.address);
    let first = fastrand::u64(..1 << 40);
    let mut running = JoinSet::new();
    for seed in first..first + count {
        running.spawn(async move {
            let (plain, carried) = tokio::join!(converse(direct, seed), converse(through, seed));
            let expected: Vec<u8> = speech(seed).iter().flat_map(Frame::plain).collect();
            assert!(plain == expected, "seed {seed}: the echo itself");
            assert!(carried == expected, "seed {seed}: {} bytes came instead of {}", carried.len(), expected.len());
        });
        if running.len() >= 20 {
            within("a conversation", running.join_next()).await.unwrap().unwrap();
        }
    }
    while let Some(done) = within("a conversation", running.join_next()).await {
        done.unwrap();
    }
    gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
    let closed = [("reason", "client-close"), ("code_class", "4xxx")];
    let registered = [("reason", "client-close"), ("code_class", "3xxx")];
    let name = "tidegate_websocket_connections_closed_total";
    assert_eq!(gateway.metric(name, &closed).await + gateway.metric(name, &registered).await, count as f64);
    let messages: usize = (first..first + count).flat_map(speech).filter(|frame| frame.fin && frame.opcode < 8).count();
    let up = [("direction", "up"), ("opcode", "text")];
    let binary = [("direction", "up"), ("opcode", "binary")];
    let name = "tidegate_websocket_messages_total";
    assert_eq!(gateway.metric(name, &up).await + gateway.metric(name, &binary).await, messages as f64);
}

#[tokio::test]
async fn ten_megabytes_pass_both_ways() {
    let origin = Origin::new().on("/ws", websocket_echo()).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/warm").await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    let before = gateway.memory_peak_kib();
    let frame = Frame::binary(pattern(3, 10 << 20));
    client.send_frame(&frame).await;
    assert!(client.frame().await == frame);
    let grown = gateway.memory_peak_kib() - before;
    assert!(grown < 8 << 10, "the process grew by {grown} KiB");
}

#[tokio::test]
async fn twenty_stuck_readers_cost_one_buffer_each() {
    let flooding = script(|mut talk| async move {
        let switching = talk.switching(&[]);
        talk.send(switching).await;
        let frame = Frame::binary(pattern(0, 1 << 20)).plain();
        // Ends when the gateway goes away.
        while talk.send(&frame).await {}
        Next::Close
    });
    let origin = Origin::new().on("/ws", flooding).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/warm").await;
    let before = gateway.memory_peak_kib();
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.connect().await;
        client.upgrade("/ws", &[]).await;
        stuck.push(client);
    }
    // All have stopped when nothing more passes.
    let mut last = -1.0;
    eventually("the writers to be held", async || {
        // A pace: tunnels tell their counts once a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let passed = gateway.metric("tidegate_websocket_bytes_total", &[]).await;
        std::mem::replace(&mut last, passed).eq(&passed).then_some(())
    })
    .await;
    let grown = gateway.memory_peak_kib() - before;
    // One buffer of 64 KiB for each, and the allocator's pages for buffers of many sizes.
    assert!(grown < 16 << 10, "20 stuck readers took {grown} KiB");
    // A healthy one is not held up by them.
    assert_eq!(gateway.get("/healthy").await.status, 200);
}

#[tokio::test]
async fn a_client_that_vanishes_during_the_handshake_leaves_nothing_behind() {
    let (go, may_go) = watch::channel(false);
    let slow = script(move |mut talk| {
        let mut may_go = may_go.clone();
        async move {
            may_go.wait_for(|&go| go).await.unwrap();
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            talk.gone().await;
            Next::Close
        }
    });
    let origin = Origin::new().on("/ws", slow).start().await;
    let gateway = Gateway::before(&origin).await;
    for number in 1..=5 {
        let mut client = gateway.connect().await;
        client.send(handshake("/ws", &[])).await;
        origin.reached("/ws", number).await;
        client.wire.socket.reset();
    }
    go.send_replace(true);
    eventually("no tunnel to be left", async || {
        let opened = gateway.metric("tidegate_websocket_handshakes_total", &[]).await;
        (opened == 5.0 && gateway.metric("tidegate_websocket_connections", &[]).await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_vanishes_during_the_handshake_is_a_502() {
    let vanishing = script(|mut talk| async move {
        let switching = talk.switching(&[]);
        talk.send(&switching[..20]).await;
        talk.reset()
    });
    let origin = Origin::new().on("/ws", vanishing).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send(handshake("/ws", &[])).await;
    assert_eq!(client.answer().await.status, 502);
}
