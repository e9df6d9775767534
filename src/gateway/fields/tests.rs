use super::*;

fn fields(lines: &[(&str, &str)]) -> Fields {
    lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn what_only_a_proxy_may_say_is_dropped_from_others() {
    for name in ["Forwarded", "X-Real-IP", "x-forwarded-for", "X-Forwarded-Anything"] {
        assert!(is_replaced(name.as_bytes(), false), "{name}");
        assert!(!is_replaced(name.as_bytes(), true), "{name}");
    }
    for name in ["X_Forwarded_For", "x-forwarded_host", "x_real-ip"] {
        assert!(is_replaced(name.as_bytes(), false), "{name}");
        assert!(is_replaced(name.as_bytes(), true), "{name}: a trusted proxy passes it on unseen");
    }
    for name in ["Host", "Expect", "Content-Length"] {
        assert!(is_replaced(name.as_bytes(), true), "{name}");
    }
    for name in ["X-Forwarded", "X-Forwarded-", "Accept", "Cookie", "X_Own", "x-real-id"] {
        assert!(!is_replaced(name.as_bytes(), false), "{name}");
    }
}

#[test]
fn fields_that_are_no_part_of_the_key_are_known_in_any_spelling() {
    for name in ["X-Rewrite-URL", "x_original_url", "X-HTTP-Method-Override", "x-host"] {
        assert!(is_unkeyed(name.as_bytes()), "{name}");
    }
    for name in ["X-Scheme", "x_scheme", "X.Client.IP", "Front-End-Https", "Client-IP", "TRUE-CLIENT-IP", "Base-Url"] {
        assert!(is_hearsay(name.as_bytes()), "{name}");
    }
    for name in ["X-Forwarded-For", "Cookie", "X-Schemes", "Content-Type", ""] {
        assert!(!is_hearsay(name.as_bytes()), "{name}");
    }
    assert!(!is_unkeyed(b"X-Hosts") && !is_unkeyed(b"Host"));
}

#[test]
fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
    let trusted = nets(&["10.0.0.0/8", "fd00::/8"]);
    for (lines, client) in [
        (&["1.2.3.4"][..], Some("1.2.3.4")),
        (&["6.6.6.6, 1.2.3.4, 10.0.0.9"], Some("1.2.3.4")),
        (&["6.6.6.6", "1.2.3.4", "10.0.0.9, fd00::1"], Some("1.2.3.4")),
        (&["10.0.0.1, 10.0.0.2"], Some("10.0.0.1")),
        (&["garbage, 10.0.0.2"], Some("10.0.0.2")),
        (&["1.2.3.4:5678"], Some("1.2.3.4")),
        (&["[2001:db8::1]:5678"], Some("2001:db8::1")),
        (&["::ffff:1.2.3.4"], Some("1.2.3.4")),
        (&["garbage"], None),
        (&[], None),
    ] {
        let lines: Vec<(&str, &str)> = lines.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        assert_eq!(client_behind(&fields(&lines), &trusted), client.map(ip), "{lines:?}");
    }
}

#[test]
fn a_list_is_begun_or_gone_on_with() {
    let mut list = fields(&[("X-Forwarded-For", "1.1.1.1"), ("a", "b"), ("x-forwarded-for", "2.2.2.2")]);
    append(&mut list, "X-Forwarded-For", "3.3.3.3");
    assert_eq!(list.all("x-forwarded-for").collect::<Vec<_>>(), [b"1.1.1.1, 2.2.2.2, 3.3.3.3"]);
    append(&mut list, "Forwarded", "for=x");
    assert_eq!(list.get("forwarded"), Some(&b"for=x"[..]));
}

#[test]
fn the_port_is_the_authoritys_or_the_schemes() {
    for (authority, scheme, port) in [
        ("a.test", Scheme::Http, "80"),
        ("a.test", Scheme::Https, "443"),
        ("a.test:", Scheme::Https, "443"),
        ("a.test:8080", Scheme::Https, "8080"),
        ("[::1]", Scheme::Http, "80"),
        ("[::1]:81", Scheme::Http, "81"),
    ] {
        assert_eq!(port_of(authority, scheme), port, "{authority}");
    }
}

#[test]
fn a_prefix_is_taken_off_at_a_segments_border() {
    for (target, prefix, stripped) in [
        ("/app/x?y", "/app", "/x?y"),
        ("/app", "/app", "/"),
        ("/app?y", "/app", "/?y"),
        ("/app/", "/app/", "/"),
        ("/app//x", "/app", "//x"),
    ] {
        let mut told = Fields::new();
        assert_eq!(strip_prefix(target, prefix, &mut told), stripped, "{target}");
        assert_eq!(told.get("x-forwarded-prefix"), Some(&b"/app"[..]), "{target}");
    }
    for (target, prefix) in [("/apple", "/app"), ("/other", "/app"), ("*", "/app"), ("/x", "/")] {
        let mut told = Fields::new();
        assert_eq!(strip_prefix(target, prefix, &mut told), target);
        assert!(told.is_empty(), "{target}");
    }
}

#[test]
fn edits_remove_then_set_then_add() {
    let edits = FieldEdits {
        remove: vec!["gone".to_owned(), "x".to_owned()],
        set: vec![("One".to_owned(), "1".to_owned())],
        add: vec![("x".to_owned(), "new".to_owned()), ("one".to_owned(), "2".to_owned())],
    };
    let mut edited = fields(&[("x", "old"), ("Gone", "y"), ("one", "a"), ("one", "b"), ("kept", "z")]);
    edit(&mut edited, &edits);
    assert_eq!(edited.all("x").collect::<Vec<_>>(), [b"new"]);
    assert_eq!(edited.all("one").collect::<Vec<_>>(), [b"1", b"2"]);
    assert!(!edited.contains("gone") && edited.contains("kept"));
}

#[test]
fn a_cookie_is_found_by_its_whole_name() {
    let fields = fields(&[("Cookie", "ab=1; b=2"), ("cookie", "c=\"3=4\";d=")]);
    assert_eq!(cookie(&fields, "b"), Some("2"));
    assert_eq!(cookie(&fields, "c"), Some("\"3=4\""));
    assert_eq!(cookie(&fields, "d"), Some(""));
    assert_eq!(cookie(&fields, "a"), None);
    // What is no text hides none of its neighbours.
    let mut fields = Fields::new();
    fields.push("Cookie", b"tide; old=\xfc; tide=\xfc;  tide=abc");
    assert_eq!((cookie(&fields, "tide"), cookie(&fields, "old")), (Some("abc"), None));
}

#[test]
fn affinity_is_the_same_for_the_same_client() {
    let mut request = RequestHead::default();
    request.fields.push("X-User", "u1");
    request.fields.push("Cookie", "tide=abc");
    let key = |sticky: &Sticky, client: &str| match affinity(Some(sticky), &request, ip(client)) {
        Affinity::Key(key) => key,
        other => panic!("{other:?}"),
    };
    let source = Sticky::SourceAddress;
    assert_eq!(key(&source, "1.2.3.4"), key(&source, "::ffff:1.2.3.4"));
    assert_ne!(key(&source, "1.2.3.4"), key(&source, "1.2.3.5"));
    assert_eq!(key(&source, "2001:db8::1"), key(&source, "2001:db8::ffff:1"));
    assert_ne!(key(&source, "2001:db8::1"), key(&source, "2001:db8:0:1::1"));
    let field = Sticky::Field("x-user".to_owned());
    assert_eq!(key(&field, "1.1.1.1"), key(&field, "2.2.2.2"));
    let token = affinity(Some(&Sticky::Cookie("tide".to_owned())), &request, ip("1.1.1.1"));
    assert!(matches!(token, Affinity::Token(token) if token == "abc"));
    assert!(matches!(affinity(Some(&Sticky::Field("none".to_owned())), &request, ip("::1")), Affinity::None));
}
