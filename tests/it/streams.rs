//! Bodies and interim answers pass as they come: nothing is held back, nothing piles up, and who has gone is noticed.

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, watch};

use crate::support::*;

/// Large enough that holding it shows in the process's memory.
const LARGE: u64 = 64 << 20;
const PIECE: usize = 1 << 20;
/// What a process may grow by while a large body passes, in KiB.
const GROWTH_KIB: u64 = 24 << 10;

#[tokio::test]
async fn a_large_download_passes_in_flat_memory() {
    for framing in ["Content-Length: 67108864", "Transfer-Encoding: chunked"] {
        let chunked = framing.starts_with('T');
        let large = script(move |mut talk| async move {
            talk.send(format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n{framing}\r\n\r\n")).await;
            for at in (0..LARGE).step_by(PIECE) {
                let piece = pattern(at, PIECE);
                if chunked {
                    talk.send(format!("{PIECE:x}\r\n")).await;
                }
                if !talk.send(piece).await {
                    break;
                }
                if chunked {
                    talk.send("\r\n").await;
                }
            }
            if chunked {
                talk.send("0\r\n\r\n").await;
            }
            talk.keep()
        });
        let origin = Origin::new().on("/large", large).start().await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/warm").await;
        let before = gateway.memory_peak_kib();
        let mut client = gateway.connect().await;
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert!(answer.body == pattern(0, LARGE as usize), "{} of {LARGE} bytes, or others", answer.body.len());
        let grown = gateway.memory_peak_kib() - before;
        assert!(grown < GROWTH_KIB, "{framing}: the process grew by {grown} KiB");
        assert_eq!(client.get("/after").await.text(), "/after");
    }
}

#[tokio::test]
async fn a_large_upload_passes_in_flat_memory() {
    for chunked in [false, true] {
        let swallow = script(|mut talk| async move {
            let (mut at, mut right) = (0, true);
            let read = talk.read_body_with(|piece| {
                right &= piece == pattern(at, piece.len());
                at += piece.len() as u64;
            });
            let whole = read.await.is_ok();
            let text = format!("{at} {right} {whole}");
            talk.send(reply(200).body(text).bytes("POST")).await;
            talk.keep()
        });
        let origin = Origin::new().on("/up", swallow).start().await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/warm").await;
        let before = gateway.memory_peak_kib();
        let mut client = gateway.connect().await;
        let framing = if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {LARGE}") };
        client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")).await;
        for at in (0..LARGE).step_by(PIECE) {
            let piece = pattern(at, PIECE);
            if chunked {
                client.send([format!("{PIECE:x}\r\n").as_bytes(), &piece, b"\r\n"].concat()).await;
            } else {
                client.send(piece).await;
            }
        }
        if chunked {
            client.send("0\r\n\r\n").await;
        }
        assert_eq!(client.answer().await.text(), format!("{LARGE} true true"));
        let grown = gateway.memory_peak_kib() - before;
        assert!(grown < GROWTH_KIB, "chunked {chunked}: the process grew by {grown} KiB");
    }
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    for framing in ["Transfer-Encoding: chunked", "Connection: close"] {
        let (says, said) = mpsc::unbounded_channel::<String>();
        let said = Arc::new(tokio::sync::Mutex::new(said));
        let events = script(move |mut talk| {
            let said = said.clone();
            async move {
                talk.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n\r\n")).await;
                while let Some(event) = said.lock().await.recv().await {
                    match framing.starts_with('T') {
                        true => talk.chunk(&event).await,
                        false => talk.send(event).await,
                    };
                }
                Next::Close
            }
        });
        let origin = Origin::new().on("/events", events).start().await;
        let gateway = Gateway::before(&origin).await;
        let mut client = gateway.connect().await;
        client.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!(head.field("Content-Type"), Some("text/event-stream"));
        let chunked = head.has("Transfer-Encoding");
        for at in 0..20 {
            let event = format!("id: {at}\ndata: {}\n\n", "x".repeat(at * 37));
            says.send(event.clone()).unwrap();
            // The next event is said only once this one is here: nothing may wait for company.
            let got = match chunked {
                true => client.chunks_until("\n\n").await,
                false => String::from_utf8(client.bytes(event.len()).await).unwrap(),
            };
            assert_eq!(got, event);
        }
    }
}

#[tokio::test]
async fn an_event_source_is_left_to_come_back_where_others_are_told() {
    // WHATWG HTML §9.2.3: it would take a status for the end.
    let dead = DeadAddress::new();
    let plain = free_address();
    let text = format!("upstream = \"{}\"\n[[listener]]\naddress = \"{plain}\"\nh2c = true\n", dead.address);
    let gateway = Gateway::with(&text).await;
    let event_source = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")];
    let mut client = gateway.connect().await;
    client
        .send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n\r\n")
        .await;
    client.closed().await;
    let line = gateway.logged("the failure", |line| line["url.path"] == "/events").await;
    assert_eq!((&line["http.response.status_code"], &line["failure"]), (&502.into(), &"connect".into()), "{line}");
    let mut client = Http2::prior_knowledge(plain).await;
    let fields = event_source.map(|(name, value)| (if name == "Accept" { "accept" } else { "cache-control" }, value));
    let error = client.try_ask("GET", "/events", &fields, b"").await.unwrap_err();
    assert!(error.is_reset(), "{error}");
    // A program that reads the status, and another method.
    for fields in [&event_source[..1], &[("Accept", "text/event-stream, */*"), event_source[1]], &[]] {
        assert_eq!(gateway.get_with("/events", fields).await.status, 502, "{fields:?}");
    }
    let posted = gateway.connect().await.ask("POST", "/events", &event_source, b"").await;
    assert_eq!(posted.status, 502);
}

#[tokio::test]
async fn a_long_poll_waits_and_is_answered() {
    let (poll, release) = held_back(reply(200).field("Cache-Control", "no-store").body("news"));
    let origin = Origin::new().on("/poll", poll).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let mut client = gateway.connect().await;
        client.send("GET /poll HTTP/1.1\r\nHost: a\r\n\r\n").await;
        waiting.push(client);
    }
    // All wait at the origin, none behind another, and everybody else is served meanwhile.
    origin.reached("/poll", 10).await;
    assert_eq!(gateway.get("/meanwhile").await.text(), "/meanwhile");
    release.send_replace(true);
    for client in &mut waiting {
        assert_eq!(client.answer().await.text(), "news");
    }
}

#[tokio::test]
async fn early_hints_come_before_the_answer_and_at_once() {
    let (release, released) = watch::channel(false);
    let hinting = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\n\r\n").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.answer(&reply(200).body("page")).await
        }
    });
    let origin = Origin::new().on("/page", hinting).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let hints = client.head().await;
    assert_eq!(hints.status, 103);
    assert_eq!(hints.all("Link"), ["</a.css>; rel=preload", "</b.js>"]);
    release.send_replace(true);
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str(), answer.has("Link")), (200, "page", false));
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_interim_answers() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::new().on("/page", hints).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /page HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200, "RFC 9110 §15.2\n{}", client.transcript());
}

#[tokio::test]
async fn expect_continue_is_answered_before_the_body_is_sent() {
    let origin = Origin::new().otherwise(by(|seen, _| reply(200).body(&seen.body))).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client.send("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
        assert_eq!(client.head().await.status, 100);
        client.send("bytes").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "bytes"), "{}", client.transcript());
    }
}

#[tokio::test]
async fn expect_continue_may_be_refused_without_the_body() {
    let refusing = script(|mut talk| async move {
        talk.send("HTTP/1.1 401 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await;
        talk.gone().await;
        Next::Close
    });
    let origin = Origin::new().on("/up", refusing).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nExpect: 100-continue\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (401, "no"), "{}", client.transcript());
    // The body that was announced never comes: what follows may be taken for it, but never half of it for a request.
    client.send("GET /inside HTTP/1.1\r\nHost: a\r\n\r\nGET /rest HTTP/1.1\r\n\r\n").await;
    client.until_closed().await;
    gateway.get("/marker").await;
    assert!(origin.requests_for("/rest").is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_is_passed_on() {
    let hasty = script(|mut talk| async move {
        talk.send("HTTP/1.1 413 Enough\r\nContent-Length: 6\r\nConnection: close\r\n\r\nenough").await;
        talk.gone().await;
        Next::Close
    });
    let origin = Origin::new().on("/up", hasty).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nthe first bytes").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "enough"), "{}", client.transcript());
}

#[tokio::test]
async fn announced_trailers_reach_the_client() {
    let trailing = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n\
                    4\r\nbody\r\n0\r\nX-Sum: 42\r\nContent-Length: 7\r\nHost: evil\r\nTransfer-Encoding: x\r\n\r\n";
    let origin = Origin::new().on("/t", trailing).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let answer = client.get_with("/t", &[("TE", "trailers"), ("Connection", "TE")]).await;
    assert_eq!(answer.text(), "body");
    assert_eq!(answer.trailers, [("X-Sum".to_owned(), "42".to_owned())], "{}", client.transcript());
    assert_eq!(client.get("/after").await.text(), "/after");
}

#[tokio::test]
async fn what_stands_behind_a_requests_last_chunk_reaches_no_backend() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client
        .send(
            "POST /t HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum, GET\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
        )
        .await;
    client
        .send(
            "X-Sum: 1\r\nGET: /admin HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nAuthorization: x\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer().await.text(), "/t", "{}", client.transcript());
    let seen = origin.request_for("/t");
    // Some backends would take it for the next request.
    assert!(seen.complete && seen.trailers.is_empty() && !show(&seen.raw).contains("admin"), "{}", origin.log());
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_at_the_backend() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let endless = script(move |mut talk| {
        let told = told.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            talk.chunk("first").await;
            talk.gone().await;
            told.send(()).unwrap();
            Next::Close
        }
    });
    let origin = Origin::new().on("/endless", endless).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.chunk().await, b"first");
    drop(client);
    // The backend says nothing more: the gateway must have been looking at the client.
    within("the backend connection to be closed", tell.recv()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_noticed_at_the_backend() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let silent = script(move |mut talk| {
        let told = told.clone();
        async move {
            talk.read_body().await;
            talk.gone().await;
            told.send(()).unwrap();
            Next::Close
        }
    });
    let origin = Origin::new().on("/silent", silent).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx").await;
    origin.until("the whole request", |all| all.iter().any(|seen| seen.complete)).await;
    drop(client);
    within("the backend connection to be closed", tell.recv()).await.unwrap();
}

#[tokio::test]
async fn a_cut_upload_never_looks_whole() {
    for head in [
        "Content-Length: 100\r\n\r\nsome",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nso",
    ] {
        let origin = Origin::new().start().await;
        let gateway = Gateway::before(&origin).await;
        let mut client = gateway.connect().await;
        client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\n{head}")).await;
        origin.reached("/up", 1).await;
        client.finish().await;
        client.until_closed().await;
        origin.until("the cut", |all| all[0].flaw.is_some() || all[0].complete).await;
        assert!(!origin.request_for("/up").complete, "{head:?}:\n{}", origin.log());
    }
}

#[tokio::test]
async fn an_upload_streams_instead_of_being_gathered_first() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let reading = script(move |mut talk| {
        let told = told.clone();
        async move {
            let read = talk.read_body_with(|piece| {
                // The story may have seen enough.
                let _ = told.send(piece.to_vec());
            });
            assert!(read.await.is_ok());
            talk.send(reply(200).bytes("POST")).await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/up", reading).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n").await;
    for piece in ["one ", "two ", "tre "] {
        client.send(piece).await;
        let mut got = Vec::new();
        while got.len() < piece.len() {
            got.extend(within("the piece at the origin", tell.recv()).await.unwrap());
        }
        assert_eq!(got, piece.as_bytes());
    }
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_reader_that_stops_holds_the_backend_and_not_the_bytes() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let fast = script(move |mut talk| {
        let told = told.clone();
        async move {
            talk.send(format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: {LARGE}\r\n\r\n")).await;
            for at in (0..LARGE).step_by(PIECE) {
                let started = Instant::now();
                let sending =
                    tokio::time::timeout(std::time::Duration::from_millis(500), talk.send(pattern(at, PIECE)));
                if sending.await.is_err() {
                    told.send((at, started.elapsed())).unwrap();
                    talk.gone().await;
                    break;
                }
            }
            Next::Close
        }
    });
    let origin = Origin::new().on("/fast", fast).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/warm").await;
    let before = gateway.memory_peak_kib();
    let mut client = gateway.connect().await;
    client.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    let (stuck_at, _) = within("the backend to be held", tell.recv()).await.unwrap();
    assert!(stuck_at < LARGE / 2, "{stuck_at} bytes went into a reader that reads nothing");
    let grown = gateway.memory_peak_kib() - before;
    assert!(grown < GROWTH_KIB, "the process grew by {grown} KiB");
}
