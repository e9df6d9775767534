//! Backends that answer badly, by fault or by intent: the client gets 502 or a clean cut, and nobody else gets anything.

use std::sync::Arc;

use tokio::sync::watch;

use crate::support::*;

/// Says these bytes to every request and closes.
fn says_and_closes(bytes: impl AsRef<[u8]>) -> Responder {
    let bytes: Arc<[u8]> = bytes.as_ref().into();
    script(move |mut talk| {
        let bytes = bytes.clone();
        async move {
            talk.read_body().await;
            talk.send(&bytes[..]).await;
            talk.close().await
        }
    })
}

/// An origin that says the bytes of each case under `/N`.
async fn origin_of(cases: &[(&str, Vec<u8>)]) -> Origin {
    let mut origin = Origin::new();
    for (at, (_, bytes)) in cases.iter().enumerate() {
        origin = origin.on(&format!("/{at}"), says_and_closes(bytes));
    }
    origin.start().await
}

/// Each of these answers must become a 502, for GET and for POST, and the gateway must stay well.
async fn all_are_bad_gateways(cases: Vec<(&str, Vec<u8>)>) {
    let origin = origin_of(&cases).await;
    let gateway = Gateway::before(&origin).await;
    let mut wrong = Vec::new();
    for (at, (name, bytes)) in cases.iter().enumerate() {
        for method in ["GET", "POST"] {
            let mut client = gateway.connect().await;
            client.send(format!("{method} /{at} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let got = within(format!("an answer instead of {name}"), client.try_answer(method)).await;
            match got {
                Ok(answer) if answer.status == 502 => {}
                got => wrong.push(format!("{name} ({method}): {got:?}\nthe backend said\n{}", show(bytes))),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    assert_eq!(gateway.get("/well").await.text(), "/well");
}

fn answer(lines: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nhello").into()
}

#[tokio::test]
async fn framing_that_can_be_read_in_two_ways() {
    all_are_bad_gateways(vec![
        ("a length with letters", answer("Content-Length: 5a")),
        ("a signed length", answer("Content-Length: +5")),
        ("a negative length", answer("Content-Length: -5")),
        ("an empty length", answer("Content-Length:")),
        ("an overflowing length", answer("Content-Length: 99999999999999999999")),
        ("two different lengths", answer("Content-Length: 5\r\nContent-Length: 6")),
        ("a list of different lengths", answer("Content-Length: 5, 6")),
        ("length and coding", answer("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        ("coding and length", answer("Transfer-Encoding: chunked\r\nContent-Length: 5")),
        ("chunked twice", answer("Transfer-Encoding: chunked, chunked")),
        ("two coding lines", answer("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        ("chunked and something after", answer("Transfer-Encoding: chunked, identity")),
    ])
    .await;
}

#[tokio::test]
async fn heads_that_are_no_heads() {
    all_are_bad_gateways(vec![
        ("junk", b"what is this\r\n\r\n".into()),
        ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n\r\n".into()),
        ("two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("letters", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("a status below 100", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("another version", b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("HTTP/2 by name", b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("NUL in a value", answer("X: a\0b\r\nContent-Length: 5")),
        ("NUL in a name", answer("X\0: a\r\nContent-Length: 5")),
        ("a bare CR in a value", answer("X: a\rSet-Cookie: b\r\nContent-Length: 5")),
        ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello".into()),
        ("one bare LF", b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 5\r\n\r\nhello".into()),
        ("a folded line", answer("X: a\r\n b\r\nContent-Length: 5")),
        ("no colon", answer("novalue\r\nContent-Length: 5")),
        ("a space in a name", answer("X Y : a\r\nContent-Length: 5")),
        ("two lengths, one with a space before the colon", answer("Content-Length: 5\r\nContent-Length : 6")),
        ("a name that is no token", answer("X Y: a\r\nContent-Length: 5")),
        ("a control byte", answer("X: a\x01b\r\nContent-Length: 5")),
    ])
    .await;
}

#[tokio::test]
async fn white_space_before_a_colon_goes_no_further_and_frames_all_the_same() {
    let chunked = b"HTTP/1.1 200 OK\r\nX\t: y\r\nTransfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let cases = [("a length", answer("Content-Length : 5\r\nX : y")), ("a coding", chunked.to_vec())];
    let origin = origin_of(&cases).await;
    let gateway = Gateway::before(&origin).await;
    for (at, _) in cases.iter().enumerate() {
        let answer = gateway.get(&format!("/{at}")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "{}", answer.told());
        assert_eq!(answer.field("X"), Some("y"), "{}", answer.told());
        assert!(!answer.told().contains(" :"), "{}", answer.told());
    }
}

#[tokio::test]
async fn why_an_answer_is_refused_is_told_now_and_then() {
    let cases = [("a folded line", answer("X: a\r\n b\r\nContent-Length: 5"))];
    let origin = origin_of(&cases).await;
    let gateway = Gateway::before(&origin).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/0").await.status, 502);
    }
    let told = || gateway.printed().matches("bad answer: field_syntax").count();
    eventually("a word about it", async || (told() > 0).then_some(())).await;
    assert_eq!(told(), 1, "{}", gateway.printed());
    assert!(gateway.printed().contains(&origin.address), "{}", gateway.printed());
}

#[tokio::test]
async fn heads_without_end() {
    let huge = format!("X: {}\r\nContent-Length: 5", "y".repeat(1 << 20));
    let many: String = (0..20_000).map(|at| format!("X-{at}: y\r\n")).collect();
    all_are_bad_gateways(vec![
        ("a field of one MiB", answer(&huge)),
        ("twenty thousand fields", answer(&format!("{many}Content-Length: 5"))),
        (
            "a status line of one MiB",
            format!("HTTP/1.1 200 {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1 << 20)).into(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn closing_before_the_head_is_whole() {
    all_are_bad_gateways(vec![
        ("nothing at all", Vec::new()),
        ("half a status line", b"HTTP/1.1 2".into()),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n".into()),
        ("only an interim answer", b"HTTP/1.1 103 Early Hints\r\n\r\n".into()),
    ])
    .await;
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for() {
    all_are_bad_gateways(vec![
        ("101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".into()),
        ("101 without fields", b"HTTP/1.1 101 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".into()),
    ])
    .await;
}

#[tokio::test]
async fn interim_answers_are_bounded() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let cases = vec![
        ("sixteen", format!("{}{last}", interim.repeat(16)).into()),
        ("many", format!("{}{last}", interim.repeat(20)).into()),
    ];
    let origin = origin_of(&cases).await;
    let gateway = Gateway::before(&origin).await;
    assert_eq!(gateway.get("/0").await.text(), "ok");
    assert_eq!(gateway.get("/1").await.status, 502);
}

#[tokio::test]
async fn bodies_that_are_cut_or_broken_never_look_whole() {
    let chunked = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "short of its length",
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nhello".into(),
        ),
        ("no last chunk", chunked.into()),
        ("half a chunk", format!("{chunked}ff\r\nhalf").into()),
        ("no end of the trailers", format!("{chunked}0\r\n").into()),
        ("a chunk size that is none", format!("{chunked}xyz\r\nhello\r\n0\r\n\r\n").into()),
        ("a signed chunk size", format!("{chunked}+5\r\nhello\r\n0\r\n\r\n").into()),
        ("a chunk line with a bare LF", format!("{chunked}5\nhello\r\n0\r\n\r\n").into()),
        ("data longer than the chunk", format!("{chunked}5\r\nhelloXX0\r\n\r\n").into()),
        ("an overflowing chunk size", format!("{chunked}FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n").into()),
        ("trailers that are none", format!("{chunked}0\r\nno colon\r\n\r\n").into()),
    ];
    let origin = origin_of(&cases).await;
    let gateway = Gateway::before(&origin).await;
    let mut wrong = Vec::new();
    for (at, (name, bytes)) in cases.iter().enumerate() {
        // Twice: a broken answer is not stored either.
        for method in ["GET", "GET", "POST"] {
            let mut client = gateway.connect().await;
            client.send(format!("{method} /{at} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let got = within(format!("the cut of {name}"), client.try_answer(method)).await;
            match got {
                Ok(answer) if answer.status == 502 => {}
                Err(Flaw::Cut { .. }) => {}
                got => wrong.push(format!("{name} ({method}): {got:?}\nthe backend said\n{}", show(bytes))),
            }
        }
        let asked = origin.requests_for(&format!("/{at}")).len();
        if asked < 3 {
            wrong.push(format!("{name}: stored, the origin was asked {asked} times of 3"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test]
async fn an_answer_that_breaks_in_the_bytes_that_its_head_came_with_is_a_bad_gateway() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let origin = Origin::new()
        .on("/size", says_and_closes(format!("{chunked}XX\r\n")))
        .on("/end", says_and_closes(format!("{chunked}5\r\nhelloXX")))
        .start()
        .await;
    let plain = free_address();
    let gateway = Gateway::before_with(&origin, &format!("[[listener]]\naddress = \"{plain}\"\nh2c = true\n")).await;
    let mut client = gateway.connect().await;
    let mut http2 = Http2::prior_knowledge(plain).await;
    for path in ["/size", "/end"] {
        for method in ["POST", "OPTIONS", "DELETE"] {
            let answer = client.ask(method, path, &[], b"").await;
            assert_eq!((answer.status, answer.has("Transfer-Encoding")), (502, false), "{}", client.transcript());
            assert!(answer.text().contains("502"), "{}", client.transcript());
            assert_eq!(http2.ask(method, path, &[], b"").await.status, 502);
        }
    }
    let logged = gateway.logged("a broken answer", |line| line["http.response.status_code"] == 502).await;
    assert_eq!(logged["failure"], "bad_body", "{logged}");
}

#[tokio::test]
async fn a_reset_in_the_body_cuts_the_client() {
    let (release, released) = watch::channel(false);
    let resetting = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            talk.chunk("first").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.reset()
        }
    });
    let origin = Origin::new().on("/", resetting).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.chunk().await, b"first");
    release.send_replace(true);
    assert_eq!(client.until_closed().await, b"", "no last chunk may follow");
}

#[tokio::test]
async fn bytes_after_an_answer_are_nobodys_answer() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    let no_store = "Cache-Control: no-store\r\n";
    let origin = Origin::new()
        .on("/length", &*format!("HTTP/1.1 200 OK\r\n{no_store}Content-Length: 2\r\n\r\nok{poison}"))
        .on(
            "/chunks",
            &*format!("HTTP/1.1 200 OK\r\n{no_store}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{poison}"),
        )
        .on("/204", &*format!("HTTP/1.1 204 No\r\n\r\nbody{poison}"))
        .on("/304", &*format!("HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\nbody{poison}"))
        .on("/head", &*format!("HTTP/1.1 200 OK\r\n{no_store}Content-Length: 8\r\n\r\npoisoned{poison}"))
        .start()
        .await;
    let gateway = Gateway::before(&origin).await;
    for (method, path, status, body) in [
        ("GET", "/length", 200, "ok"),
        ("POST", "/length", 200, "ok"),
        ("GET", "/chunks", 200, "ok"),
        ("GET", "/204", 204, ""),
        ("GET", "/304", 304, ""),
        ("HEAD", "/head", 200, ""),
    ] {
        let mut client = gateway.connect().await;
        let answer = client.ask(method, path, &[], b"").await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{method} {path}\n{}", client.transcript());
        for after in ["/after", "/and-after"] {
            assert_eq!(client.get(after).await.text(), after, "{method} {path}\n{}", client.transcript());
            assert_eq!(gateway.get(after).await.text(), after, "another client after {method} {path}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_comes_unasked_on_an_idle_connection_is_nobodys() {
    let (poison, poisoned) = watch::channel(false);
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let sly = script(move |mut talk| {
        let (mut poisoned, told) = (poisoned.clone(), told.clone());
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nok").await;
            poisoned.wait_for(|go| *go).await.unwrap();
            talk.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned").await;
            told.send(()).unwrap();
            talk.keep()
        }
    });
    let origin = Origin::new().on("/sly", sly).start().await;
    let gateway = Gateway::before_with(&origin, "threads = 1").await;
    let mut client = gateway.connect().await;
    assert_eq!(client.get("/sly").await.text(), "ok");
    poison.send_replace(true);
    within("the poison to be sent", tell.recv()).await.unwrap();
    for path in ["/a", "/b", "/c"] {
        assert_eq!(client.get(path).await.text(), path, "{}", client.transcript());
    }
}

#[tokio::test]
async fn a_backend_that_never_answers_is_504() {
    let silent = script(|mut talk| async move {
        talk.gone().await;
        Next::Close
    });
    let origin = Origin::new().on("/silent", silent).start().await;
    let text = format!(
        "upstream = \"app\"\n[upstreams.app]\nservers = [\"{}\"]\nanswer_timeout = \"300ms\"\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    for method in ["GET", "POST"] {
        assert_eq!(gateway.ask(method, "/silent", &[], b"").await.status, 504, "{method}");
    }
}

#[tokio::test]
async fn a_backend_that_stops_in_the_body_is_cut() {
    let stopping = script(|mut talk| async move {
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=60\r\n\r\nhello").await;
        talk.gone().await;
        Next::Close
    });
    let origin = Origin::new().on("/stops", stopping).start().await;
    let text =
        format!("upstream = \"app\"\n[upstreams.app]\nservers = [\"{}\"]\nread_timeout = \"300ms\"\n", origin.address);
    let gateway = Gateway::with(&text).await;
    let mut client = gateway.connect().await;
    client.send("GET /stops HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let got = within("the cut", client.try_answer("GET")).await;
    assert!(matches!(got, Err(Flaw::Cut { .. })), "{got:?}");
}

#[tokio::test]
async fn the_page_for_a_bad_gateway_is_small_and_tells_nothing_inside() {
    let origin = Origin::new().on("/", says_and_closes("secret words\r\n\r\n")).start().await;
    let gateway = Gateway::before(&origin).await;
    let html = gateway.get_with("/", &[("Accept", "text/html")]).await;
    assert!(html.field("Content-Type").is_some_and(|kind| kind.starts_with("text/html")), "{}", html.told());
    let json = gateway.get_with("/", &[("Accept", "application/json")]).await;
    assert!(json.field("Content-Type").is_some_and(|kind| kind.starts_with("application/json")), "{}", json.told());
    let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&json.body);
    assert!(parsed.is_ok(), "{}", json.text());
    for page in [html, json] {
        assert_eq!(page.status, 502);
        assert!(page.body.len() < 2000 && page.text().contains("502"), "{}", page.text());
        assert!(!page.text().contains("secret") && !page.text().contains(&origin.address), "{}", page.text());
    }
}
