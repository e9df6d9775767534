//! Requests that can be read in two ways, or in none: each is refused with its status and the end of the connection, and
//! not a byte of it reaches the origin.

use crate::support::*;

/// A name, the bytes, the statuses that are right.
type Case = (&'static str, Vec<u8>, &'static [u16]);

const BAD: &[u16] = &[400];
const BAD_CODING: &[u16] = &[400, 501];
const BAD_VERSION: &[u16] = &[400, 505];

/// Every case on a connection of its own, with a second request glued to it that must not be answered.
async fn all_refused(cases: Vec<Case>) {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut wrong = Vec::new();
    for (name, bytes, statuses) in cases {
        let mut client = gateway.connect().await;
        client.send([&bytes[..], b"GET /glued HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await;
        let said = client.until_closed().await;
        let head = said.windows(4).position(|four| four == b"\r\n\r\n").map(|end| Answer::parse(&said[..end + 4]));
        let status = head.and_then(Result::ok).map(|head| head.status);
        let answers = said.windows(9).filter(|nine| *nine == b"HTTP/1.1 ").count();
        let right = status.is_some_and(|status| statuses.contains(&status)) && answers == 1;
        if !right {
            wrong.push(format!(
                "{name}: expected {statuses:?} and the close, sent\n{}\ngot\n{}",
                show(&bytes),
                show(&said)
            ));
        }
    }
    // A marker on a new connection: whatever went to the origin went before it.
    assert_eq!(gateway.get("/marker").await.text(), "/marker");
    let reached = origin.requests().len() != 1 || !origin.flaws().is_empty();
    if reached {
        wrong.push(format!("the origin was reached:\n{}", origin.log()));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// A POST with these field lines and this body.
fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /p HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}").into()
}

/// A GET with these field lines, as raw bytes.
fn get(lines: &[u8]) -> Vec<u8> {
    [b"GET /g HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n\r\n"].concat()
}

/// A request with this first line.
fn line(first: &str) -> Vec<u8> {
    format!("{first}\r\nHost: a\r\n\r\n").into()
}

#[tokio::test]
async fn length_and_coding_together() {
    let chunks = "0\r\n\r\n";
    all_refused(vec![
        ("length then coding", post("Content-Length: 5\r\nTransfer-Encoding: chunked", chunks), BAD),
        ("coding then length", post("Transfer-Encoding: chunked\r\nContent-Length: 5", chunks), BAD),
        ("zero length and coding", post("Content-Length: 0\r\nTransfer-Encoding: chunked", chunks), BAD),
        ("length and an unknown coding", post("Content-Length: 5\r\nTransfer-Encoding: x", "hello"), BAD_CODING),
        ("length and identity", post("Content-Length: 5\r\nTransfer-Encoding: identity", "hello"), BAD_CODING),
        ("length and an empty coding", post("Content-Length: 5\r\nTransfer-Encoding:", "hello"), BAD_CODING),
        ("on a GET", get(b"Content-Length: 5\r\nTransfer-Encoding: chunked"), BAD),
    ])
    .await;
}

#[tokio::test]
async fn coding_that_is_not_exactly_chunked() {
    let mut cases: Vec<Case> = Vec::new();
    for value in [
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "\"chunked\"",
        "'chunked'",
        "chunked;q=1",
        "chunked,",
        ",chunked",
        "",
        "identity",
        "x",
        "chunked\x0b",
        "\x0bchunked",
        "chu nked",
        "chunked \x00",
        "chun\u{212a}ed",
        "chunked\r\n\tx",
    ] {
        cases.push((value, post(&format!("Transfer-Encoding: {value}"), "0\r\n\r\n"), BAD_CODING));
    }
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding: chunked\nX: y",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "\x00Transfer-Encoding: chunked",
        "Transfer-\u{c4}ncoding: chunked",
    ] {
        cases.push((lines, post(lines, "0\r\n\r\n"), BAD_CODING));
    }
    cases.push((
        "in HTTP/1.0",
        b"POST /p HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        BAD,
    ));
    all_refused(cases).await;
}

#[tokio::test]
async fn length_that_is_not_one_number() {
    let mut cases: Vec<Case> = Vec::new();
    for value in [
        "+5",
        "-5",
        "-0",
        "0x5",
        "5a",
        "5, 6",
        "5,6",
        "5 5",
        "5.0",
        "5e0",
        "",
        " ",
        ",5",
        "5,",
        "five",
        "\"5\"",
        "5;",
        "99999999999999999999",
        "18446744073709551616",
        "184467440737095516150",
        "5\x0b",
        "\u{665}",
        "5\x00",
    ] {
        cases.push((value, post(&format!("Content-Length: {value}"), "hello"), BAD));
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 6\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 0",
        "Content-Length: 5\r\nContent-Length:",
        "Content-Length: 5\r\nContent-Length: 05a",
        "Content-Length : 5",
        " Content-Length: 5",
        "Content-Length:\r\n 5",
        "Content-Length: 5\r\n 6",
    ] {
        cases.push((lines, post(lines, "hello"), BAD));
    }
    all_refused(cases).await;
}

#[tokio::test]
async fn line_ends_and_control_bytes() {
    all_refused(vec![
        ("bare LF everywhere", b"GET / HTTP/1.1\nHost: a\n\n".into(), BAD),
        ("bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n".into(), BAD),
        ("bare LF after a field", get(b"X: y\nZ: w"), BAD),
        ("bare LF for the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n".into(), BAD),
        ("bare CR in a value", get(b"X: a\rb"), BAD),
        ("bare CR as the line's end", get(b"X: a\rY: b"), BAD),
        ("CR CR LF", get(b"X: a\r\r\nY: b"), BAD),
        ("NUL in a value", get(b"X: a\0b"), BAD),
        ("NUL in a name", get(b"X\0Y: b"), BAD),
        ("a control byte in a value", get(b"X: a\x01b"), BAD),
        ("DEL in a value", get(b"X: a\x7fb"), BAD),
        ("a folded line", get(b"X: a\r\n b"), BAD),
        ("a folded line with a tab", get(b"X: a\r\n\tb"), BAD),
        ("a folded first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), BAD),
    ])
    .await;
}

#[tokio::test]
async fn field_names_that_are_no_tokens() {
    let mut cases: Vec<Case> = Vec::new();
    for name in ["X ", "X\t", "", "X Y", "X(", "X\"", "X/Y", "X@", "X[", "X{", "X=", "X?", "X<", "X\\", "X,"] {
        cases.push((name, get(format!("{name}: v").as_bytes()), BAD));
    }
    cases.push(("no colon", get(b"novalue"), BAD));
    cases.push(("a name beyond ASCII", get("X\u{e4}: v".as_bytes()), BAD));
    all_refused(cases).await;
}

#[tokio::test]
async fn request_lines_that_are_no_request_lines() {
    all_refused(vec![
        ("two spaces", line("GET  / HTTP/1.1"), BAD),
        ("two spaces before the version", line("GET /  HTTP/1.1"), BAD),
        ("a space at the end", line("GET / HTTP/1.1 "), BAD_VERSION),
        ("a space in front", line(" GET / HTTP/1.1"), BAD),
        ("a space in the target", line("GET /a b HTTP/1.1"), BAD_VERSION),
        ("a tab", line("GET\t/ HTTP/1.1"), BAD),
        ("a tab in the target", line("GET /a\tb HTTP/1.1"), BAD),
        ("a control byte in the target", line("GET /a\x01b HTTP/1.1"), BAD),
        ("DEL in the target", line("GET /a\x7fb HTTP/1.1"), BAD),
        ("NUL in the target", line("GET /a\0b HTTP/1.1"), BAD),
        ("a bare CR in the target", line("GET /a\rb HTTP/1.1"), BAD),
        ("a fragment", line("GET /a#b HTTP/1.1"), BAD),
        ("no slash", line("GET a HTTP/1.1"), BAD),
        ("only a query", line("GET ?a HTTP/1.1"), BAD),
        ("an asterisk with GET", line("GET * HTTP/1.1"), BAD),
        ("a method that is no token", line("G@T / HTTP/1.1"), BAD),
        ("no method", line("/ HTTP/1.1"), BAD),
        ("HTTP/0.9", b"GET /\r\n\r\n".into(), BAD),
        ("no version", line("GET / "), BAD_VERSION),
        ("HTTP/2.0", line("GET / HTTP/2.0"), BAD_VERSION),
        ("HTTP/3", line("GET / HTTP/3"), BAD_VERSION),
        ("HTTP/0.9 named", line("GET / HTTP/0.9"), BAD_VERSION),
        ("a version in lower case", line("GET / http/1.1"), BAD_VERSION),
        ("a longer version", line("GET / HTTP/1.10"), BAD_VERSION),
        ("no protocol", line("GET / 1.1"), BAD_VERSION),
        ("another protocol", line("GET / ICY/1.1"), BAD_VERSION),
        ("an absolute form without a host", line("GET http:///x HTTP/1.1"), BAD),
        ("an absolute form with user data", line("GET http://u:p@a/ HTTP/1.1"), BAD),
        ("an absolute form with a bad port", line("GET http://a:b/ HTTP/1.1"), BAD),
        ("another scheme", line("GET ftp://a/ HTTP/1.1"), BAD),
        ("the HTTP/2 preface on a plain listener", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), BAD_VERSION),
        ("three empty lines in front", b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), BAD),
    ])
    .await;
}

#[tokio::test]
async fn methods_that_a_gateway_does_not_take() {
    all_refused(vec![
        ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".into(), &[405]),
        ("CONNECT with a path", line("CONNECT /x HTTP/1.1"), &[400, 405]),
        ("TRACE", line("TRACE / HTTP/1.1"), &[405]),
    ])
    .await;
}

#[tokio::test]
async fn hosts_that_are_missing_doubled_or_unsound() {
    let mut cases: Vec<Case> = vec![
        ("no Host", b"GET / HTTP/1.1\r\nX: y\r\n\r\n".into(), BAD),
        ("no fields at all", b"GET / HTTP/1.1\r\n\r\n".into(), BAD),
        ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), BAD),
        ("the same Host twice", b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n".into(), BAD),
        ("an absolute form and no Host", b"GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n".into(), BAD),
    ];
    for host in [
        "a b", "a/b", "a@b", "a,b", "a:port", "a:99999", "[::1", "::1]", "a\tb", "a?b", "a#b", "a\\b", "<a>", "a:80:80",
    ] {
        cases.push((host, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into(), BAD));
    }
    all_refused(cases).await;
}

#[tokio::test]
async fn expectations_that_nobody_knows() {
    let expect = |value: &str| post(&format!("Content-Length: 5\r\nExpect: {value}"), "hello");
    all_refused(vec![
        ("another word", expect("200-ok"), &[417]),
        ("two words", expect("100-continue, x"), &[417]),
        ("an addition", expect("100-continue; x"), &[417]),
    ])
    .await;
}

#[tokio::test]
async fn things_that_are_no_http() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"SSH-2.0-x\r\n\r\n", b"\0\0\0\0\r\n\r\n", &[0xff; 200]]
    {
        let mut client = gateway.connect().await;
        client.send(bytes).await;
        client.finish().await;
        let said = client.until_closed().await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "{}\n{}", show(bytes), show(&said));
    }
    assert!(origin.requests().is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn chunks_that_can_be_read_in_two_ways() {
    let long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5000));
    let many_extensions = format!("1;{}\r\nx\r\n", "y".repeat(3000)).repeat(8) + "0\r\n\r\n";
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";x\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: a\nb: c\r\n\r\n",
        "5\r\nhello\r\n0\r\n X: a\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : a\r\n\r\n",
        &long_extension,
        &many_extensions,
    ];
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut wrong = Vec::new();
    for (at, body) in bodies.iter().enumerate() {
        let mut client = gateway.connect().await;
        let head = format!("POST /chunks/{at} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{head}{body}GET /glued HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let said = client.until_closed().await;
        if !said.starts_with(b"HTTP/1.1 400 ") || show(&said).contains("/glued") {
            wrong.push(format!("expected 400 and the close, sent\n{}\ngot\n{}", show(body.as_bytes()), show(&said)));
        }
        // The head may have gone ahead of its body, but never a whole message.
        if origin.requests_for(&format!("/chunks/{at}")).iter().any(|seen| seen.complete) {
            wrong.push(format!("the origin took it as whole:\n{}", show(body.as_bytes())));
        }
    }
    gateway.get("/marker").await;
    if !origin.requests_for("/glued").is_empty() {
        wrong.push(format!("smuggled:\n{}", origin.log()));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test]
async fn refusals_are_counted_and_leave_others_alone() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut healthy = gateway.connect().await;
    assert_eq!(healthy.get("/before").await.status, 200);
    let mut client = gateway.connect().await;
    client.send(post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n")).await;
    client.until_closed().await;
    assert_eq!(healthy.get("/after").await.text(), "/after");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("length_and_coding"), "the reason's word among the metrics:\n{metrics}");
}

#[tokio::test]
async fn identical_lengths_are_folded_or_refused_and_never_forwarded_twice() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    for lines in ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5"] {
        let mut client = gateway.connect().await;
        client.send(post(lines, "hello")).await;
        let answer = client.answer().await;
        assert!(answer.status == 200 || answer.status == 400, "{}", client.transcript());
    }
    for seen in origin.requests() {
        assert_eq!((seen.field("Content-Length"), &seen.body[..]), (Some("5"), &b"hello"[..]), "{}", origin.log());
    }
}
