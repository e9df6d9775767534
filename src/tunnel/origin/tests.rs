//! Policies against origins.

use super::*;

fn head(authority: &str, fields: &[(&str, &str)]) -> RequestHead {
    RequestHead { authority: authority.into(), fields: fields.iter().copied().collect(), ..RequestHead::default() }
}

fn same(authority: &str, origin: &str) -> Result<(), ForeignOrigin> {
    check_origin(&head(authority, &[("Origin", origin)]), &Origins::SameHost, None)
}

fn in_list(origin: &str, list: &[&str]) -> Result<(), ForeignOrigin> {
    let list = Origins::List(list.iter().map(|&entry| entry.to_owned()).collect());
    check_origin(&head("app.example", &[("Origin", origin)]), &list, None)
}

#[test]
fn a_handshake_without_origin_passes_every_policy() {
    let head = head("app.example", &[("Cookie", "a=b")]);
    for policy in [Origins::Default, Origins::Any, Origins::SameHost, Origins::List(vec![])] {
        assert_eq!(check_origin(&head, &policy, None), Ok(()));
    }
}

#[test]
fn the_default_refuses_a_foreign_origin_only_with_cookies() {
    let foreign = ("Origin", "https://evil.example");
    assert_eq!(check_origin(&head("app.example", &[foreign]), &Origins::Default, None), Ok(()));
    let with_cookie = head("app.example", &[foreign, ("Cookie", "session=1")]);
    assert_eq!(check_origin(&with_cookie, &Origins::Default, None), Err(ForeignOrigin::OtherHost));
    assert_eq!(check_origin(&with_cookie, &Origins::Any, None), Ok(()));
    // A cookie of the gateway's own tells nothing of the client; another beside it does.
    for (cookies, expected) in [
        ("gate=token", Ok(())),
        (" gate=token; ", Ok(())),
        ("", Ok(())),
        ("gate=token; session=1", Err(ForeignOrigin::OtherHost)),
        ("gates=token", Err(ForeignOrigin::OtherHost)),
        ("gate", Ok(())),
    ] {
        let head = head("app.example", &[foreign, ("Cookie", cookies)]);
        assert_eq!(check_origin(&head, &Origins::Default, Some("gate")), expected, "{cookies}");
    }
    let own = head("app.example", &[("Origin", "https://app.example"), ("Cookie", "session=1")]);
    assert_eq!(check_origin(&own, &Origins::Default, None), Ok(()));
}

#[test]
fn default_ports_and_case_do_not_make_a_host_another() {
    for (authority, origin) in [
        ("app.example", "http://app.example"),
        ("app.example", "https://app.example"),
        ("app.example:443", "https://app.example"),
        ("app.example:80", "http://app.example"),
        ("app.example", "https://app.example:443"),
        ("App.Example", "https://app.EXAMPLE"),
        ("app.example:8080", "http://app.example:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("[::1]", "http://[::1]"),
    ] {
        assert_eq!(same(authority, origin), Ok(()), "{authority} {origin}");
    }
}

#[test]
fn another_host_or_port_is_foreign() {
    for (authority, origin) in [
        ("app.example", "https://app.example.evil.example"),
        ("app.example", "https://evilapp.example"),
        ("app.example", "https://sub.app.example"),
        ("app.example", "https://app.example:8443"),
        ("app.example:8080", "http://app.example"),
        ("app.example:80", "https://app.example"),
        ("app.example", "app://app.example"),
        ("", "http://app.example"),
    ] {
        assert_eq!(same(authority, origin), Err(ForeignOrigin::OtherHost), "{authority} {origin}");
    }
}

#[test]
fn null_and_nonsense_are_foreign() {
    assert_eq!(same("app.example", "null"), Err(ForeignOrigin::Null));
    for origin in
        ["", "app.example", "https://", "https://app.example/", "https://u@app.example", "https://app.example:x"]
    {
        assert_eq!(same("app.example", origin), Err(ForeignOrigin::Malformed), "{origin}");
    }
    let twice = head("app.example", &[("Origin", "https://app.example"), ("Origin", "https://evil.example")]);
    assert_eq!(check_origin(&twice, &Origins::SameHost, None), Err(ForeignOrigin::Malformed));
}

#[test]
fn a_list_lets_in_what_it_names_and_nothing_else() {
    let list = ["https://partner.example", "other.example:8080", "chrome-extension://abcdef"];
    for origin in [
        "https://partner.example",
        "https://partner.example:443",
        "http://other.example:8080",
        "chrome-extension://abcdef",
    ] {
        assert_eq!(in_list(origin, &list), Ok(()), "{origin}");
    }
    for origin in ["http://partner.example", "https://other.example", "https://app.example", "chrome-extension://other"]
    {
        assert_eq!(in_list(origin, &list), Err(ForeignOrigin::NotListed), "{origin}");
    }
    assert_eq!(in_list("null", &list), Err(ForeignOrigin::Null));
    assert_eq!(in_list("null", &["null"]), Ok(()));
}
