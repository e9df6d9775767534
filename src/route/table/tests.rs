use std::sync::Arc;

use http::Method;

use super::*;
use crate::{
    config::{FieldEdits, FieldMatch, KeyShape, RouteCache},
    wire::Fields,
};

fn route(hosts: &[&str], path: &str) -> Route {
    let hosts = hosts
        .iter()
        .map(|host| match host.strip_prefix('*') {
            Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
            None => HostPattern::Exact((*host).to_owned()),
        })
        .collect();
    Route {
        name: Arc::from(path),
        matches: RouteMatch { hosts, path: path.to_owned(), methods: Vec::new(), fields: Vec::new() },
        action: RouteAction::Forward { upstream: 0 },
        strip_prefix: None,
        request_fields: FieldEdits::default(),
        response_fields: FieldEdits::default(),
        body_bytes: 0,
        cache: RouteCache {
            enabled: true,
            store_set_cookie: false,
            client_cache_control: true,
            heuristic: None,
            stale_if_error: std::time::Duration::ZERO,
            stale_while_revalidate: std::time::Duration::ZERO,
            default_ttl: None,
            key: KeyShape::default(),
            range_fill: false,
            purge_from: Vec::new(),
        },
        websocket: crate::config::minimal("127.0.0.1:1", "127.0.0.1:2").unwrap().routes[0].websocket.clone(),
    }
}

fn find(routes: &[Route], host: &str, path: &str) -> Option<usize> {
    RouteTable::new(routes).find(&request(host, path, Method::GET, Fields::new()))
}

fn request(host: &str, path: &str, method: Method, fields: Fields) -> RequestHead {
    RequestHead { authority: host.to_owned(), target: path.to_owned(), method, fields, ..RequestHead::default() }
}

#[test]
fn the_longest_path_wins_whatever_the_order() {
    let routes = [route(&[], "/"), route(&[], "/app/api"), route(&[], "/app")];
    assert_eq!(find(&routes, "x", "/app/api/1"), Some(1));
    assert_eq!(find(&routes, "x", "/app/apix"), Some(2));
    assert_eq!(find(&routes, "x", "/apple"), Some(0));
}

#[test]
fn a_prefix_ends_at_a_segment() {
    for (path, prefix, fits) in [
        ("/app", "/app", true),
        ("/app/", "/app", true),
        ("/app/x", "/app/", true),
        ("/app", "/app/", true),
        ("/apple", "/app", false),
        ("/apple", "/app/", false),
        ("*", "/", true),
        ("*", "/app", false),
        ("/", "/", true),
    ] {
        assert_eq!(path_begins_with(path, prefix), fits, "{path} under {prefix}");
    }
}

#[test]
fn the_most_specific_host_wins_and_a_less_specific_one_catches_what_it_leaves() {
    let routes = [
        route(&[], "/"),
        route(&["*.example.com"], "/"),
        route(&["a.example.com"], "/api"),
        route(&["*.b.example.com"], "/"),
    ];
    assert_eq!(find(&routes, "A.Example.com", "/api/x"), Some(2));
    assert_eq!(find(&routes, "a.example.com", "/other"), Some(1));
    assert_eq!(find(&routes, "x.b.example.com.", "/"), Some(3));
    assert_eq!(find(&routes, "example.com", "/"), Some(0));
    assert_eq!(find(&routes, "notexample.com", "/"), Some(0));
}

#[test]
fn conditions_are_preferred_and_all_must_hold() {
    let mut posts = route(&[], "/");
    posts.matches.methods = vec![Method::POST];
    let mut beta = route(&[], "/");
    beta.matches.fields = vec![
        FieldMatch { name: "X-Beta".to_owned(), value: Some("1".to_owned()) },
        FieldMatch { name: "Cookie".to_owned(), value: None },
    ];
    let table = RouteTable::new(&[route(&[], "/"), posts, beta]);
    let fields: Fields = [("x-beta", "1"), ("cookie", "a=b")].into_iter().collect();
    assert_eq!(table.find(&request("x", "/", Method::GET, fields)), Some(2));
    assert_eq!(table.find(&request("x", "/", Method::POST, Fields::new())), Some(1));
    assert_eq!(table.find(&request("x", "/", Method::GET, Fields::new())), Some(0));
}

#[test]
fn without_a_fitting_route_there_is_none() {
    assert_eq!(find(&[route(&["a.example"], "/")], "b.example", "/"), None);
}

#[test]
fn a_redirect_takes_plain_requests_and_leaves_those_that_came_by_https() {
    let mut redirect = route(&[], "/");
    redirect.action = RouteAction::RedirectToHttps;
    let table = RouteTable::new(&[route(&[], "/"), redirect]);
    let mut head = request("x", "/", Method::GET, Fields::new());
    assert_eq!(table.find(&head), Some(1));
    head.scheme = Scheme::Https;
    assert_eq!(table.find(&head), Some(0));
}

#[test]
fn every_route_on_a_path_is_told_whatever_else_it_asks_for() {
    let mut routes =
        [route(&[], "/"), route(&["a.example"], "/a"), route(&["*.example"], "/a/b"), route(&["a.example"], "/b")];
    routes[1].matches.methods = vec![Method::POST];
    routes[2].matches.fields = vec![FieldMatch { name: "X".to_owned(), value: None }];
    let table = RouteTable::new(&routes);
    assert_eq!(table.on_path("A.example.", "/a/b/c"), [1, 2, 0]);
    assert_eq!(table.on_path("example", "/ab"), [0]);
}
