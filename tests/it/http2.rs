//! HTTP/2 in front and behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Request, Response};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

use crate::support::*;

/// A gateway that speaks HTTP/2 on its second listener, by prior knowledge, and with TLS on its third.
struct Both {
    gateway: Gateway,
    plain: std::net::SocketAddr,
    secure: std::net::SocketAddr,
    authority: Authority,
}

impl Both {
    async fn before(server: &str, upstream: &str, more: &str) -> Self {
        Self::before_with("", server, upstream, more).await
    }

    async fn before_with(first: &str, server: &str, upstream: &str, more: &str) -> Self {
        let authority = Authority::new();
        let directory = tempfile::tempdir().unwrap();
        let pair = authority.issue(&["app.test"]).write(directory.path(), "app");
        authority.write(&directory.path().join("ca.pem"));
        let (plain, secure) = (free_address(), free_address());
        let text = format!(
            "{first}upstream = \"app\"\n[[listener]]\naddress = \"{plain}\"\nh2c = true\n\
             [[listener]]\naddress = \"{secure}\"\ntls = [{pair}]\n\
             [upstreams.app]\nservers = [\"{server}\"]\n{upstream}\n{more}\n"
        );
        let gateway = Gateway::in_directory(directory, &text).await;
        Self { gateway, plain, secure, authority }
    }

    /// The same with so many threads, each of which has its own connections to backends.
    async fn threads(count: usize, server: &str, upstream: &str) -> Self {
        Self::before_with(&format!("threads = {count}\n"), server, upstream, "").await
    }

    async fn connect(&self) -> Http2 {
        Http2::tls(self.secure, "app.test", &self.authority).await
    }

    async fn raw(&self) -> RawHttp2 {
        RawHttp2::over(Connection::tcp(self.plain).await).await
    }
}

#[tokio::test]
async fn requests_become_http_1_at_the_backend() {
    let origin =
        Origin::new().otherwise(by(|seen, _| reply(201).field("X-Case", "Kept").body(&seen.body))).start().await;
    let both = Both::before(&origin.address, "", "").await;
    for secure in [true, false] {
        let mut client = if secure { both.connect().await } else { Http2::prior_knowledge(both.plain).await };
        let path = if secure { "/tls?a=b" } else { "/plain?a=b" };
        let answer = client.ask("POST", path, &[("x-one", "1"), ("cookie", "a=1"), ("cookie", "b=2")], b"body").await;
        assert_eq!((answer.status, answer.field("x-case"), answer.text().as_str()), (201, Some("Kept"), "body"));
        assert!(!answer.has("connection") && !answer.has("transfer-encoding"), "{}", answer.told());
        let seen = origin.requests().pop().unwrap();
        let host = if secure { "app.test" } else { "example.test" };
        assert_eq!((seen.target.as_str(), seen.field("Host")), (path, Some(host)), "{}", origin.log());
        assert_eq!(seen.field("Cookie"), Some("a=1; b=2"), "RFC 9113 §8.2.3\n{}", origin.log());
        assert_eq!(seen.field("X-Forwarded-Proto"), Some(if secure { "https" } else { "http" }), "{}", origin.log());
        assert_eq!(seen.field("X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(client.ask("HEAD", "/head", &[], b"").await.status, 201);
        assert_eq!(client.get("/get").await.status, 201);
    }
}

#[tokio::test]
async fn http_1_still_works_beside_prior_knowledge() {
    let origin = Origin::new().start().await;
    let both = Both::before(&origin.address, "", "").await;
    assert_eq!(Connection::tcp(both.plain).await.get("/one").await.text(), "/one");
}

#[tokio::test]
async fn hits_are_answered_over_http_2_too() {
    let answer = reply(200)
        .field("Cache-Control", "max-age=60")
        .field("ETag", "\"v\"")
        .field("Connection", "X-Hop")
        .field("X-Hop", "no");
    let origin = Origin::new().on("/a", answer.body(pattern(0, 300_000))).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    let miss = client.get("/a").await;
    let hit = client.get("/a").await;
    assert!(hit.is_hit() && hit.has("age") && !hit.has("x-hop") && !hit.has("connection"), "{}", hit.told());
    assert!(miss.body == pattern(0, 300_000) && hit.body == miss.body);
    let unchanged = client.ask("GET", "/a", &[("if-none-match", "\"v\"")], b"").await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let head = client.ask("HEAD", "/a", &[], b"").await;
    assert_eq!((head.field("content-length"), head.body.len()), (Some("300000"), 0));
    assert_eq!(origin.requests().len(), 1, "{}", origin.log());
    assert_eq!(both.gateway.metric("tidegate_cache_misses_total", &[]).await, 1.0);
}

#[tokio::test]
async fn an_open_body_that_turns_out_empty_ends_its_streams_soundly() {
    let (release, released) = watch::channel(0);
    let slow = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            released.wait_for(|steps| *steps >= 1).await.unwrap();
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            released.wait_for(|steps| *steps >= 2).await.unwrap();
            talk.send("0\r\n\r\n").await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/with-pause", slow.clone()).on("/at-once", slow).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    for (path, steps) in [("/with-pause", 1), ("/at-once", 2)] {
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(client.start("GET", path, &[], true).await.0);
        }
        origin.reached(path, 1).await;
        release.send_replace(steps);
        let mut streams = Vec::new();
        for answer in answers {
            streams.push(within("a head", answer).await.unwrap().into_body());
        }
        release.send_replace(2);
        for mut stream in streams {
            while let Some(piece) = within("the end of a body", stream.data()).await {
                assert!(piece.unwrap().is_empty(), "{path}");
            }
            assert!(stream.trailers().await.unwrap().is_none() && stream.is_end_stream(), "{path}");
        }
        for method in ["GET", "HEAD"] {
            let hit = client.ask(method, path, &[], b"").await;
            assert!(hit.is_hit() && hit.body.is_empty(), "{}", hit.told());
        }
        assert_eq!(origin.requests_for(path).len(), 1, "{}", origin.log());
        release.send_replace(0);
    }
}

#[tokio::test]
async fn interim_answers_reach_the_client_at_once() {
    // RFC 9110 §15.2, RFC 9113 §8.1
    let (release, released) = watch::channel(false);
    let hinting = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok").await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/hints", hinting).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut raw = both.raw().await;
    let ask = [(":method", "GET"), (":scheme", "http"), (":authority", "example.test"), (":path", "/hints")];
    raw.headers(1, &ask, true).await;
    // 103 has no place in the static table; 200 has.
    assert_eq!(raw.fate(1).await, Fate::Answered(None));
    release.send_replace(true);
    assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
    assert_eq!(raw.data(1).await, b"ok");
    raw.headers(3, &ask, true).await;
    assert_eq!(raw.fate(3).await, Fate::Answered(Some(200)), "a hit brings the final answer alone");
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let echo =
        by(|seen, _| reply(200).field("Cache-Control", "no-store").body([seen.target.as_bytes(), &seen.body].concat()));
    let origin = Origin::new().otherwise(echo).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    // By the first answer the client knows how many streams it may have open (RFC 9113 §6.5.2); any more would be refused.
    client.get("/first").await;
    let mut streams = tokio::task::JoinSet::new();
    for at in 0..200_usize {
        let mut client = client.clone();
        streams.spawn(async move {
            let (target, body) = (format!("/{at}"), pattern(at as u64, at * 200));
            let method = if at % 3 == 0 { "POST" } else { "GET" };
            let body = if method == "POST" { &body[..] } else { b"" };
            let answer = client.ask(method, &target, &[], body).await;
            assert!(answer.body == [target.as_bytes(), body].concat(), "stream {at}: {}", answer.told());
        });
    }
    while let Some(done) = streams.join_next().await {
        done.unwrap();
    }
    assert_eq!(origin.requests().len(), 201);
}

#[tokio::test]
async fn large_bodies_pass_flow_control_both_ways() {
    let echo = by(|seen, _| reply(200).body(format!("{} {}", seen.body_length, seen.body == pattern(0, 1 << 20))));
    let down = reply(200).field("Cache-Control", "no-store").body(pattern(5, 8 << 20));
    let origin = Origin::new().on("/up", echo).on("/down", down).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    let up = client.ask("PUT", "/up", &[], &pattern(0, 8 << 20)).await;
    assert_eq!(up.text(), "8388608 true");
    assert!(client.get("/down").await.body == pattern(5, 8 << 20));
}

#[tokio::test]
async fn a_stream_that_is_reset_is_noticed_at_the_backend() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let told = Arc::new(told);
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
    let both = Both::before(&origin.address, "", "").await;
    for whole_connection in [false, true] {
        let mut client = both.connect().await;
        let (answer, mut stream) = client.start("GET", "/endless", &[], true).await;
        let head = within("the head", answer).await.unwrap();
        assert_eq!(head.status(), 200);
        if whole_connection {
            client.cut();
        } else {
            stream.send_reset(h2::Reason::CANCEL);
        }
        within("the backend to learn of it", tell.recv()).await.unwrap();
        drop(head);
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_leaves_its_fetch_to_who_waits_for_it() {
    let (release, released) = tokio::sync::watch::channel(false);
    let slow = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            released.wait_for(|go| *go).await.unwrap();
            talk.send(reply(200).field("Cache-Control", "max-age=60").body("late").bytes("GET")).await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/cold", slow).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    let (answer, mut stream) = client.start("GET", "/cold", &[], true).await;
    origin.reached("/cold", 1).await;
    stream.send_reset(h2::Reason::CANCEL);
    both.gateway.metric_becomes("tidegate_cache_background_fetches", &[("kind", "orphan")], 1.0).await;
    let (follower, _stream) = client.start("GET", "/cold", &[], true).await;
    release.send_replace(true);
    assert_eq!(whole(follower).await.unwrap().text(), "late");
    drop(answer);
    assert_eq!(origin.requests_for("/cold").len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn a_stale_hit_is_refreshed_behind_its_back() {
    let make = by(|_, number| match number {
        1 => reply(200).field("Cache-Control", "max-age=0, stale-while-revalidate=60").body("old"),
        _ => reply(200).field("Cache-Control", "max-age=60").body("new"),
    });
    let origin = Origin::new().on("/a", make).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    assert_eq!(client.get("/a").await.text(), "old");
    let stale = client.get("/a").await;
    assert_eq!(stale.text(), "old");
    assert!(stale.cache_status().ends_with("detail=stale_while_revalidate"), "{}", stale.told());
    let refreshed = [("kind", "refresh"), ("outcome", "stored")];
    both.gateway.metric_becomes("tidegate_cache_background_fetches_total", &refreshed, 1.0).await;
    let hit = client.get("/a").await;
    assert_eq!((hit.text().as_str(), hit.is_hit()), ("new", true), "{}", hit.told());
}

#[tokio::test]
async fn a_cut_body_resets_its_stream_and_no_other() {
    let cut = script(|mut talk| async move {
        talk.send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 100\r\n\r\nhalf").await;
        talk.reset()
    });
    let origin = Origin::new().on("/cut", cut).on("/junk", "junk\r\n\r\n").start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    let got = client.try_ask("GET", "/cut", &[], b"").await;
    assert!(got.is_err() || got.as_ref().is_ok_and(|answer| answer.status == 502), "{got:?}");
    assert_eq!(client.get("/junk").await.status, 502);
    assert_eq!(client.get("/after").await.text(), "/after");
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one_over_http_2() {
    let (says, said) = mpsc::unbounded_channel::<String>();
    let said = Arc::new(tokio::sync::Mutex::new(said));
    let events = script(move |mut talk| {
        let said = said.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            while let Some(event) = said.lock().await.recv().await {
                talk.chunk(&event).await;
            }
            Next::Close
        }
    });
    let origin = Origin::new().on("/events", events).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let (answer, _stream) = both.connect().await.start("GET", "/events", &[], true).await;
    let mut body = within("the head", answer).await.unwrap().into_body();
    for at in 0..10 {
        let event = format!("data: {at}\n\n");
        says.send(event.clone()).unwrap();
        let piece = within("the event", body.data()).await.unwrap().unwrap();
        assert_eq!(piece, event.as_bytes());
    }
}

#[tokio::test]
async fn grpc_trailers_pass_through_an_http_2_upstream() {
    let say = |seen: &Seen2| {
        let fields = vec![("content-type", "application/grpc")];
        (200, fields, seen.body.clone(), vec![("grpc-status", "7"), ("grpc-message", "no")])
    };
    let authority = Authority::new();
    let plain = Origin2::start(say).await;
    let tls = Origin2::start_tls(say, &authority.issue(&["grpc.test"])).await;
    let tls_text = "protocol = \"http2\"\ntls = { server_name = \"grpc.test\", verify = false }";
    for (origin, upstream) in [(&plain, "protocol = \"http2\""), (&tls, tls_text)] {
        let both = Both::before(&origin.address, upstream, "").await;
        let mut client = both.connect().await;
        let body = pattern(3, 100_000);
        let fields = [("te", "trailers"), ("content-type", "application/grpc"), ("grpc-timeout", "1S")];
        let answer = client.ask("POST", "/svc/Call", &fields, &body).await;
        assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/grpc")));
        assert!(answer.body == body, "{} bytes", answer.body.len());
        let status = ("grpc-status".to_owned(), "7".to_owned());
        assert!(answer.trailers.contains(&status), "{:?}", answer.trailers);
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.method, "POST");
        let te = seen.fields.iter().find(|(name, _)| name == "te");
        assert_eq!(te.map(|(_, value)| value.as_str()), Some("trailers"), "{seen:?}");
        assert!(seen.uri.ends_with("/svc/Call") && seen.uri.contains("app.test"), "{}", seen.uri);
        // An HTTP/1 client is served by the same upstream.
        let answer = both.gateway.ask("POST", "/svc/One", &[], b"one").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
    }
}

#[tokio::test]
async fn a_target_that_is_no_uri_reaches_an_http_2_upstream_encoded() {
    let say = |seen: &Seen2| (200, Vec::new(), seen.uri.clone().into_bytes(), Vec::new());
    let behind = Origin2::start(say).await;
    let both = Both::before(&behind.address, "protocol = \"http2\"", "").await;
    let answer = both.gateway.get("/a<b>?c=\"d\"&e=<f>&g=%22{}").await;
    let expected = "/a%3Cb%3E?c=%22d%22&e=%3Cf%3E&g=%22{}";
    assert!(answer.status == 200 && answer.text().ends_with(expected), "{}", answer.told());
}

#[tokio::test]
async fn an_answer_without_body_ends_with_its_head() {
    // gRPC's "Trailers-Only": its clients find the status only in a frame that ends the stream.
    let say =
        |_: &Seen2| (200, vec![("content-type", "application/grpc"), ("grpc-status", "5")], Vec::new(), Vec::new());
    let grpc = Origin2::start(say).await;
    let plain = Origin::new().on("/", reply(200)).start().await;
    for (address, upstream) in [(&grpc.address, "protocol = \"http2\""), (&plain.address, "")] {
        let both = Both::before(address, upstream, "").await;
        let (answer, mut stream) = both.connect().await.start("POST", "/", &[("te", "trailers")], false).await;
        send_all(&mut stream, b"request").await.unwrap();
        let answer = within("the answer", answer).await.unwrap();
        assert!(answer.body().is_end_stream(), "{answer:?}");
    }
}

#[tokio::test]
async fn an_early_answer_resets_nothing_if_the_rest_of_the_request_is_short() {
    let dead = DeadAddress::new();
    let both = Both::before(&dead.address.to_string(), "", "").await;
    let mut client = both.connect().await;
    for (rest, ends) in [(100, true), (200_000, false)] {
        let (answer, mut stream) = client.start("POST", "/", &[], false).await;
        let answer = within("the answer", whole(answer)).await.unwrap();
        assert_eq!(answer.status, 502);
        // Another exchange meanwhile: a reset would have come before its answer.
        client.get("/another").await;
        let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(stream.poll_reset(&mut waker).is_pending(), "no reset yet");
        stream.reserve_capacity(rest);
        stream.send_data(vec![b'x'; rest].into(), ends).unwrap();
        if !ends {
            let reset = within("a reset", std::future::poll_fn(|cx| stream.poll_reset(cx))).await.unwrap();
            assert_eq!(reset, h2::Reason::NO_ERROR);
        }
    }
}

#[tokio::test]
async fn heads_that_http_2_forbids_are_refused() {
    let origin = Origin::new().start().await;
    let both = Both::before(&origin.address, "", "").await;
    let (m, s, a, p) = ((":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/bad"));
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("no method", vec![s, a, p]),
        ("no scheme", vec![m, a, p]),
        ("no path", vec![m, s, a]),
        ("an empty path", vec![m, s, a, (":path", "")]),
        ("two methods", vec![m, (":method", "POST"), s, a, p]),
        ("two paths", vec![m, s, a, p, (":path", "/other")]),
        ("two authorities", vec![m, s, a, (":authority", "b"), p]),
        ("an unknown pseudo field", vec![m, s, a, p, (":x", "y")]),
        ("an answer's pseudo field", vec![m, s, a, p, (":status", "200")]),
        ("a pseudo field after another", vec![m, s, a, ("x", "y"), p]),
        ("capitals in a name", vec![m, s, a, p, ("X-Bad", "y")]),
        ("Connection", vec![m, s, a, p, ("connection", "close")]),
        ("Transfer-Encoding", vec![m, s, a, p, ("transfer-encoding", "chunked")]),
        ("Upgrade", vec![m, s, a, p, ("upgrade", "websocket")]),
        ("Keep-Alive", vec![m, s, a, p, ("keep-alive", "x")]),
        ("TE that is not trailers", vec![m, s, a, p, ("te", "gzip")]),
        ("CR LF in a value", vec![m, s, a, p, ("x", "a\r\nEvil: b")]),
        ("NUL in a value", vec![m, s, a, p, ("x", "a\0b")]),
        ("a colon in a name", vec![m, s, a, p, ("x:y", "z")]),
        ("a space in a name", vec![m, s, a, p, ("x y", "z")]),
        ("a space in the path", vec![m, s, a, (":path", "/bad HTTP/1.1")]),
        ("CR LF in the path", vec![m, s, a, (":path", "/bad HTTP/1.1\r\nX: y")]),
        ("a path that does not begin with a slash", vec![m, s, a, (":path", "bad")]),
        ("CR LF in the authority", vec![m, s, (":authority", "a\r\nX: y"), p]),
        ("user data in the authority", vec![m, s, (":authority", "u@a"), p]),
        ("CR LF in the method", vec![(":method", "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"), s, a, p]),
        ("another host", vec![m, s, a, p, ("host", "b")]),
        ("a length with no body", vec![m, s, a, p, ("content-length", "5")]),
        ("a length that is no number", vec![m, s, a, p, ("content-length", "+0")]),
        ("CONNECT", vec![(":method", "CONNECT"), (":authority", "a:443")]),
    ];
    let mut wrong = Vec::new();
    for (name, fields) in cases {
        let mut raw = both.raw().await;
        raw.headers(1, &fields, true).await;
        let fate = raw.fate(1).await;
        let ok = matches!(fate, Fate::Answered(Some(400) | None) | Fate::Reset(_) | Fate::ConnectionEnded(_));
        if !ok {
            wrong.push(format!("{name}: {fate:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}\n{}", wrong.len(), origin.log());
    both.gateway.get("/marker").await;
    let others: Vec<_> = origin.requests().into_iter().filter(|seen| seen.target != "/marker").collect();
    assert!(others.is_empty() && origin.flaws().is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn a_body_longer_or_shorter_than_its_length_never_looks_whole() {
    let origin = Origin::new().start().await;
    let both = Both::before(&origin.address, "", "").await;
    for body in ["four", "much longer than five"] {
        let mut raw = both.raw().await;
        let head =
            [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/len"), ("content-length", "5")];
        raw.headers(1, &head, false).await;
        raw.frame(0, 1, 1, body.as_bytes()).await;
        let fate = raw.fate(1).await;
        assert_ne!(fate, Fate::Answered(Some(200)), "{body}");
    }
    both.gateway.get("/marker").await;
    assert!(!origin.requests_for("/len").iter().any(|seen| seen.complete), "{}", origin.log());
}

#[tokio::test]
async fn a_body_that_ends_in_a_frame_without_bytes_ends_once() {
    let origin = Origin::new().start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    for pieces in [&["piece", ""][..], &["", "piece", "", ""], &[""]] {
        let (answer, mut stream) = client.start("POST", "/upload", &[], false).await;
        for (at, piece) in pieces.iter().enumerate() {
            stream.send_data(Bytes::from_static(piece.as_bytes()), at + 1 == pieces.len()).unwrap();
        }
        assert_eq!(whole(answer).await.unwrap().status, 200);
        // Over the same connection to the backend: nothing is left on it.
        assert_eq!(client.get("/marker").await.text(), "/marker");
    }
    assert_eq!(origin.connections(), 1, "{}", origin.log());
    assert!(origin.requests_for("/upload").iter().all(|seen| seen.complete), "{}", origin.log());
}

#[tokio::test]
async fn limits_hold_over_http_2() {
    let origin = Origin::new().start().await;
    let limits = "[limits]\nhead = \"4KiB\"\ntarget = \"1KiB\"\nbody = \"1KiB\"\n";
    let both = Both::before(&origin.address, "", limits).await;
    let mut client = both.connect().await;
    let refused = async |client: &mut Http2, target: &str, field: &str, body: &[u8]| {
        client
            .try_ask(if body.is_empty() { "GET" } else { "POST" }, target, &[("x", field)], body)
            .await
            .map_or(0, |a| a.status)
    };
    assert!(matches!(refused(&mut client, &format!("/{}", "x".repeat(1500)), "", b"").await, 414 | 431 | 0));
    let mut client = both.connect().await;
    assert!(matches!(refused(&mut client, "/", &"y".repeat(6000), b"").await, 431 | 0));
    let mut client = both.connect().await;
    assert!(matches!(refused(&mut client, "/", "", &[b'x'; 5000]).await, 413 | 0));
    let mut client = both.connect().await;
    assert_eq!(client.ask("POST", "/fine", &[], &[b'x'; 1000]).await.text(), "/fine");
    assert!(origin.requests().iter().all(|seen| seen.target == "/fine" || !seen.complete), "{}", origin.log());
}

#[tokio::test]
async fn a_flood_of_resets_ends_in_a_goodbye() {
    let origin = Origin::new().start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut raw = both.raw().await;
    let head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/reset")];
    for at in 0..5000_u32 {
        let stream = at * 2 + 1;
        raw.headers(stream, &head, true).await;
        raw.frame(3, 0, stream, &8_u32.to_be_bytes()).await;
    }
    assert!(matches!(raw.fate(u32::MAX).await, Fate::ConnectionEnded(_)), "CVE-2023-44487");
    both.gateway.metric_becomes("tidegate_limit_hits_total", &[("limit", "http2_flood")], 1.0).await;
    assert_eq!(both.connect().await.get("/well").await.text(), "/well");
}

#[tokio::test]
async fn requests_given_up_one_by_one_end_in_a_goodbye_too() {
    let silent = script(|mut talk| async move {
        talk.gone().await;
        Next::Close
    });
    let origin = Origin::new().on("/reset", silent).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut raw = both.raw().await;
    let head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/reset")];
    // Each is accepted, and costs the backend a request, before it is reset.
    let mut at = 0;
    let fate = loop {
        let stream = at * 2 + 1;
        raw.headers(stream, &head, true).await;
        at += 1;
        tokio::select! {
            () = origin.reached("/reset", at as usize) => raw.frame(3, 0, stream, &8_u32.to_be_bytes()).await,
            fate = raw.fate(u32::MAX) => break fate,
        }
    };
    assert_eq!(fate, Fate::ConnectionEnded(Some(11)), "ENHANCE_YOUR_CALM");
    assert!(at < 400, "after {at}");
    assert!(both.gateway.metric("tidegate_limit_hits_total", &[("limit", "http2_resets")]).await >= 1.0);
    assert_eq!(both.connect().await.get("/well").await.text(), "/well");
}

#[tokio::test]
async fn dangerous_trailers_are_dropped_over_http_2_as_well() {
    let say = |seen: &Seen2| {
        let evil = [
            ("set-cookie", "evil=1"),
            ("content-length", "9"),
            ("host", "evil"),
            ("x_internal", "1"),
            ("keep_alive", "1"),
        ];
        let trailers = [&[("x-sum", "1")], &evil[..]].concat();
        (200, vec![("cache-control", "no-store")], seen.body.clone(), trailers)
    };
    let behind = Origin2::start(say).await;
    let edits =
        "[[routes]]\nrequest_fields = { remove = [\"X-User\"] }\nresponse_fields = { remove = [\"X-Internal\"] }\n";
    let both = Both::before(&behind.address, "protocol = \"http2\"", edits).await;
    let answer = both.connect().await.ask("POST", "/t", &[], b"x").await;
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "1".to_owned())]);

    let mut raw = both.raw().await;
    let names =
        "x-sum, transfer_encoding, x.user, x-user, x-request-id, host, content-length, x-forwarded-for, x-original-url";
    raw.send_trailers(&[("trailer", names)], &EVIL_TRAILERS).await;
    assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
    assert_eq!(behind.requests()[1].trailers, [("x-sum".to_owned(), "1".to_owned())]);
}

const EVIL_TRAILERS: [(&str, &str); 10] = [
    ("transfer_encoding", "x"),
    ("x-sum", "1"),
    ("x-unannounced", "1"),
    ("x-user", "root"),
    ("x.user", "root"),
    ("x-request-id", "mine"),
    ("host", "evil"),
    ("content-length", "9"),
    ("x-forwarded-for", "1.2.3.4"),
    ("x-original-url", "/evil"),
];

#[tokio::test]
async fn no_trailers_of_a_request_reach_an_http_1_backend() {
    let origin = Origin::new().start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut raw = both.raw().await;
    raw.send_trailers(&[("trailer", "x-sum")], &EVIL_TRAILERS).await;
    assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
    let seen = origin.request_for("/t");
    assert!(seen.complete && seen.body == b"x" && seen.trailers.is_empty(), "{:?}", seen.trailers);
}

#[tokio::test]
async fn frames_for_nothing_without_end_end_the_connection() {
    let origin = Origin::new().start().await;
    let both = Both::before(&origin.address, "", "").await;
    // PRIORITY, SETTINGS, PING, WINDOW_UPDATE and one that nobody knows.
    let frames: [(u8, u32, &[u8]); 5] =
        [(2, 1, &[0; 5]), (4, 0, &[0, 1, 0, 0, 16, 0]), (6, 0, &[0; 8]), (8, 0, &[0, 0, 0, 1]), (0x42, 0, &[])];
    for (at, (kind, stream, payload)) in frames.into_iter().enumerate() {
        let mut raw = both.raw().await;
        for _ in 0..900 {
            raw.frame(kind, 0, stream, payload).await;
        }
        let head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/t")];
        raw.headers(3, &head, true).await;
        assert_eq!(raw.fate(3).await, Fate::Answered(Some(200)), "{kind}");
        for _ in 0..4000 {
            raw.frame(kind, 0, stream, payload).await;
        }
        assert_eq!(raw.fate(5).await, Fate::ConnectionEnded(Some(11)), "{kind}");
        let flooded = [("limit", "http2_flood")];
        both.gateway.metric_becomes("tidegate_limit_hits_total", &flooded, at as f64 + 1.0).await;
    }
    assert_eq!(both.connect().await.get("/well").await.text(), "/well");
}

#[tokio::test]
async fn a_connection_that_only_pings_is_let_go() {
    let origin = Origin::new().start().await;
    let both = Both::before(&origin.address, "", "[timeouts]\nkeep_alive = \"500ms\"\n").await;
    let mut raw = both.raw().await;
    for _ in 0..60 {
        raw.frame(6, 0, 0, &[0; 8]).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Farewells first; then the end itself must come, although this client never confirmed one.
    while raw.fate(u32::MAX).await != Fate::ConnectionEnded(None) {}
}

#[tokio::test]
async fn a_stored_answer_that_its_client_does_not_take_is_a_row() {
    let body = pattern(3, 3 << 20);
    let make = by(move |_, _| reply(200).field("Cache-Control", "max-age=60").body(&body));
    let origin = Origin::new().on("/large", make).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut client = both.connect().await;
    assert!(client.get("/large").await.body.len() == 3 << 20);
    let (answer, _) = client.start("GET", "/large", &[], true).await;
    // Its window is smaller than the answer, and nobody opens it again.
    let answer = within("a head", answer).await.unwrap();
    assert!(answer.headers()["cache-status"].to_str().unwrap().contains("hit"), "{answer:?}");
    both.gateway.metric_becomes("tidegate_http_long_answers", &[], 1.0).await;
    let listed = both.gateway.ask_admin("/connections?kind=http").await.text();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let row = &listed["connections"][0];
    assert!(row["state"] == "open" && row["down"]["bytes"].as_u64().unwrap() >= 500_000, "{row}");
    drop(answer);
    both.gateway.metric_becomes("tidegate_http_long_answers", &[], 0.0).await;
}

/// A backend that speaks HTTP/2, and what it does with each request, which is told the number of its connection; with how
/// many connections there were.
async fn backend<F>(
    serve: impl Fn(usize, Request<h2::RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::<AtomicUsize>::default();
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (number, serve) = (count.fetch_add(1, Ordering::Relaxed) + 1, serve.clone());
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(tcp).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(serve(number, request, respond));
                }
            });
        }
    });
    (address, connections)
}

/// Answers with this body in frames of 20 bytes, as flow control lets them go; `held` is told when it does not.
async fn trickle(mut respond: SendResponse<Bytes>, body: &[u8], held: impl Fn()) {
    let mut send = respond.send_response(Response::new(()), false).unwrap();
    for piece in body.chunks(20) {
        send.reserve_capacity(piece.len());
        while send.capacity() < piece.len() {
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx));
            match tokio::time::timeout(Duration::from_millis(500), room).await {
                Ok(Some(Ok(_))) => {}
                Ok(_) => return,
                Err(_) => held(),
            }
        }
        send.send_data(Bytes::copy_from_slice(piece), false).unwrap();
    }
    let _ = send.send_data(Bytes::new(), true);
}

const GET_STUCK: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "example.test"), (":path", "/stuck")];

#[tokio::test]
async fn who_does_not_read_small_frames_ends_no_other_stream_of_the_backends_connection() {
    let body = pattern(3, 600_000);
    let (told, mut tell) = mpsc::unbounded_channel();
    let (address, connections) = backend({
        let body = body.clone();
        move |_, request, respond| {
            let (body, told) = (body.clone(), told.clone());
            async move {
                let body = if request.uri().path() == "/stuck" { &body[..] } else { &body[..100_000] };
                trickle(respond, body, || told.send(()).unwrap()).await;
            }
        }
    })
    .await;
    let text = "protocol = \"http2\"\n[[routes]]\nmatch = { path = \"/\" }\ncache = false";
    let both = Both::threads(1, &address, text).await;
    let mut raw = both.raw().await;
    // Its window is never opened further.
    raw.headers(1, &GET_STUCK, true).await;
    within("the backend to be held", tell.recv()).await;
    for _ in 0..3 {
        assert!(both.connect().await.get("/well").await.body == body[..100_000]);
    }
    raw.frame(8, 0, 0, &0x00ff_ffff_u32.to_be_bytes()).await;
    raw.frame(8, 0, 1, &0x00ff_ffff_u32.to_be_bytes()).await;
    assert!(raw.bodies(1).await[0] == body);
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_backends_connection_that_kept_somebody_waiting_for_too_long_is_given_up() {
    let (address, connections) = backend(|number, request, mut respond| async move {
        if number == 1 && request.uri().path() == "/events" {
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            while send.send_data(Bytes::from_static(b"event"), false).is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let head = Response::builder().header("cache-control", "no-store").body(()).unwrap();
        match request.uri().path() {
            // No head.
            "/silent" if number == 1 => std::future::pending::<()>().await,
            // No body.
            "/stops" if number == 2 => {
                let _send = respond.send_response(head, false).unwrap();
                std::future::pending::<()>().await;
            }
            _ => drop(respond.send_response(head, true).unwrap()),
        }
    })
    .await;
    let text = "protocol = \"http2\"\nanswer_timeout = \"500ms\"\nread_timeout = \"500ms\"";
    let both = Both::threads(1, &address, text).await;
    let mut client = both.connect().await;
    assert_eq!(client.get("/first").await.status, 200);
    let (events, _stream) = client.start("POST", "/events", &[], true).await;
    let mut events = within("the head", events).await.unwrap().into_body();
    assert_eq!(client.get("/silent").await.status, 504);
    assert_eq!(client.get("/silent").await.status, 200);
    assert!(client.try_ask("POST", "/stops", &[], b"").await.is_err());
    assert_eq!(client.get("/stops").await.status, 200);
    assert_eq!(connections.load(Ordering::Relaxed), 3);
    for _ in 0..10 {
        assert!(within("what goes on", events.data()).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn answers_that_are_left_while_they_flow_end_no_connection() {
    let endless = script(|mut talk| async move {
        talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        talk.chunk("first").await;
        talk.gone().await;
        Next::Close
    });
    let origin = Origin::new().on("/stuck", endless).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut raw = both.raw().await;
    for stream in (1..=600).step_by(2) {
        raw.headers(stream, &GET_STUCK, true).await;
        assert_eq!(raw.data(stream).await, b"first");
        raw.frame(3, 0, stream, &8_u32.to_be_bytes()).await;
    }
    assert_eq!(both.gateway.metric("tidegate_limit_hits_total", &[("limit", "http2_resets")]).await, 0.0);
    raw.headers(601, &GET_STUCK, true).await;
    assert_eq!(raw.fate(601).await, Fate::Answered(Some(200)));
}

#[tokio::test]
async fn a_request_that_is_cancelled_before_its_answer_counts_as_one_that_its_client_left() {
    let silent = script(|mut talk| async move {
        talk.gone().await;
        Next::Close
    });
    let origin = Origin::new().on("/stuck", silent).start().await;
    let both = Both::before(&origin.address, "", "").await;
    let mut raw = both.raw().await;
    for (stream, method) in [(1, "GET"), (3, "POST")] {
        raw.headers(stream, &[&[(":method", method)], &GET_STUCK[1..]].concat(), method == "GET").await;
        origin.reached("/stuck", (stream as usize).div_ceil(2)).await;
        raw.frame(3, 0, stream, &8_u32.to_be_bytes()).await;
        let is_it = |line: &serde_json::Value| line["http.request.method"] == method;
        let line = both.gateway.logged("the request", is_it).await;
        assert_eq!(line["http.response.status_code"], 499, "{line}");
        both.gateway
            .metric_becomes("tidegate_http_requests_total", &[("code", "499")], f64::from(stream.div_ceil(2)))
            .await;
    }
}

#[tokio::test]
async fn a_stop_waits_little_for_a_client_that_is_asleep() {
    let (slow, release) = held_back(reply(200).field("Cache-Control", "no-store").body("finished"));
    let origin = Origin::new().on("/stuck", slow).start().await;
    for is_busy in [false, true] {
        let both = Both::before(&origin.address, "", "").await;
        let mut raw = both.raw().await;
        // It never says that it has heard of the shutdown.
        if is_busy {
            raw.headers(1, &GET_STUCK, true).await;
            origin.reached("/stuck", 1).await;
        } else {
            raw.headers(1, &[&GET_STUCK[..3], &[(":path", "/")]].concat(), true).await;
            assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
        }
        both.gateway.signal(Signal::Term);
        if is_busy {
            // The pace: longer than the wait for one that has nothing to do.
            tokio::time::sleep(Duration::from_secs(4)).await;
            assert!(both.gateway.is_running(), "{}", both.gateway.printed());
            release.send_replace(true);
            assert_eq!(raw.data(1).await, b"finished");
        }
        let began = std::time::Instant::now();
        assert!(both.gateway.exited().await.success());
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn what_a_backend_has_surely_not_looked_at_is_sent_again_whatever_the_method() {
    // RFC 9113 §8.7
    let (address, connections) = backend({
        let refusals = Arc::<AtomicUsize>::default();
        move |_, request, mut respond| {
            let refusals = refusals.clone();
            async move {
                let always = request.uri().path() == "/always";
                if always || (request.uri().path() == "/once" && refusals.fetch_add(1, Ordering::Relaxed) % 2 == 0) {
                    return respond.send_reset(h2::Reason::REFUSED_STREAM);
                }
                if request.uri().path() == "/cancels" {
                    return respond.send_reset(h2::Reason::CANCEL);
                }
                respond.send_response(Response::new(()), true).unwrap();
            }
        }
    })
    .await;
    let both = Both::threads(1, &address, "protocol = \"http2\"").await;
    let mut client = both.connect().await;
    for method in ["POST", "DELETE", "PATCH", "GET"] {
        assert_eq!(client.ask(method, "/once", &[], b"").await.status, 200, "{method}");
        // Once more, and no more.
        assert_eq!(client.ask(method, "/always", &[], b"").await.status, 502, "{method}");
        // That one it may have looked at.
        assert_eq!(client.ask(method, "/cancels", &[], b"").await.status, 502, "{method}");
    }
    // What was read of a body is not there to be sent again.
    assert_eq!(client.ask("POST", "/once", &[], b"body").await.status, 502);
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_post_above_the_last_stream_of_a_goodbye_is_sent_on_a_new_connection() {
    // RFC 9113 §6.8
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let mut read = [0; 4096];
        tokio::io::AsyncWriteExt::write_all(&mut first, &[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let mut came = Vec::new();
        // HEADERS of stream 1.
        while !came.windows(5).any(|bytes| bytes == [5, 0, 0, 0, 1]) {
            let count = tokio::io::AsyncReadExt::read(&mut first, &mut read).await.unwrap();
            came.extend_from_slice(&read[..count]);
        }
        let goodbye = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        tokio::io::AsyncWriteExt::write_all(&mut first, &goodbye).await.unwrap();
        let (second, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(second).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.method(), "POST");
            respond.send_response(Response::new(()), true).unwrap();
        }
    });
    let both = Both::threads(1, &address, "protocol = \"http2\"").await;
    assert_eq!(both.connect().await.ask("POST", "/pay", &[], b"").await.status, 200);
    drop(both);
    within("the backend's end", serving).await.unwrap();
}
