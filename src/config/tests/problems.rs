//! What is wrong, as people read it: snapshots.

use super::*;

#[test]
fn a_file_with_many_mistakes_is_told_of_all_of_them() {
    insta::assert_snapshot!(told(include_str!("ten_mistakes.toml")));
}

#[test]
fn problems_for_programs_carry_file_line_and_column() {
    let Err(problems) = from_text("tidegate.toml", include_str!("ten_mistakes.toml"), |_| None) else {
        panic!("it has mistakes")
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&problems.to_json()).unwrap());
}

#[test]
fn syntax_errors_are_told_together_and_hide_nothing_else() {
    insta::assert_snapshot!(told(
        "upstream = \nlisten = [\"0.0.0.0:80\"]\nlisten = []\nthreds = 2\n[cache]\ncapacity = \"x\"\n[a b]\n"
    ));
}

#[test]
fn what_contradicts_itself_is_told() {
    insta::assert_snapshot!(told(
        r#"
[[listener]]
address = "127.0.0.1:9090"
minimum_tls = "1.3"
[[listener]]
address = "unix:x"
[[listener]]
address = "unix:x"
[upstreams.mixed]
servers = ["https://a", "b:1"]
[upstreams.nameless]
servers = ["10.0.0.1:443", "10.0.0.2:443"]
tls = true
sticky = { cookie = "a", field = "b" }
[[routes]]
upstream = "mixed"
redirect = "https"
[[routes]]
match = { path = "/a", host = ["x.example", "y.example"] }
upstream = "nameless"
strip_prefix = "/b"
[[routes]]
match = { path = "/a", host = "Y.example" }
upstream = "nameless"
websocket = { origins = [] }
"#
    ));
}

#[test]
fn a_tls_server_without_a_name_is_told_however_its_address_is_written() {
    for servers in ["\"10.0.0.1:443\"", "\"unix:/run/app.sock\"", "\"a.test:443\", \"b.test:443\""] {
        for tls in ["true", "{ verify = false }"] {
            let told = told(&format!("upstream = \"app\"\n[upstreams.app]\nservers = [{servers}]\ntls = {tls}\n"));
            let (what, way_out) = ("TLS needs a name", "expected `tls = { server_name = \"…\" }`");
            assert!(told.contains(what) && told.contains(way_out), "{servers} {tls}: {told}");
        }
    }
    let named =
        "upstream = \"app\"\n[upstreams.app]\nservers = [\"10.0.0.1:443\"]\ntls = { server_name = \"a.test\" }\n";
    let by_address = "upstream = \"https://10.0.0.1\"\n";
    for sound in [named, by_address] {
        assert!(from_text("tidegate.toml", sound, |_| None).is_ok(), "{sound}");
    }
}

#[test]
fn terms_of_tunnels_that_contradict_each_other_are_told() {
    insta::assert_snapshot!(told(
        r#"
upstream = "a:1"
[[routes]]
match = { path = "/a" }
websocket = { close_code = 1006 }
[[routes]]
match = { path = "/b" }
[routes.websocket]
observe = false
max_message = "1MiB"
messages_per_second = "off"
ping_interval = "30s"
"#
    ));
}

#[test]
fn warnings_are_told_where_there_are_no_errors() {
    insta::assert_snapshot!(told(
        r#"
upstream = "a:1"
trusted_proxies = ["0.0.0.0/0", "::/0", "10.0.0.0/8"]
[admin]
listen = "0.0.0.0:9090"
[limits]
body = "100KiB"
[timeouts]
tunnel_idle = "30s"
[cache]
capacity = "1MiB"
max_object = "2MiB"
[upstreams.two]
servers = ["a:1", "b:1", "a:1"]
[upstreams.sticky]
servers = ["a:1", "b:1"]
sticky = "off"
tls = { server_name = "a", verify = false }
[upstreams.unused]
servers = ["a:1"]
[[routes]]
upstream = "two"
cache = { set_cookie = "store" }
websocket = { idle_timeout = "59s" }
[[routes]]
match = { path = "/s" }
upstream = "sticky"
"#
    ));
}

#[test]
fn what_a_cache_can_not_be_told_is_told() {
    insta::assert_snapshot!(told(
        r#"
upstream = "a:1"
[cache]
targeted_fields = ["Cache-Control", "bad name"]
snapshot = { bytes = "1KiB" }
[[routes]]
match = { path = "/a" }
cache = { key = { query = { ignore = ["*", "a=b", "a*b", "é"], keep = [] }, fields = ["TE", "Host"] } }
[[routes]]
match = { path = "/b" }
cache = { key = { query = { keep = [] }, fields = "X-Country", sort_query = "yes" }, range_fill = "all" }
[[routes]]
match = { path = "/c" }
cache = { key = { query = {} }, purge_from = "10.0.0.1/8" }
[[routes]]
match = { path = "/d" }
cache = { key = { query = { ignore = "a", keep = "b" } } }
"#
    ));
}

#[test]
fn what_a_cache_is_hardly_meant_to_do_is_told() {
    let text = r#"
upstream = "a:1"
[cache]
capacity = "8GiB"
targeted_fields = ["A", "a", "cdn-cache-control"]
snapshot = "/nowhere/hot"
[[routes]]
match = { methods = ["GET", "HEAD"] }
cache = { purge_from = ["0.0.0.0/0", "::/0", "10.0.0.0/8"], set_cookie = "store", key = { fields = ["Cookie", "Accept-Encoding", "X-Forwarded-Proto", "If-Range", "Range", "X-Fine"] } }
"#;
    let outside = Outside {
        directory: &|_| Err(std::io::ErrorKind::NotFound.into()),
        memory: &|| Some((4 << 30) - 4096),
        ..Outside::nothing()
    };
    let (_, warnings) = from_texts(&[("tidegate.toml".to_owned(), text.to_owned())], &outside).unwrap();
    insta::assert_snapshot!(warnings.to_string());
}

#[test]
fn connections_that_were_asked_for_need_as_many_files() {
    let outside = Outside { open_files: &|| Some(1999), ..Outside::nothing() };
    let warned = |text: &str| {
        let text = format!("upstream = \"a:1\"\n{text}");
        from_texts(&[("tidegate.toml".to_owned(), text)], &outside).unwrap().1.to_string()
    };
    assert_eq!(warned(""), "");
    assert_eq!(warned("limits.connections = 999"), "");
    let told = warned("limits.connections = 1000");
    assert!(told.contains("the process may have 1999 files open") && told.contains("LimitNOFILE"), "{told}");
}

#[test]
fn a_redirect_without_tls_anywhere_is_warned_of() {
    assert!(told("[[routes]]\nredirect = \"https\"").starts_with("warning: clients are sent to https"));
    assert_eq!(told("trusted_proxies = [\"10.0.0.0/8\"]\n[[routes]]\nredirect = \"https\""), "");
}

#[test]
fn nothing_to_pass_requests_to_is_an_error_with_a_way_out() {
    insta::assert_snapshot!(told("listen = \"0.0.0.0:80\""), @r#"
    error: there is nothing to pass requests to
     |
     = hint: write `upstream = "127.0.0.1:3000"` at the top of the file, or `[[routes]]`
    "#);
}

#[test]
fn a_slip_in_a_name_does_not_make_the_key_look_missing() {
    assert_eq!(told("upstrem = \"a:1\"").matches("error:").count(), 1);
    assert_eq!(told("[[route]]\nupstream = \"a:1\"").matches("error:").count(), 1);
    assert_eq!(told("upstream = \"app\"\n[upstreams.app]\nserver = \"a:1\"").matches("error:").count(), 1);
}

#[test]
fn addresses_overlap_where_both_cannot_be_bound() {
    for (one, other, overlap) in [
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
        ("[::]:80", "[::1]:80", true),
        ("0.0.0.0:80", "[::]:80", true),
        ("0.0.0.0:80", "[::1]:80", false),
        ("[::]:80", "127.0.0.1:80", true),
        ("unix:/a", "unix:/a", true),
        ("unix:/a", "unix:/b", false),
    ] {
        let text = format!("upstream = \"a:1\"\nlisten = [\"{one}\", \"{other}\"]");
        assert_eq!(!told(&text).is_empty(), overlap, "{one} {other}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z\\[\\]{}=\"\\n$:/.,0-9é]{0,80}") {
        let _ = told(&text);
    }

    #[test]
    fn no_change_of_a_byte_makes_the_reader_panic(at in 0_usize..1000, byte in 0_u8..128) {
        let mut text = include_str!("ten_mistakes.toml").as_bytes().to_vec();
        let at = at % text.len();
        text[at] = byte;
        let _ = told(&String::from_utf8(text).unwrap());
    }
}

#[test]
fn names_of_the_admin_listener_are_names_of_one_host_each() {
    for (name, label) in [
        ("*.example.com", "expected each name in full"),
        ("*", "expected each name in full"),
        ("http://a", "expected a host without scheme and path"),
        ("a:9090", "without its port"),
    ] {
        let told = told(&format!("upstream = \"a:1\"\nlisten = \"127.0.0.1:1\"\n[admin]\nhosts = \"{name}\"\n"));
        assert!(told.contains(label), "{told}");
    }
}

#[test]
fn a_table_in_short_is_told_its_keys() {
    let told = told("upstream = \"a:1\"\ncache = false\n[[listener]]\naddress = \"127.0.0.1:1\"\n");
    assert!(told.contains("expected a table, found `true` or `false`"), "{told}");
    assert!(told.contains("its keys are `enabled`, `capacity`"), "{told}");
}

#[test]
fn a_table_that_should_be_a_list_is_told_how_a_list_is_written() {
    let told = told(
        "upstream = \"a:1\"\n[[listener]]\naddress = \"127.0.0.1:1\"\ntls = { certificate = \"a\", key = \"b\" }\n",
    );
    assert!(told.contains("expected a list of tables, found a table"), "{told}");
    assert!(told.contains("in brackets: `[{ … }]`"), "{told}");
}

#[test]
fn the_table_of_an_upstream_is_not_mixed_up_with_the_upstream() {
    let told = told("upstream = \"app\"\n[upstream.app]\nservers = [\"a:1\"]\n");
    assert_eq!(told.matches("error: ").count(), 1, "{told}");
    assert!(told.contains("did you mean `[upstreams.app]`?"), "{told}");
}
