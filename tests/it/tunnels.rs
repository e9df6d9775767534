//! Open WebSockets: not a byte is touched, held or lost, and each end is noticed at the other.

use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};

use futures_util::{SinkExt, StreamExt};

use crate::support::*;

/// An echo under `/ws`, anything else answers with its target.
async fn echo() -> Origin {
    Origin::new().on("/ws", websocket_echo()).start().await
}

#[tokio::test]
async fn frames_of_all_lengths_come_back_unchanged() {
    let origin = echo().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000] {
        let frame = Frame::binary(pattern(length as u64, length));
        client.send_frame(&frame).await;
        assert!(client.frame().await == frame, "a frame of {length} bytes");
    }
    client.send_frame(&Frame::close(4321)).await;
    assert_eq!(client.frame().await.close_code(), Some(4321));
    client.closed().await;
}

#[tokio::test]
async fn another_implementation_agrees() {
    let origin = echo().await;
    let gateway = Gateway::before(&origin).await;
    let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let mut request = format!("ws://{}/ws?token=1", gateway.address).into_client_request().unwrap();
    request.headers_mut().insert("Origin", HeaderValue::from_str(&format!("http://{}", gateway.address)).unwrap());
    let (mut socket, _) = within("the handshake", tokio_tungstenite::client_async(request, tcp)).await.unwrap();
    for at in 0..100 {
        let text = format!("message {at} {}", "x".repeat(at * 100));
        socket.send(Message::text(text.clone())).await.unwrap();
        let came = within("the echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(came.into_text().unwrap().as_str(), text);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = within("the close", socket.next()).await {}
}

#[tokio::test]
async fn frames_glued_to_the_handshakes_are_not_lost() {
    let eager = script(|mut talk| async move {
        let switching = talk.switching(&[]);
        // The head and the first frame in one write.
        talk.send([switching.as_bytes(), &Frame::text("welcome").plain()].concat()).await;
        echo_frames(talk).await
    });
    let origin = Origin::new().on("/ws", eager).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let first = Frame::text("first");
    client.send([handshake("/ws", &[]).as_bytes(), &first.masked()].concat()).await;
    assert_eq!(client.head().await.status, 101);
    assert_eq!(client.frame().await, Frame::text("welcome"));
    assert_eq!(client.frame().await, first);
}

#[tokio::test]
async fn a_half_closed_client_still_hears_the_backend() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let answering = script(move |mut talk| {
        let told = told.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            // The client's FIN, then the backend goes on talking.
            while let Some(frame) = talk.frame().await {
                told.send(frame).unwrap();
            }
            for at in 0..3 {
                talk.send(Frame::text(&format!("after {at}")).plain()).await;
            }
            talk.close().await
        }
    });
    let origin = Origin::new().on("/ws", answering).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    client.send_frame(&Frame::text("last words")).await;
    client.finish().await;
    assert_eq!(within("the last words", tell.recv()).await, Some(Frame::text("last words")));
    for at in 0..3 {
        assert_eq!(client.frame().await, Frame::text(&format!("after {at}")));
    }
    client.closed().await;
}

#[tokio::test]
async fn a_half_closed_backend_still_hears_the_client() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let leaving = script(move |mut talk| {
        let told = told.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            tokio::io::AsyncWriteExt::shutdown(&mut talk.wire.socket).await.unwrap();
            while let Some(frame) = talk.frame().await {
                told.send(frame).unwrap();
            }
            Next::Close
        }
    });
    let origin = Origin::new().on("/ws", leaving).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    assert_eq!(client.frame_or_end().await, None);
    for at in 0..3 {
        let frame = Frame::text(&format!("still {at}"));
        client.send_frame(&frame).await;
        assert_eq!(within("a frame at the backend", tell.recv()).await, Some(frame));
    }
}

#[tokio::test]
async fn a_backend_that_vanishes_ends_the_tunnel() {
    let vanishing = script(|mut talk| async move {
        let switching = talk.switching(&[]);
        talk.send(switching).await;
        talk.frame().await;
        talk.reset()
    });
    let origin = Origin::new().on("/ws", vanishing).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    client.send_frame(&Frame::text("go")).await;
    client.until_closed().await;
    gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
}

#[tokio::test]
async fn a_client_that_vanishes_reaches_the_backend() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let watching = script(move |mut talk| {
        let told = told.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            talk.gone().await;
            told.send(()).unwrap();
            Next::Close
        }
    });
    let origin = Origin::new().on("/ws", watching).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    client.wire.socket.reset();
    within("the backend to learn of it", tell.recv()).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_stops_holds_the_writer() {
    let (flooding, mut tell) = websocket_flood();
    let origin = Origin::new().on("/ws", flooding).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/warm").await;
    let before = gateway.memory_peak_kib();
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    let sent = within("the writer to be held", tell.recv()).await.unwrap();
    let grown = gateway.memory_peak_kib() - before;
    assert!(sent < 32 && grown < 16 << 10, "{sent} MiB went in, the process grew by {grown} KiB");
    // What was written is all there, in order.
    for _ in 0..sent {
        assert!(client.frame().await.payload == pattern(0, 1 << 20));
    }
}

#[tokio::test]
async fn both_directions_flow_at_once() {
    let origin = echo().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    let Connection { wire, .. } = client;
    let (mut reading, mut writing) = tokio::io::split(wire.socket);
    const TOTAL: usize = 16 << 20;
    let sending = tokio::spawn(async move {
        for at in (0..TOTAL).step_by(1 << 16) {
            let frame = Frame::binary(pattern(at as u64, 1 << 16)).masked();
            tokio::io::AsyncWriteExt::write_all(&mut writing, &frame).await.unwrap();
        }
        writing
    });
    let mut got = 0;
    let mut buffer = vec![0; 10 + (1 << 16)];
    while got < TOTAL {
        let read = tokio::io::AsyncReadExt::read_exact(&mut reading, &mut buffer);
        within("an echo", read).await.unwrap();
        assert!(buffer[10..] == pattern(got as u64, 1 << 16), "at {got}");
        got += 1 << 16;
    }
    within("the writer", sending).await.unwrap();
}

#[tokio::test]
async fn tunnels_run_over_tls_on_either_side_and_over_unix_sockets() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let pair = authority.issue(&["app.test"]).write(directory.path(), "app");
    authority.write(&directory.path().join("ca.pem"));
    let tls = Origin::new().on("/ws", websocket_echo()).start_tls(&authority.issue(&["origin.test"])).await;
    let unix = Origin::new().on("/ws", websocket_echo()).start_unix().await;
    let listen = free_address();
    let text = format!(
        "[[listener]]\naddress = \"{listen}\"\ntls = [{pair}]\n\
         [upstreams.tls]\nservers = [\"{}\"]\ntls = {{ server_name = \"origin.test\", ca = \"DIR/ca.pem\" }}\n\
         [upstreams.unix]\nservers = [\"{}\"]\n\
         [[routes]]\nmatch = {{ host = \"tls.test\" }}\nupstream = \"tls\"\n\
         [[routes]]\nmatch = {{ host = \"unix.test\" }}\nupstream = \"unix\"\n",
        tls.address, unix.address
    );
    let gateway = Gateway::in_directory(directory, &text).await;
    for host in ["tls.test", "unix.test"] {
        for secure in [false, true] {
            let mut client = match secure {
                true => Connection::tls(listen, "app.test", &authority).await,
                false => gateway.connect().await,
            };
            let glued = Frame::text("glued");
            let head = handshake("/ws", &[]).replace("example.test", host);
            client.send([head.as_bytes(), &glued.masked()].concat()).await;
            assert_eq!(client.head().await.status, 101, "{host}, TLS client {secure}");
            assert_eq!(client.frame().await, glued);
            for length in [1, 1000, 200_000] {
                let frame = Frame::binary(pattern(0, length));
                client.send_frame(&frame).await;
                assert!(client.frame().await == frame, "{host}, TLS client {secure}, {length} bytes");
            }
            client.send_frame(&Frame::close(1000)).await;
            assert_eq!(client.frame().await.close_code(), Some(1000));
            client.closed().await;
        }
    }
    let told: Vec<_> =
        tls.requests().iter().map(|seen| seen.field("X-Forwarded-Proto").unwrap_or("missing").to_owned()).collect();
    assert_eq!(told, ["http", "https"]);
}

/// What the system's timer of the connection to this local address waits for: 2 stands for its next keepalive probe
/// (proc(5), `/proc/net/tcp`).
fn timer_to(address: SocketAddr) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!("0100007F:{:04X}", address.port());
    let open = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut open = open.filter(|words| words[2] == remote && words[3] == "01");
    open.next().map(|words| words[5].split(':').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_backend_that_vanishes_in_silence_is_looked_for_also_behind_tls() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    authority.write(&directory.path().join("ca.pem"));
    let (plain, secret) = (Origin::new().otherwise(websocket_echo()), Origin::new().otherwise(websocket_echo()));
    let (plain, secret) = (plain.start().await, secret.start_tls(&authority.issue(&["127.0.0.1"])).await);
    let text = format!(
        "[upstreams.plain]\nservers = [\"{}\"]\n[upstreams.secret]\nservers = [\"https://{}\"]\n\
         tls = {{ ca = \"DIR/ca.pem\" }}\n[[routes]]\nmatch = {{ path = \"/plain\" }}\nupstream = \"plain\"\n\
         [[routes]]\nmatch = {{ path = \"/secret\" }}\nupstream = \"secret\"\n",
        plain.address, secret.address
    );
    let gateway = Gateway::in_directory(directory, &text).await;
    for (path, origin) in [("/plain", &plain), ("/secret", &secret)] {
        let mut client = gateway.connect().await;
        client.upgrade(path, &[]).await;
        let address = origin.address.parse().unwrap();
        eventually(format!("probes to {path}"), async || (timer_to(address)? == "02").then_some(())).await;
    }
}

#[tokio::test]
async fn an_idle_tunnel_ends_at_its_own_deadline() {
    let origin = echo().await;
    let text = "[[routes]]\nmatch = { path = \"/\" }\nwebsocket = { idle_timeout = \"400ms\" }\n";
    let gateway = Gateway::before_with(&origin, text).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    // Bytes move the deadline.
    for _ in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        client.send_frame(&Frame::text("here")).await;
        assert_eq!(client.frame().await, Frame::text("here"));
    }
    client.until_closed().await;
    let line = gateway.logged("the end of the tunnel", |line| line.to_string().contains("\"idle\"")).await;
    assert!(line.to_string().contains("/ws"), "{line}");
}

#[tokio::test]
async fn no_request_deadline_ends_a_tunnel() {
    let origin = echo().await;
    let text = format!(
        "upstream = \"app\"\n[timeouts]\nhead = \"1s\"\nkeep_alive = \"1s\"\nsend = \"1s\"\n\
         [upstreams.app]\nservers = [\"{}\"]\nanswer_timeout = \"1s\"\nread_timeout = \"1s\"\nidle_timeout = \"1s\"\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    // The pace: longer than each of them.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    client.send_frame(&Frame::text("still there")).await;
    assert_eq!(client.frame().await, Frame::text("still there"));
}

#[tokio::test]
async fn a_stop_closes_tunnels_with_service_restart() {
    let origin = echo().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.upgrade("/ws", &[]).await;
        clients.push(client);
    }
    gateway.signal(Signal::Term);
    for client in &mut clients {
        let frame = client.frame().await;
        // RFC 6455 §7.4, 1012: come back in a moment; 1001 would make some clients stay away.
        assert_eq!(frame.close_code(), Some(1012), "{frame:?}");
        client.send_frame(&Frame::close(1012)).await;
        client.until_closed().await;
    }
    assert!(gateway.exited().await.success());
}

#[tokio::test]
async fn a_stop_waits_for_a_close_frame_no_longer_than_it_is_told() {
    let origin = echo().await;
    let text = format!("upstream = \"{}\"\n[timeouts]\ntunnel_close = \"200ms\"\n", origin.address);
    let gateway = Gateway::with(&text).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    let started = std::time::Instant::now();
    gateway.signal(Signal::Term);
    assert_eq!(client.frame().await.close_code(), Some(1012));
    // This client never answers.
    assert!(gateway.exited().await.success());
    let took = started.elapsed();
    assert!((200..4000).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn tunnels_are_counted_and_logged_at_both_ends_of_their_life() {
    let origin = echo().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    gateway.metric_becomes("tidegate_websocket_connections", &[], 1.0).await;
    let open = gateway.logged("the tunnel's opening", |line| line["event"] == "tunnel_open").await;
    assert_eq!((&open["url.path"], &open["http.response.status_code"]), (&"/ws".into(), &101.into()), "{open}");
    client.send_frame(&Frame::close(1000)).await;
    client.until_closed().await;
    gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
    let close = gateway.logged("the tunnel's close", |line| line["event"] == "tunnel_close").await;
    assert_eq!(close["ws.close_code"], 1000, "{close}");
    assert_eq!(gateway.access_log().len(), 2, "{:?}", gateway.access_log());
}
