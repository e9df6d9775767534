//! One configuration after another.

use super::*;
use crate::config::from_text;

const BEFORE: &str = r#"
[upstreams.app]
servers = ["10.0.0.1:1", "10.0.0.2:1"]
[upstreams.other]
servers = ["10.0.0.3:1"]
[[routes]]
name = "chat"
match = { path = "/chat" }
upstream = "app"
websocket = { on_change = "drain", idle_timeout = "2h" }
[[routes]]
name = "feed"
match = { path = "/feed" }
upstream = "other"
"#;

/// What becomes of the tunnels of `chat` and `feed` when each of these texts is replaced.
fn after(changes: &[(&str, &str)]) -> Vec<Fate> {
    let mut text = BEFORE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let read = |text: &str| from_text("test.toml", text, |_| None).unwrap_or_else(|problems| panic!("{problems:?}")).0;
    fates(&read(BEFORE), &read(&text))
}

#[test]
fn what_does_not_concern_a_tunnel_leaves_it() {
    for changes in [
        &[][..],
        &[("idle_timeout = \"2h\" }", "idle_timeout = \"2h\" }\ncache = false\nbody_limit = 1")],
        &[("\"10.0.0.2:1\"]", "{ address = \"10.0.0.2:1\", weight = 7 }, \"10.0.0.9:1\"]\nbalance = \"least-load\"")],
    ] {
        assert_eq!(after(changes), [Fate::Keep(0), Fate::Keep(1)], "{changes:?}");
    }
}

#[test]
fn what_concerns_it_drains_it_where_its_route_says_so() {
    for change in [
        ("path = \"/chat\"", "path = \"/talk\""),
        ("upstream = \"app\"", "upstream = \"other\""),
        (", \"10.0.0.2:1\"", ""),
        ("idle_timeout = \"2h\"", "idle_timeout = \"3h\""),
        ("idle_timeout = \"2h\"", "idle_timeout = \"2h\", max_message = \"1MiB\""),
        ("idle_timeout = \"2h\"", "idle_timeout = \"2h\", origins = \"any\""),
    ] {
        assert_eq!(after(&[change]), [Fate::Drain, Fate::Keep(1)], "{change:?}");
        let keeps = [change, ("on_change = \"drain\"", "on_change = \"keep\"")];
        assert_eq!(after(&keeps), [Fate::Keep(0), Fate::Keep(1)], "{keeps:?}");
    }
}

#[test]
fn what_is_gone_drains_whatever_was_said() {
    assert_eq!(after(&[("name = \"feed\"", "name = \"news\"")]), [Fate::Keep(0), Fate::Drain]);
    assert_eq!(after(&[("upstream = \"other\"\n", "upstream = \"other\"\nwebsocket = false\n")])[1], Fate::Drain);
    assert_eq!(after(&[("upstream = \"other\"\n", "redirect = \"https\"\n")])[1], Fate::Drain);
}

#[test]
fn a_route_is_found_wherever_it_stands() {
    let feed = "[[routes]]\nname = \"feed\"\nmatch = { path = \"/feed\" }\nupstream = \"other\"\n";
    let moved = [
        (feed, ""),
        (
            "[[routes]]\nname = \"chat\"",
            "[[routes]]\nname = \"new\"\nmatch = { path = \"/new\" }\nupstream = \"other\"\n[[routes]]\nname = \"feed\"\nmatch = { path = \"/feed\" }\nupstream = \"other\"\n[[routes]]\nname = \"chat\"",
        ),
    ];
    assert_eq!(after(&moved), [Fate::Keep(2), Fate::Keep(1)]);
}
