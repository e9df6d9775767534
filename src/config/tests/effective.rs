//! The way back: what is printed loads to the same values.

use super::*;

#[test]
fn the_smallest_configuration_is_read_back_as_printed() {
    let config = minimal("127.0.0.1:8080", "https://app.example.com").unwrap();
    assert_eq!(sound(&effective(&config)), config, "{}", effective(&config));
}

#[test]
fn every_example_is_read_back_as_printed() {
    for (path, config) in super::outputs::examples() {
        let printed = effective(&config);
        let again = from_texts(&[(path, printed.clone())], &super::outputs::with_certificates());
        assert_eq!(again.unwrap().0, config, "{printed}");
    }
}

#[test]
fn values_far_from_their_defaults_are_read_back_as_printed() {
    let config = sound(
        r#"
listen = ["127.0.0.1:1", "[::1]:2", "unix:/run/tide gate.sock"]
threads = 7
trusted_proxies = ["10.0.0.1", "fd00::/8"]
[[listener]]
address = "127.0.0.1:3"
h2c = true
http2 = false
[admin]
listen = "127.0.0.1:4"
hosts = ["Gateway.Example.", "tide"]
[cache]
enabled = false
capacity = 1234567
status_field = false
targeted_fields = ["Tidegate-Cache-Control", "Edge-Control"]
snapshot = { path = "/hot set", bytes = "1MiB", time = "1s" }
[access_log]
path = "off"
format = "json"
queue = 1
[limits]
connections = 1
connections_per_address = 2
head = "1KiB"
target = "256B"
fields = 8
body = "off"
body_rate = 0
body_rate_grace = "0"
answer_head = "1MiB"
http2_streams = 1
unsent = "1MiB"
tunnels = 5
drain_rate = 7
[timeouts]
tls_handshake = "1ms"
head = "1s"
keep_alive = "1m"
send = "1h"
tunnel_idle = "1d"
tunnel_linger = "0"
tunnel_close = "1s"
tunnel_drain = "0"
shutdown = "1d1h1m1s1ms"
[forward]
forwarded = true
via = true
request_id = "off"
[upstreams."strange \" name \\ ${X}"]
servers = ["a:1", { address = "unix:/b", weight = 1000, max_tunnels = 7 }]
max_tunnels = 3
sticky = "source-address"
balance = "least-load"
tls = { server_name = "x", verify = false }
protocol = "http2"
connect_timeout = "1ms"
answer_timeout = "off"
read_timeout = "1s"
idle_timeout = "0"
idle_connections = 0
retries = 0
[upstreams.cookie]
servers = "a:1"
sticky = { cookie = "c" }
[[routes]]
upstream = "strange \" name \\ $${X}"
match = { methods = ["GET", "PURGE"], fields = { X-A = "a\tb", X-B = true } }
strip_prefix = false
request_fields = { set = { "X'Y" = "quote \" dollar $${X} é" }, remove = ["Cookie"] }
body_limit = 5
cache = false
websocket = false
[[routes]]
match = { path = "/a", host = ["*.a.example", "b.example", "[::1]"] }
upstream = "cookie"
strip_prefix = true
cache = { heuristic = false, stale_if_error = "1s", set_cookie = "store", client_cache_control = "ignore", range_fill = "whole", purge_from = ["10.0.0.0/8", "::1"] }
websocket = { origins = "same-host", max_lifetime = "1d", max_message = "1MiB", messages_per_second = 20, max_connections = 9, max_connections_per_client = 8, handshakes_per_second = 7, handshakes_per_second_per_client = 6 }
[[routes]]
match = { path = "/c" }
upstream = "cookie"
cache = { key = { query = { ignore = ["utm_*", "a%20b"] }, sort_query = true, fields = ["X-B", "x-a", "X-b"] } }
[[routes]]
match = { path = "/d" }
upstream = "cookie"
cache = { key = { query = { keep = "page" } } }
[[routes]]
match = { path = "/e" }
upstream = "cookie"
cache = { key = { query = "none" } }
[[routes]]
match = { path = "/b" }
redirect = "https"
[routes.websocket]
origins = "any"
idle_timeout = "1h"
ping_interval = "30s"
pong_timeout = "5s"
count_pings_as_activity = false
close_timeout = "0"
close_code = 4000
session_field = "X-Session-Ends"
session_code = 4401
on_backend_down = "drain"
on_change = "drain"
[[routes]]
match = { path = "/f" }
upstream = "cookie"
websocket = { observe = false }
"#,
    );
    let printed = effective(&config);
    assert_eq!(sound(&printed), config, "{printed}");
    assert_eq!(effective(&sound(&printed)), printed, "printing settles");
}

#[test]
fn the_printed_default_is_what_people_will_see() {
    let mut config = minimal("127.0.0.1:8080", "127.0.0.1:3000").unwrap();
    config.threads = 2;
    insta::assert_snapshot!(effective(&config));
}

#[test]
fn json_carries_the_same_values() {
    let config = minimal("127.0.0.1:8080", "127.0.0.1:3000").unwrap();
    let json = effective_json(&config);
    assert_eq!(json["limits"]["head"], "32KiB");
    assert_eq!(json["upstreams"]["127.0.0.1:3000"]["servers"][0]["address"], "127.0.0.1:3000");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_back_as_it_is_quoted(text in "\\$?\\$?(file:)?(\\PC|[\\x00-\\x1f\"\\\\$]|\\$\\{|file:|\\$\\$\\{){0,12}") {
        let inline = written::Written::Text(text.clone()).inline();
        let mut problems = Problems::new();
        let source = Source { name: String::new(), directory: "/".into(), text: format!("key = {inline}") };
        let source = problems.add_source(source);
        let outside = Outside::nothing();
        let (entries, _) = tree::parse(source, &outside, &mut problems);
        let tree::Data::Text { text: read, .. } = &entries[0].value.data else { panic!("{problems}") };
        assert_eq!(read, &text);
    }
}
