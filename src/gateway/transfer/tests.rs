use super::*;

fn head(status: u16, length: Option<&str>) -> ResponseHead {
    let mut head = ResponseHead { status, ..ResponseHead::default() };
    if let Some(length) = length {
        head.fields.push("Content-Length", length);
    }
    head
}

#[test]
fn the_head_says_how_long_the_body_is() {
    for (method, status, length, expected) in [
        (Method::GET, 200, Some("12"), BodyLength::Exact(12)),
        (Method::GET, 200, Some("0"), BodyLength::Exact(0)),
        (Method::POST, 500, None, BodyLength::Unknown),
        (Method::HEAD, 200, Some("12"), BodyLength::None),
        (Method::HEAD, 200, None, BodyLength::None),
        (Method::GET, 204, None, BodyLength::None),
        (Method::GET, 304, Some("12"), BodyLength::None),
    ] {
        assert_eq!(body_length(&method, &head(status, length)), expected, "{method} {status} {length:?}");
    }
}

#[test]
fn after_the_head_only_a_clients_own_fault_ends_an_answer() {
    assert!(Fault::Client(ClientFault::Gone).is_fatal_after_head());
    assert!(!Fault::Client(ClientFault::BodyTooLarge).is_fatal_after_head());
    assert!(!Fault::Backend(Failure::Closed { reused: false }).is_fatal_after_head());
}
