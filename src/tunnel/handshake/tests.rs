//! The handshake of RFC 6455 §1.3, and every way in which it may be wrong.

use super::*;

const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// The request of RFC 6455 §1.3.
fn request() -> RequestHead {
    RequestHead {
        authority: "server.example.com".into(),
        target: "/chat".into(),
        version: Version::Http11,
        wants_websocket: true,
        fields: [
            ("Host", "server.example.com"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Origin", "http://example.com"),
            ("Sec-WebSocket-Protocol", "chat, superchat"),
            ("Sec-WebSocket-Version", "13"),
        ]
        .into_iter()
        .collect(),
        ..RequestHead::default()
    }
}

fn refused(change: impl FnOnce(&mut RequestHead)) -> Option<HandshakeRefusal> {
    let mut head = request();
    change(&mut head);
    check(&head).err()
}

fn switch() -> ResponseHead {
    ResponseHead {
        version: Version::Http11,
        status: 101,
        reason: b"Switching Protocols".into(),
        fields: [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]
        .into_iter()
        .collect(),
    }
}

fn bad(change: impl FnOnce(&mut ResponseHead)) -> Option<BadSwitch> {
    let mut head = switch();
    change(&mut head);
    verify_switch(&head, KEY).err()
}

fn without(fields: &mut Fields, name: &str) {
    assert!(fields.remove(name));
}

#[test]
fn the_rfc_example_is_a_handshake_and_gives_the_rfc_accept() {
    let handshake = check(&request()).unwrap();
    assert_eq!(handshake.key(), KEY);
    assert_eq!(&accept_for(handshake.key()), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_content_length_of_zero_is_no_body() {
    assert_eq!(refused(|head| head.framing = Framing::Length(0)), None);
}

#[test]
fn each_wrong_word_is_refused_by_its_name() {
    use HandshakeRefusal::*;
    assert_eq!(refused(|head| head.method = http::Method::POST), Some(Method));
    assert_eq!(refused(|head| head.authority.clear()), Some(Host));
    assert_eq!(refused(|head| head.wants_websocket = false), Some(Upgrade));
    assert_eq!(refused(|head| head.framing = Framing::Length(1)), Some(Body));
    assert_eq!(refused(|head| head.framing = Framing::Chunked), Some(Body));
}

#[test]
fn any_version_but_one_line_of_13_is_426_and_names_13() {
    let changes: [fn(&mut RequestHead); 5] = [
        |head| without(&mut head.fields, "Sec-WebSocket-Version"),
        |head| head.fields.set("Sec-WebSocket-Version", "8"),
        |head| head.fields.set("Sec-WebSocket-Version", "013"),
        |head| head.fields.set("Sec-WebSocket-Version", "13, 8"),
        |head| head.fields.push("Sec-WebSocket-Version", "13"),
    ];
    for change in changes {
        let refusal = refused(change).unwrap();
        assert_eq!((refusal, refusal.status(Version::Http11)), (HandshakeRefusal::ProtocolVersion, 426));
        assert!(refusal.fields().contains(&("Sec-WebSocket-Version", "13")));
    }
}

#[test]
fn a_key_that_is_not_16_bytes_in_base64_is_400() {
    for key in
        ["", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZSE=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j_Q=="]
    {
        let refusal = refused(|head| head.fields.set("Sec-WebSocket-Key", key)).unwrap();
        assert_eq!((refusal, refusal.status(Version::Http11)), (HandshakeRefusal::Key, 400), "{key}");
    }
    assert_eq!(refused(|head| without(&mut head.fields, "Sec-WebSocket-Key")), Some(HandshakeRefusal::Key));
    assert_eq!(refused(|head| head.fields.push("Sec-WebSocket-Key", KEY)), Some(HandshakeRefusal::Key));
}

#[test]
fn the_rfc_answer_opens_the_tunnel() {
    assert_eq!(bad(|_| ()), None);
    assert_eq!(
        bad(|head| {
            head.fields.set("upgrade", "WebSocket");
            head.fields.set("connection", "keep-alive, upgrade");
        }),
        None
    );
}

#[test]
fn each_wrong_answer_is_a_bad_switch_by_its_name() {
    use BadSwitch::*;
    assert_eq!(bad(|head| head.status = 200), Some(Status));
    assert_eq!(bad(|head| head.version = Version::Http10), Some(Status));
    assert_eq!(bad(|head| without(&mut head.fields, "upgrade")), Some(Upgrade));
    assert_eq!(bad(|head| head.fields.set("upgrade", "h2c")), Some(Upgrade));
    assert_eq!(bad(|head| head.fields.push("upgrade", "h2c")), Some(Upgrade));
    assert_eq!(bad(|head| without(&mut head.fields, "connection")), Some(Connection));
    assert_eq!(bad(|head| without(&mut head.fields, "sec-websocket-accept")), Some(Accept));
    assert_eq!(bad(|head| head.fields.set("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=")), Some(Accept));
    assert_eq!(bad(|head| head.fields.set("sec-websocket-accept", "S3PPLMBITXAQ9KYGZZHZRBK+XOO=")), Some(Accept));
    assert_eq!(bad(|head| head.fields.push("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")), Some(Accept));
}

#[test]
fn an_extended_connect_is_completed_to_a_handshake() {
    let mut head = RequestHead { version: Version::Http2, wants_websocket: true, ..request() };
    for name in ["Upgrade", "Connection", "Sec-WebSocket-Version"] {
        without(&mut head.fields, name);
    }
    assert_eq!(check(&head), Err(HandshakeRefusal::ProtocolVersion));
    complete(&mut head, 7);
    let first = check(&head).unwrap();
    assert_ne!(first.key(), KEY, "the client's own key means nothing over HTTP/2");
    assert_eq!(
        (head.fields.all("sec-websocket-key").count(), head.fields.all("sec-websocket-version").count()),
        (1, 1)
    );
    complete(&mut head, 8);
    assert_ne!(check(&head).unwrap().key(), first.key());
    head.fields.set("Sec-WebSocket-Version", "8");
    complete(&mut head, 9);
    let refusal = check(&head).unwrap_err();
    assert_eq!((refusal, refusal.status(Version::Http2)), (HandshakeRefusal::ProtocolVersion, 400));
}
