//! What a file means: defaults, ways of writing, values from outside.

use std::{fs, path::PathBuf, time::Duration};

use super::*;

#[test]
fn two_lines_are_enough() {
    let config = sound("listen = \"127.0.0.1:8080\"\nupstream = \"127.0.0.1:3000\"");
    assert_eq!(config.listeners[0].address, ListenAddress::Tcp("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(config.routes.len(), 1);
    assert_eq!(config.routes[0].matches.path, "/");
    assert_eq!(config.routes[0].action, RouteAction::Forward { upstream: 0 });
    assert_eq!(config.upstreams[0].servers[0].address.to_string(), "127.0.0.1:3000");
    assert_eq!(config.admin.unwrap().listen, "127.0.0.1:9090".parse().unwrap());
}

#[test]
fn the_command_line_means_the_same_as_the_two_lines() {
    let file = sound("listen = \"127.0.0.1:8080\"\nupstream = \"127.0.0.1:3000\"");
    assert_eq!(minimal("127.0.0.1:8080", "127.0.0.1:3000").unwrap(), file);
    assert_eq!(minimal_with_admin("127.0.0.1:8080", "127.0.0.1:3000", Some("off")).unwrap().admin, None);
    let problems = minimal_with_admin("8080", "nonsense", Some("x")).unwrap_err();
    assert_eq!(problems.errors(), 3);
}

#[test]
fn without_listen_port_8080_is_listened_on() {
    let config = sound("upstream = \"127.0.0.1:3000\"");
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:8080");
}

#[test]
fn defaults_are_those_that_the_documents_promise() {
    let config = sound("upstream = \"127.0.0.1:3000\"");
    assert_eq!(config.limits.head_bytes, 32 << 10);
    assert_eq!(config.limits.target_bytes, 8 << 10);
    assert_eq!(config.limits.fields, 100);
    assert_eq!(config.limits.body_bytes, 128 << 20);
    assert_eq!(config.timeouts.head, Duration::from_secs(10));
    assert_eq!(config.timeouts.tunnel_idle, Duration::from_secs(3600));
    assert_eq!(config.cache.capacity, 256 << 20);
    assert_eq!(config.cache.max_object, 32 << 20);
    assert_eq!(config.routes[0].cache.heuristic, Some(Duration::from_secs(86_400)));
    assert_eq!(config.routes[0].websocket.idle_timeout, Duration::from_secs(3600));
    assert!(config.routes[0].websocket.enabled && config.routes[0].cache.enabled);
    assert_eq!(config.upstreams[0].read_timeout, None);
    assert_eq!(config.forward.request_id.as_deref(), Some("X-Request-Id"));
    assert!(config.threads >= 1);
}

#[test]
fn an_upstream_is_an_address_or_a_name() {
    for (written, name, tls) in [
        ("127.0.0.1:3000", "127.0.0.1:3000", None),
        ("app:3000", "app:3000", None),
        ("[::1]:3000", "[::1]:3000", None),
        ("http://app", "app:80", None),
        ("http://app:3000/", "app:3000", None),
        ("https://app.example.com", "https://app.example.com:443", Some("app.example.com")),
        ("https://10.0.0.1:8443", "https://10.0.0.1:8443", Some("10.0.0.1")),
        ("unix:/run/app.sock", "unix:/run/app.sock", None),
    ] {
        let config = sound(&format!("upstream = \"{written}\""));
        assert_eq!(&*config.upstreams[0].name, name, "{written}");
        let settled = config.upstreams[0].tls.clone();
        assert_eq!(settled.as_ref().map(|tls| tls.server_name.as_str()), tls, "{written}");
        assert!(settled.is_none_or(|tls| tls.verify));
    }
    let config = sound("upstream = \"app\"\n[upstreams.app]\nservers = \"10.0.0.1:80\"");
    assert_eq!(config.upstreams.len(), 1);
    assert_eq!(&*config.upstreams[0].name, "app");
}

#[test]
fn an_address_written_twice_is_one_upstream() {
    let config = sound(
        "upstream = \"app:3000\"\n[[routes]]\nmatch = { path = \"/a\" }\nupstream = \"http://app:3000\"\n\
         [[routes]]\nmatch = { path = \"/b\" }",
    );
    assert_eq!(config.upstreams.len(), 1);
    assert_eq!(config.routes.len(), 3);
    assert!(config.routes.iter().all(|route| route.action == RouteAction::Forward { upstream: 0 }));
}

#[test]
fn the_top_upstream_makes_no_route_where_one_takes_everything() {
    let config = sound("upstream = \"app:3000\"\n[[routes]]\nname = \"all\"\ncache = false");
    assert_eq!(config.routes.len(), 1);
    assert!(!config.routes[0].cache.enabled);
}

#[test]
fn a_redirect_to_https_leaves_https_to_the_app() {
    let config = sound("upstream = \"app:3000\"\n[[routes]]\nredirect = \"https\"");
    let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["redirect:/", "/"]);
    assert_eq!(config.routes[1].action, RouteAction::Forward { upstream: 0 });
}

#[test]
fn routes_without_a_name_get_one_of_their_own() {
    let config = sound(
        "upstream = \"app:3000\"\n[[routes]]\nmatch = { host = \"*.Example.com\", path = \"/x\" }\n\
         [[routes]]\nmatch = { host = \"*.example.com\", path = \"/x\", methods = \"POST\" }",
    );
    let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["*.example.com/x", "*.example.com/x#2", "/"]);
    assert_eq!(config.routes[0].matches.hosts, [HostPattern::Suffix(".example.com".to_owned())]);
}

#[test]
fn a_route_can_say_everything() {
    let config = sound(
        r#"
[upstreams.app]
servers = ["a:1", { address = "b:1", weight = 3 }]
balance = "least-load"
sticky = { field = "X-User" }
tls = { server_name = "app.internal", verify = false }
protocol = "http2"
answer_timeout = "off"
[[routes]]
name = "one"
match = { host = ["a.example", "B.example."], path = "/app/", methods = ["GET", "PUT"], fields = { X-One = "1", X-Two = true } }
upstream = "app"
strip_prefix = true
request_fields = { set = { Host = "app" }, add = { X-B = "1", X-A = "2" }, remove = "X-C" }
response_fields = { remove = ["Server"] }
body_limit = "off"
cache = { heuristic = "1h", stale_if_error = "5m", set_cookie = "store", client_cache_control = "ignore" }
websocket = { origins = ["HTTPS://App.Example.com:443"], idle_timeout = "2h" }
[[routes]]
match = { path = "/old" }
redirect = "https"
"#,
    );
    let upstream = &config.upstreams[0];
    assert_eq!(upstream.servers[1].weight, 3);
    assert_eq!(upstream.sticky, Some(Sticky::Field("X-User".to_owned())));
    assert_eq!(upstream.answer_timeout, None);
    let route = &config.routes[0];
    assert_eq!(route.strip_prefix.as_deref(), Some("/app"));
    assert_eq!(route.matches.hosts[1], HostPattern::Exact("b.example".to_owned()));
    assert_eq!(route.request_fields.add[0].0, "X-B", "in the order of the file");
    assert_eq!(route.body_bytes, u64::MAX);
    assert_eq!(route.websocket.origins, Origins::List(vec!["https://app.example.com".to_owned()]));
    assert!(route.cache.store_set_cookie && !route.cache.client_cache_control);
    assert_eq!(config.routes[1].action, RouteAction::RedirectToHttps);
}

#[test]
fn variables_fill_in_values_of_any_kind() {
    let text = "upstream = \"${HOST}:${PORT:-3000}\"\nthreads = \"${THREADS}\"\n[forward]\nvia = \"${VIA}\"\n\
                [[routes]]\nrequest_fields = { set = { X-Literal = \"$${HOST}\", X-Empty = \"${EMPTY:-none}\" } }";
    let variable = |name: &str| match name {
        "HOST" => Some("app".to_owned()),
        "THREADS" => Some("3".to_owned()),
        "VIA" => Some("true".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let (config, _) = from_text("tidegate.toml", text, variable).unwrap();
    assert_eq!(&*config.upstreams[0].name, "app:3000");
    assert_eq!(config.threads, 3);
    assert!(config.forward.via);
    let set = &config.routes[0].request_fields.set;
    assert_eq!(set[0].1, "${HOST}");
    assert_eq!(set[1].1, "none");
}

#[test]
fn what_a_variable_says_is_not_looked_into_again() {
    let text = "upstream = \"a:1\"\n[[routes]]\nrequest_fields = { set = { X-A = \"${A}\" } }";
    let (config, _) =
        from_text("t.toml", text, |name| (name == "A").then(|| "${B} file:/etc/passwd".to_owned())).unwrap();
    assert_eq!(config.routes[0].request_fields.set[0].1, "${B} file:/etc/passwd");
}

#[test]
fn secrets_and_paths_are_relative_to_their_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("token"), "Bearer abc\n").unwrap();
    let path = directory.path().join("tidegate.toml");
    let text = "upstream = \"unix:app.sock\"\n[access_log]\npath = \"access.log\"\n[[routes]]\n\
                request_fields = { set = { Authorization = \"file:token\" } }";
    fs::write(&path, text).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.config.routes[0].request_fields.set[0].1, "Bearer abc");
    assert_eq!(loaded.config.access_log.target, LogTarget::File(directory.path().join("access.log")));
    assert_eq!(loaded.config.upstreams[0].servers[0].address, BackendAddress::Unix(directory.path().join("app.sock")));
    assert_eq!(loaded.files, [path]);
}

#[test]
fn certificates_are_looked_at_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).unwrap();
    fs::write(directory.path().join("site.pem"), certified.cert.pem()).unwrap();
    fs::write(directory.path().join("site.key"), certified.signing_key.serialize_pem()).unwrap();
    let file = |pair: &str| {
        let path = directory.path().join("tidegate.toml");
        let text = format!(
            "upstream = \"app:3000\"\n[[listener]]\naddress = \"0.0.0.0:443\"\nminimum_tls = \"1.3\"\ntls = [{pair}]"
        );
        fs::write(&path, text).unwrap();
        load(&path)
    };
    let config = file("{ certificate = \"site.pem\", key = \"site.key\" }").unwrap().config;
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.minimum, TlsVersion::Tls13);
    assert_eq!(tls.pairs[0].key, directory.path().join("site.key"));

    let swapped = file("{ certificate = \"site.key\", key = \"site.pem\" }").unwrap_err();
    assert_eq!(swapped.errors(), 2, "{swapped}");
    let missing = file("{ certificate = \"gone.pem\", key = \"site.key\" }").unwrap_err().to_string();
    assert!(missing.contains("could not read"), "{missing}");
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let problems = load(&PathBuf::from("/nonexistent/tidegate.toml")).unwrap_err();
    assert_eq!(problems.errors(), 1);
    assert!(problems.to_string().contains("could not read `/nonexistent/tidegate.toml`"), "{problems}");
}
