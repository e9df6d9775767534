//! What a sound exchange must look like on the other side: the same, but for the fields of the hop.

use crate::support::*;

/// The field lines of `request` that the story sent itself, as they stand on the wire.
fn lines_of<'m>(fields: &'m [(String, String)], sent: &[&str]) -> Vec<String> {
    let mine = |field: &&'m (String, String)| sent.iter().any(|name| name.eq_ignore_ascii_case(&field.0));
    fields.iter().filter(mine).map(|(name, value)| format!("{name}: {value}")).collect()
}

#[tokio::test]
async fn request_fields_keep_order_case_and_repetition() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let fields = [
        ("X-Zebra", "1"),
        ("accept", "text/html, */*;q=0.8"),
        ("x-zebra", "2"),
        ("COOKIE", "a=b; c=\"d e\""),
        ("X-Zebra", ""),
        ("User-Agent", "story/1.0 (caf\u{e9})"),
        ("x_under_score", "kept"),
    ];
    gateway.get_with("/fields", &fields).await;
    let seen = origin.request_for("/fields");
    let sent: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(lines_of(&seen.fields, &fields.map(|(name, _)| name)), sent, "{}", origin.log());
}

#[tokio::test]
async fn answer_fields_keep_order_case_and_repetition() {
    let names = ["X-Beta", "x-alpha", "Set-Cookie", "X-Beta", "set-cookie", "Server", "Content-Type", "Link"];
    let answer = names
        .iter()
        .enumerate()
        .fold(reply(200).body("x"), |answer, (at, name)| answer.field(name, &format!("value {at}; \"quoted, part\"")));
    let origin = Origin::new().on("/", answer).start().await;
    let gateway = Gateway::before(&origin).await;
    let answer = gateway.get("/").await;
    let sent: Vec<String> =
        names.iter().enumerate().map(|(at, name)| format!("{name}: value {at}; \"quoted, part\"")).collect();
    assert_eq!(lines_of(&answer.fields, &names), sent, "{}", answer.told());
}

#[tokio::test]
async fn the_backends_date_is_not_replaced() {
    let date = "Tue, 15 Nov 1994 08:12:31 GMT";
    let origin = Origin::new().on("/", reply(200).field("Date", date).body("x")).start().await;
    let gateway = Gateway::before(&origin).await;
    assert_eq!(gateway.get("/").await.field("Date"), Some(date));
    assert_eq!(gateway.ask("POST", "/", &[], b"x").await.field("Date"), Some(date));
}

#[tokio::test]
async fn an_answer_without_date_gets_the_time_of_its_arrival() {
    // RFC 9110 §6.6.1; the gateway's own answers have one too.
    let origin = Origin::new().start().await;
    let route = "[[routes]]\nmatch.host = \"known.test\"\nupstream = \"app\"\ncache.purge_from = \"127.0.0.1\"";
    let gateway = Gateway::with(&format!("[upstreams.app]\nservers = {:?}\n{route}", origin.address)).await;
    let (known, other) = ("known.test", "other.test");
    for (method, host, status) in
        [("GET", known, 200), ("POST", known, 200), ("PURGE", known, 200), ("GET", other, 404)]
    {
        let answer = gateway.ask(method, "/", &[("Host", host)], b"").await;
        let dates = answer.fields.iter().filter(|(name, _)| name == "Date").count();
        assert!(
            answer.status == status && dates == 1 && answer.field("Date").unwrap().ends_with(" GMT"),
            "{}",
            answer.told()
        );
    }
}

#[tokio::test]
async fn a_date_that_a_route_takes_out_stays_out() {
    let origin = Origin::new().on("/kept", reply(200).field("Cache-Control", "max-age=60").body("x")).start().await;
    let route = "[[routes]]\nupstream = \"app\"\nresponse_fields.remove = [\"Date\"]";
    let gateway = Gateway::with(&format!("[upstreams.app]\nservers = {:?}\n{route}", origin.address)).await;
    for path in ["/kept", "/kept", "/passed"] {
        let answer = gateway.get(path).await;
        assert!(answer.status == 200 && !answer.has("Date"), "{}", answer.told());
    }
}

#[tokio::test]
async fn target_bytes_are_not_touched() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for target in [
        "/a%2Fb/%7euser/c;x=1;y?q=%41&r=a+b%20c&&=&x",
        "/?a=1?b=2",
        "/?",
        "/%zz%",
        "//double//slash/",
        "/a/./b/../c",
        "/a/%2e%2e/b",
        "/tilde~!$&'()*+,;=:@",
        "/q?[x]={y}|z^",
    ] {
        assert_eq!(client.get(target).await.text(), target, "{}", origin.log());
    }
}

#[tokio::test]
async fn every_method_reaches_the_origin() {
    let origin = Origin::new().otherwise(by(|seen, _| reply(200).body(&seen.method))).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH", "PURGE-ISH"] {
        let answer = client.ask(method, "/m", &[], b"").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, method), "{}", client.transcript());
    }
}

#[tokio::test]
async fn every_final_status_passes() {
    let status = |seen: &Request| seen.path()[1..].parse().unwrap();
    let origin = Origin::new().otherwise(by(move |seen, _| reply(status(seen)).body("body"))).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for status in
        [200, 201, 202, 203, 205, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405]
            .into_iter()
            .chain([
                406, 409, 410, 412, 413, 416, 418, 421, 422, 425, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504,
                505, 599,
            ])
    {
        let answer = client.get(&format!("/{status}")).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, "body"), "{}", client.transcript());
    }
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_usable() {
    let origin = Origin::new()
        .on("/204", reply(204))
        .on("/304", reply(304).field("ETag", "\"x\""))
        .on("/304-with-length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\n\r\n")
        .on("/empty", reply(200))
        .on("/empty-chunked", reply(200).chunked())
        .start()
        .await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for (path, status) in
        [("/204", 204), ("/304", 304), ("/304-with-length", 304), ("/empty", 200), ("/empty-chunked", 200)]
    {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{}", client.transcript());
        assert_eq!(client.get("/after").await.text(), "/after", "{}", client.transcript());
    }
}

#[tokio::test]
async fn head_gets_the_length_and_no_body() {
    let origin = Origin::new()
        .on("/h", reply(200).field("Cache-Control", "no-store").body("0123456789"))
        .on("/c", reply(200).field("Cache-Control", "no-store").body("0123456789").chunked())
        .start()
        .await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let answer = client.ask("HEAD", "/h", &[], b"").await;
    assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("10")), "{}", client.transcript());
    assert_eq!(client.ask("HEAD", "/c", &[], b"").await.status, 200);
    assert_eq!(client.get("/after").await.text(), "/after", "{}", client.transcript());
    assert!(origin.requests_for("/h").iter().all(|seen| seen.method == "HEAD"), "{}", origin.log());
}

#[tokio::test]
async fn bodies_by_length_arrive_as_they_are() {
    let origin = Origin::new().otherwise(by(|seen, _| reply(200).body(&seen.body))).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for (method, length) in [("POST", 1), ("PUT", 1000), ("PATCH", 70_000), ("DELETE", 3), ("POST", 1_000_000)] {
        let body = pattern(length as u64, length);
        let answer = client.ask(method, "/b", &[("Content-Type", "x/y")], &body).await;
        assert!(answer.status == 200 && answer.body == body, "{method} of {length}: {}", answer.told());
    }
    let seen = origin.requests_for("/b");
    assert_eq!(seen[2].field("Content-Length"), Some("70000"), "{}", show(&seen[2].raw));
}

#[tokio::test]
async fn an_empty_body_stays_empty() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("POST /zero HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    client.send("POST /none HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    client.send("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    for path in ["/zero", "/none", "/chunked"] {
        let seen = origin.request_for(path);
        assert!(seen.complete && seen.body.is_empty(), "{}", origin.log());
    }
    assert_eq!(origin.request_for("/zero").field("Content-Length"), Some("0"), "{}", origin.log());
}

#[tokio::test]
async fn chunked_bodies_arrive_whole_whatever_their_slicing() {
    let origin = Origin::new().otherwise(by(|seen, _| reply(200).body(&seen.body))).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let head = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n";
    client.send(format!("{head}5\r\nhello\r\n0A;name=\"va lue\"\r\n 0123456\r\n\r\n0000\r\n\r\n")).await;
    assert_eq!(client.answer().await.text(), "hello 0123456\r\n");
    for byte in format!("{head}3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n").bytes() {
        client.send([byte]).await;
    }
    assert_eq!(client.answer().await.text(), "abcd", "{}", client.transcript());
    for seen in origin.requests_for("/c") {
        assert!(!seen.has("content-length") && !show(&seen.raw).contains("name="), "{}", origin.log());
    }
}

#[tokio::test]
async fn a_body_on_a_get_is_a_body_and_never_a_request() {
    let origin =
        Origin::new().on("/cached", reply(200).field("Cache-Control", "max-age=60").body("stored")).start().await;
    let gateway = Gateway::before(&origin).await;
    assert_eq!(gateway.get("/cached").await.text(), "stored");
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for path in ["/plain", "/cached"] {
        for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
            for framing in [
                format!("Content-Length: {}\r\n\r\n{inner}", inner.len()),
                format!("Transfer-Encoding: chunked\r\n\r\n{chunked}"),
            ] {
                let mut client = gateway.connect().await;
                client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{framing}")).await;
                let answer = client.answer_to(method).await;
                assert!(answer.status == 200 || answer.status == 400, "{}", client.transcript());
                client.send("GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
                // The connection may have been closed instead; what comes must not be the inner request's answer.
                let rest = client.until_closed().await;
                assert!(!show(&rest).contains("/smuggled"), "{}\n{}", show(&rest), client.transcript());
            }
        }
    }
    assert!(origin.requests_for("/smuggled").is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (slow, release) = held_back(reply(200).body("slow"));
    let origin = Origin::new().on("/slow", slow).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let post = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    client.send([get("/slow"), get("/1"), post.into(), get("/2"), get("/3")].concat()).await;
    origin.reached("/slow", 1).await;
    release.send_replace(true);
    let mut texts = Vec::new();
    for _ in 0..5 {
        texts.push(client.answer().await.text());
    }
    assert_eq!(texts, ["slow", "/1", "/post", "/2", "/3"], "{}", client.transcript());
    assert_eq!(origin.request_for("/post").body, b"body");
}

#[tokio::test]
async fn http_1_1_persists_until_it_is_told_to_close() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/k").await.status, 200);
    }
    let answer = client.get_with("/last", &[("Connection", "close")]).await;
    assert_eq!(answer.field("Connection").map(str::to_ascii_lowercase).as_deref(), Some("close"));
    client.closed().await;
}

#[tokio::test]
async fn http_1_0_closes_unless_it_asks_for_more() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "/old");
    client.closed().await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client.send("GET /kept HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
        let answer = client.answer().await;
        let connection = answer.field("Connection").map(str::to_ascii_lowercase);
        assert_eq!(connection.as_deref(), Some("keep-alive"), "{}", client.transcript());
    }
}

#[tokio::test]
async fn an_http_1_0_client_never_gets_chunks() {
    let origin = Origin::new().on("/c", reply(200).body("0123456789").chunked()).start().await;
    let gateway = Gateway::before(&origin).await;
    for connection in ["", "Connection: keep-alive\r\n"] {
        let mut client = gateway.connect().await;
        client.send(format!("GET /c HTTP/1.0\r\nHost: a\r\n{connection}\r\n")).await;
        let answer = client.answer().await;
        assert!(!answer.has("Transfer-Encoding"), "{}", client.transcript());
        assert_eq!(answer.text(), "0123456789", "{}", client.transcript());
    }
}

#[tokio::test]
async fn an_options_request_goes_no_further_than_it_says() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let ask = async |hops: &str| gateway.ask("OPTIONS", "/o", &[("Max-Forwards", hops)], b"").await;
    for (said, told) in [("7", "6"), ("1", "0"), ("many", "many")] {
        assert_eq!(ask(said).await.text(), "/o");
        assert_eq!(origin.requests().last().unwrap().field("Max-Forwards"), Some(told), "{}", origin.log());
    }
    let answer = ask("0").await;
    assert_eq!((answer.status, answer.has("Allow")), (200, true), "{}", answer.told());
    assert_eq!(origin.requests().len(), 3, "{}", origin.log());
}

#[tokio::test]
async fn an_http_1_0_request_without_a_host_passes() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /no-host HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "/no-host");
    let seen = origin.request_for("/no-host");
    assert_eq!(seen.version, "HTTP/1.1", "our own version");
    // An empty one is refused by nginx, Apache and others.
    assert_eq!(seen.field("Host"), Some("localhost"), "{}", origin.log());
}

#[tokio::test]
async fn a_body_that_ends_with_the_backends_connection_arrives_whole() {
    let until_close = script(|mut talk| async move {
        talk.read_body().await;
        talk.send("HTTP/1.0 200 OK\r\nCache-Control: no-store\r\n\r\nuntil the end").await;
        talk.close().await
    });
    let origin = Origin::new().on("/end", until_close).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let answer = client.get("/end").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "until the end"), "{}", client.transcript());
    if !answer.until_close {
        assert_eq!(client.get("/after").await.text(), "/after");
    }
}

#[tokio::test]
async fn the_absolute_form_becomes_the_origin_form_with_its_authority_as_host() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for (target, arrives, host) in [
        ("http://app.test/abs?x=1", "/abs?x=1", "app.test"),
        ("http://app.test:8080/port", "/port", "app.test:8080"),
        ("HTTP://APP.test/case", "/case", "APP.test"),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: other.test\r\n\r\n")).await;
        assert_eq!(client.answer().await.text(), arrives, "{}", client.transcript());
        let all = origin.requests();
        assert_eq!(all.last().unwrap().field("Host"), Some(host), "{}", origin.log());
    }
    client.send("GET http://app.test HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "/", "{}", client.transcript());
}

#[tokio::test]
async fn options_asterisk_reaches_the_origin() {
    let origin = Origin::new().on("*", reply(204).field("Allow", "GET")).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let answer = client.ask("OPTIONS", "*", &[], b"").await;
    assert_eq!((answer.status, answer.field("Allow")), (204, Some("GET")), "{}", client.transcript());
    assert_eq!(origin.request_for("*").method, "OPTIONS");
}

#[tokio::test]
async fn requests_of_one_connection_share_a_backend_connection() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for at in 0..10 {
        let method = if at % 2 == 0 { "GET" } else { "POST" };
        assert_eq!(client.ask(method, "/same", &[], b"").await.status, 200);
    }
    assert_eq!(origin.connections(), 1, "{}", origin.log());
}

#[tokio::test]
async fn an_empty_line_before_a_request_is_forgiven() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("\r\nGET /one HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "/one", "{}", client.transcript());
    assert_eq!(client.answer().await.text(), "/two", "{}", client.transcript());
}

#[tokio::test]
async fn large_heads_within_the_limits_pass() {
    let cookies: Vec<String> = (0..30).map(|at| format!("c{at}={}", "v".repeat(500))).collect();
    let answer = cookies.iter().fold(reply(200).body("x"), |answer, cookie| answer.field("Set-Cookie", cookie));
    let origin = Origin::new().on("/large", answer).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let cookie = cookies.join("; ");
    let answer = client.get_with("/large", &[("Cookie", &cookie)]).await;
    assert_eq!(answer.all("Set-Cookie"), cookies, "{}", client.transcript());
    assert_eq!(origin.request_for("/large").field("Cookie"), Some(&*cookie));
}

#[tokio::test]
async fn a_unix_socket_listener_serves_like_any_other() {
    let origin = Origin::new().start().await;
    let text = "[[listener]]\naddress = \"unix:DIR/gateway.sock\"\n";
    let gateway = Gateway::before_with(&origin, text).await;
    let mut client = Connection::unix(&gateway.path().join("gateway.sock")).await;
    assert_eq!(client.get("/unix").await.text(), "/unix");
    assert_eq!(client.ask("POST", "/unix-post", &[], b"x").await.text(), "/unix-post");
}

#[tokio::test]
async fn several_listeners_lead_to_the_same_routes() {
    let origin = Origin::new().start().await;
    let second = free_address();
    let text = format!("[[listener]]\naddress = \"{second}\"\n");
    let gateway = Gateway::before_with(&origin, &text).await;
    assert_eq!(gateway.get("/first").await.text(), "/first");
    assert_eq!(Connection::tcp(second).await.get("/second").await.text(), "/second");
}
