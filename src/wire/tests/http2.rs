use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::LIMITS;
use crate::wire::{AnswerFraming, Fields, Framing, HeadLimits, Refusal, RequestHead, ResponseHead, Version};

fn parts(method: &str, uri: &str, lines: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
    for (name, value) in lines {
        request.headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    request
}

/// A fresh head, read.
fn read(parts: &Parts, end_of_stream: bool, limits: &HeadLimits) -> Result<RequestHead, Refusal> {
    let mut head = RequestHead::default();
    head.read_http2(parts, end_of_stream, limits).map(|()| head)
}

fn get(lines: &[(&str, &str)]) -> Result<RequestHead, Refusal> {
    read(&parts("GET", "https://a.test/", lines), true, &LIMITS)
}

fn post(lines: &[(&str, &str)], end_of_stream: bool) -> Result<Framing, Refusal> {
    read(&parts("POST", "https://a.test/", lines), end_of_stream, &LIMITS).map(|head| head.framing)
}

#[test]
fn an_ordinary_head_has_host_first_and_its_cookies_joined() {
    let lines = [("cookie", "a=b"), ("accept", "*/*"), ("cookie", "c=d"), ("te", "trailers")];
    let head = read(&parts("GET", "https://A.test:8443/p?q", &lines), true, &LIMITS).unwrap();
    assert_eq!((head.method.clone(), head.version, head.framing), (Method::GET, Version::Http2, Framing::None));
    assert_eq!((head.authority.as_str(), head.target.as_str()), ("A.test:8443", "/p?q"));
    assert!(head.keep_alive && !head.wants_websocket);
    let wanted: Fields =
        [("host", "A.test:8443"), ("accept", "*/*"), ("te", "trailers"), ("cookie", "a=b; c=d")].into_iter().collect();
    assert_eq!(head.fields, wanted);
}

#[test]
fn authority_and_host_must_agree_and_one_must_be_there() {
    assert!(get(&[("host", "A.TEST")]).is_ok());
    assert_eq!(get(&[("host", "b.test")]).err(), Some(Refusal::Host));
    assert_eq!(get(&[("host", "a.test"), ("host", "a.test")]).err(), Some(Refusal::Host));
    assert_eq!(get(&[("host", "a b")]).err(), Some(Refusal::Host));
    let no_authority = |lines: &[(&str, &str)]| read(&parts("GET", "/", lines), true, &LIMITS);
    assert_eq!(no_authority(&[]).err(), Some(Refusal::Host));
    let head = no_authority(&[("host", "b.test")]).unwrap();
    assert_eq!(head.authority, "b.test");
    assert_eq!(head.fields.all("host").count(), 1);
    let user = read(&parts("GET", "https://u@a.test/", &[]), true, &LIMITS);
    assert_eq!(user.err(), Some(Refusal::Authority));
}

#[test]
fn fields_of_a_connection_are_refused() {
    for name in ["connection", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(get(&[(name, "a")]).err(), Some(Refusal::FieldSyntax), "{name}");
    }
    assert_eq!(get(&[("transfer-encoding", "chunked")]).err(), Some(Refusal::TransferEncoding));
    assert!(get(&[("te", "Trailers")]).is_ok());
    assert_eq!(get(&[("te", "trailers, deflate")]).err(), Some(Refusal::FieldSyntax));
    assert_eq!(get(&[("a", " b")]).err(), Some(Refusal::FieldSyntax));
    assert_eq!(get(&[("a", "b\t")]).err(), Some(Refusal::FieldSyntax));
}

#[test]
fn a_body_has_its_length_or_is_chunked() {
    assert_eq!(post(&[], false), Ok(Framing::Chunked));
    assert_eq!(post(&[], true), Ok(Framing::None));
    assert_eq!(post(&[("content-length", "5")], false), Ok(Framing::Length(5)));
    assert_eq!(post(&[("content-length", "5"), ("content-length", "5")], false), Ok(Framing::Length(5)));
    assert_eq!(post(&[("content-length", "0")], true), Ok(Framing::Length(0)));
    assert_eq!(post(&[("content-length", "5")], true), Err(Refusal::ContentLength));
    assert_eq!(post(&[("content-length", "5"), ("content-length", "6")], false), Err(Refusal::ContentLength));
    assert_eq!(post(&[("content-length", "+5")], false), Err(Refusal::ContentLength));
    assert_eq!(post(&[("content_length", "5")], false), Ok(Framing::Chunked));
}

#[test]
fn methods_and_targets_follow_the_same_rules() {
    let read = |method: &str, uri: &str| read(&parts(method, uri, &[("host", "a")]), true, &LIMITS);
    assert_eq!(read("CONNECT", "a:443").err(), Some(Refusal::Connect));
    assert_eq!(read("TRACE", "/").err(), Some(Refusal::Trace));
    assert_eq!(read("GET", "*").err(), Some(Refusal::Target));
    assert_eq!(read("OPTIONS", "*").unwrap().target, "*");
    assert!(read("GET", "http://a/").is_ok());
    assert_eq!(read("GET", "ftp://a/").err(), Some(Refusal::Target));
    assert_eq!(get(&[("expect", "a")]).err(), Some(Refusal::Expectation));
    assert!(get(&[("expect", "100-continue")]).unwrap().expect_continue);
}

#[test]
fn limits_count_too() {
    let limits = HeadLimits { target_bytes: 5, head_bytes: 60, fields: 2 };
    let read = |uri: &str, lines: &[(&str, &str)]| read(&parts("GET", uri, lines), true, &limits).err();
    assert_eq!(read("https://a/1234", &[]), None);
    assert_eq!(read("https://a/12345", &[]), Some(Refusal::TargetTooLong));
    assert_eq!(read("https://a/", &[("a", "b"), ("c", "d"), ("e", "f")]), Some(Refusal::TooManyFields));
    assert_eq!(read("https://a/", &[("a", "b"), ("cookie", "d"), ("cookie", "f"), ("cookie", "g")]), None);
    assert_eq!(read("https://a/", &[("a", &"b".repeat(60))]), Some(Refusal::HeadTooLarge));
}

#[test]
fn an_answer_over_http2_is_framed_by_its_length_or_its_stream() {
    let mut map = HeaderMap::new();
    map.append("x-a", HeaderValue::from_static("b"));
    map.append("connection", HeaderValue::from_static("close"));
    map.append("transfer-encoding", HeaderValue::from_static("chunked"));
    let head = ResponseHead::from_http2(404, &map);
    assert_eq!((head.status, &*head.reason, head.version), (404, &b"Not Found"[..], Version::Http2));
    assert_eq!(head.fields, [("x-a", "b")].into_iter().collect::<Fields>());
    assert_eq!(head.framing(&Method::GET), Ok(AnswerFraming::Chunked));
    assert_eq!(head.framing(&Method::HEAD), Ok(AnswerFraming::None));
    assert!(head.keep_alive());
    map.append("content-length", HeaderValue::from_static("5"));
    assert_eq!(ResponseHead::from_http2(200, &map).framing(&Method::GET), Ok(AnswerFraming::Length(5)));
}

#[test]
fn a_header_map_has_lower_case_names_and_nothing_of_the_connection() {
    let lines = [
        ("X-A", "1"),
        ("x-a", "2"),
        ("Connection", "x-b, keep-alive"),
        ("X-B", "3"),
        ("Keep-Alive", "4"),
        ("Upgrade", "5"),
    ];
    let map = lines.into_iter().collect::<Fields>().to_header_map();
    assert_eq!(map.len(), 2);
    assert_eq!(map.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn trailers_of_http_2_are_sifted_like_those_of_http_1() {
    let mut lines = HeaderMap::new();
    for (name, value) in [("x-sum", " 1 "), ("host", "evil"), ("content_length", "9"), ("grpc-status", "0")] {
        lines.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let kept = Fields::from_http2_trailers(&lines).unwrap_or_default();
    assert_eq!(kept, [("x-sum", "1"), ("grpc-status", "0")].into_iter().collect());
    lines.remove("x-sum");
    lines.remove("grpc-status");
    assert!(Fields::from_http2_trailers(&lines).is_none());
}

#[test]
fn a_length_that_an_http_2_answer_says_twice_stands_once() {
    let mut lines = HeaderMap::new();
    lines.append("content-length", HeaderValue::from_static("5"));
    lines.append("content-length", HeaderValue::from_static("5"));
    let head = ResponseHead::from_http2(200, &lines);
    assert_eq!(head.fields.all("content-length").count(), 1);
    assert_eq!(head.framing(&Method::GET), Ok(AnswerFraming::Length(5)));
}

#[test]
fn an_extended_connect_for_a_websocket_is_read_as_its_get() {
    let connect = |method: &str, uri: &str, protocol: &str, lines: &[(&str, &str)]| {
        let mut head = RequestHead::default();
        head.read_extended_connect(&parts(method, uri, lines), protocol, &LIMITS).map(|()| head)
    };
    let head = connect("CONNECT", "https://a.test/chat?x", "websocket", &[("origin", "https://a.test")]).unwrap();
    assert_eq!((head.method.clone(), head.version, head.framing), (Method::GET, Version::Http2, Framing::None));
    assert_eq!((head.authority.as_str(), head.target.as_str()), ("a.test", "/chat?x"));
    assert!(head.wants_websocket);
    assert_eq!(head.fields, [("host", "a.test"), ("origin", "https://a.test")].into_iter().collect::<Fields>());

    let refused = |uri: &str, protocol: &str, lines: &[(&str, &str)]| connect("CONNECT", uri, protocol, lines).err();
    assert_eq!(connect("GET", "https://a/", "websocket", &[]).err(), Some(Refusal::Method));
    assert_eq!(refused("https://a/", "connect-udp", &[]), Some(Refusal::Protocol));
    assert_eq!(refused("https://a/", "WebSocket", &[]), Some(Refusal::Protocol));
    assert_eq!(refused("ftp://a/", "websocket", &[]), Some(Refusal::Target));
    assert_eq!(refused("https://a/", "websocket", &[("content-length", "0")]), Some(Refusal::ContentLength));
    assert_eq!(
        refused("https://a/", "websocket", &[("transfer-encoding", "chunked")]),
        Some(Refusal::TransferEncoding)
    );
    assert_eq!(refused("https://a/", "websocket", &[("upgrade", "websocket")]), Some(Refusal::FieldSyntax));
    assert_eq!(refused("https://a/", "websocket", &[("host", "b")]), Some(Refusal::Host));
    assert_eq!(refused("/", "websocket", &[]), Some(Refusal::Host));
}

#[test]
fn a_head_that_is_read_again_holds_nothing_of_the_last() {
    let mut head = RequestHead::default();
    let first = parts("POST", "https://a.test/first", &[("cookie", "a=b"), ("content-length", "5"), ("x", "y")]);
    head.read_http2(&first, false, &LIMITS).unwrap();
    let second = parts("GET", "https://b.test/", &[("te", "trailers")]);
    head.read_http2(&second, true, &LIMITS).unwrap();
    let fresh = read(&second, true, &LIMITS).unwrap();
    assert_eq!((&head.fields, &head.target, &head.authority), (&fresh.fields, &fresh.target, &fresh.authority));
    assert_eq!((head.method.clone(), head.framing), (Method::GET, Framing::None));
}

#[test]
fn heads_of_any_size_become_the_same_map() {
    for length in [1, 900, 5000] {
        let long = "v".repeat(length);
        let fields: Fields = [("A", long.as_str()), ("B", ""), ("a", "second")].into_iter().collect();
        let map = fields.to_header_map();
        assert_eq!(map.get_all("a").iter().collect::<Vec<_>>(), [long.as_str(), "second"]);
        assert_eq!(map.get("b").unwrap(), "");
    }
}
