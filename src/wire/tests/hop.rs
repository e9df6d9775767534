use crate::wire::hop::is_hop_by_hop;
use crate::wire::{Fields, strip_hop_by_hop};

fn stripped(lines: &[(&str, &str)]) -> Vec<String> {
    let mut fields: Fields = lines.iter().copied().collect();
    strip_hop_by_hop(&mut fields);
    fields.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
}

const NAMES: [&str; 12] = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "HTTP2-Settings",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "upgrade",
];

#[test]
fn fields_of_the_connection_go_no_further() {
    for name in NAMES {
        assert!(is_hop_by_hop(name.as_bytes()) && is_hop_by_hop(name.to_lowercase().as_bytes()), "{name}");
        assert_eq!(stripped(&[("A", "b"), (name, "c"), ("D", "e")]), ["A", "D"], "{name}");
    }
    assert!(!is_hop_by_hop(b"host") && !is_hop_by_hop(b"content-length") && !is_hop_by_hop(b"ta"));
}

#[test]
fn nominated_fields_go_no_further() {
    let lines = [
        ("X-A", "1"),
        ("Connection", "close, x-a ,, X-Gone"),
        ("x-A", "2"),
        ("connection", "x-b"),
        ("X-B", "3"),
        ("X-C", "4"),
    ];
    assert_eq!(stripped(&lines), ["X-C"]);
}

#[test]
fn a_nomination_can_not_take_away_what_frames_guards_or_dates_the_message() {
    let names = [
        "Host",
        "Content-Length",
        "Cookie",
        "Set-Cookie",
        "Authorization",
        "Cache-Control",
        "X-Forwarded-For",
        "X-Forwarded-Anything",
        "Forwarded",
        "Age",
        "Vary",
        "Date",
        "Expires",
        "Content-Encoding",
        "Origin",
        "Sec-WebSocket-Key",
        "If-None-Match",
        "X-Real-IP",
        "Via",
        "Range",
        "ETag",
    ];
    for name in names {
        assert_eq!(stripped(&[("Connection", &name.to_lowercase()), (name, "a")]), [name]);
    }
}

#[test]
fn a_very_long_nomination_costs_no_more_than_its_reading() {
    let list = "x-a,x-b,".repeat(4000);
    let fields: Fields = [("Connection", list.as_str()), ("X-A", "b"), ("X-C", "d")].into_iter().collect();
    assert_eq!(fields.connection_nominated().count(), 8000);
    assert_eq!(stripped(&[("Connection", &list), ("X-A", "b"), ("X-C", "d")]), ["X-C"]);
}
