//! Which server of an upstream answers, and what happens when it can't.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

/// An origin that says `name`, not to be stored.
async fn named(name: &'static str) -> Origin {
    Origin::new().otherwise(reply(200).field("Cache-Control", "no-store").body(name)).start().await
}

/// One upstream `app` with this text under its header.
fn app(text: &str) -> String {
    format!("upstream = \"app\"\nthreads = 1\n[upstreams.app]\n{text}\n")
}

/// How often each name answered `count` GETs.
async fn shares(gateway: &Gateway, count: usize) -> std::collections::BTreeMap<String, usize> {
    let mut shares = std::collections::BTreeMap::new();
    for _ in 0..count {
        let answer = gateway.get("/").await;
        assert_eq!(answer.status, 200, "{}", answer.told());
        *shares.entry(answer.text()).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_passed_over() {
    let (dead, alive) = (DeadAddress::new(), named("alive").await);
    let gateway = Gateway::with(&app(&format!("servers = [\"{}\", \"{}\"]", dead.address, alive.address))).await;
    assert_eq!(shares(&gateway, 6).await["alive"], 6);
    // A body that nobody has seen yet may be sent elsewhere too.
    for _ in 0..4 {
        let answer = gateway.ask("POST", "/post", &[], b"body").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "alive"));
    }
    assert!(alive.requests_for("/post").iter().all(|seen| seen.body == b"body"), "{}", alive.log());
}

#[tokio::test]
async fn without_any_server_it_is_502() {
    let (one, two) = (DeadAddress::new(), DeadAddress::new());
    let gateway = Gateway::with(&app(&format!("servers = [\"{}\", \"{}\"]", one.address, two.address))).await;
    let mut client = gateway.connect().await;
    for (method, body) in [("GET", &b""[..]), ("POST", b"body"), ("HEAD", b"")] {
        let answer = client.ask(method, "/", &[], body).await;
        assert_eq!(answer.status, 502, "{}", client.transcript());
    }
}

#[tokio::test]
async fn a_server_that_is_down_and_back_is_told_of_in_few_lines() {
    let address = free_address();
    let gateway = Gateway::with(&format!("upstream = \"{address}\"\n")).await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 502);
    }
    let times = |words: &str| gateway.printed().matches(words).count();
    eventually("a word that it is down", async || (times("a server is down") > 0).then_some(())).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let back = async {
        for _ in 0..2 {
            // Each connection ends, so that the next request has to make one.
            let mut server = listener.accept().await.unwrap().0;
            assert!(server.read(&mut [0; 4096]).await.unwrap() > 0);
            server.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
    };
    let ask = async {
        for _ in 0..2 {
            assert_eq!(gateway.get("/").await.status, 200);
        }
    };
    tokio::join!(back, ask);
    eventually("a word that it is back", async || (times("a server is back") > 0).then_some(())).await;
    for words in ["no connection to a server", "a server is down", "a server is back"] {
        assert_eq!(times(words), 1, "{words}\n{}", gateway.printed());
    }
    assert_eq!(times("tunnels are told to go"), 0, "there are none\n{}", gateway.printed());
}

#[tokio::test]
async fn a_name_is_looked_up() {
    let origin = Origin::new().start().await;
    let port = origin.address.rsplit_once(':').unwrap().1;
    let gateway = Gateway::with(&format!("upstream = \"localhost:{port}\"\n")).await;
    assert_eq!(gateway.get("/by-name").await.text(), "/by-name");
    let gateway = Gateway::with("upstream = \"no-such-name.invalid:80\"\n").await;
    assert!(matches!(gateway.get("/").await.status, 502 | 504));
}

#[tokio::test]
async fn a_server_whose_name_leads_nowhere_is_tried_after_the_others() {
    let origin = Origin::new().start().await;
    // RFC 6761 §6.4: that name is nobody's. Where a resolver does not say so in time, that is a suspect too.
    let servers = format!("servers = [\"no-such-name.invalid:80\", \"{}\"]\nretries = 0", origin.address);
    let gateway = Gateway::with(&app(&servers)).await;
    let mut failed = 0;
    for _ in 0..10 {
        failed += usize::from(gateway.get("/").await.status != 200);
    }
    assert!(failed <= 1, "{failed} of 10 failed");
}

#[tokio::test]
async fn servers_take_turns_by_weight() {
    let (one, three) = (named("one").await, named("three").await);
    let servers = format!("servers = [\"{}\", {{ address = \"{}\", weight = 3 }}]", one.address, three.address);
    let gateway = Gateway::with(&app(&servers)).await;
    let shares = shares(&gateway, 40).await;
    assert_eq!((shares["one"], shares["three"]), (10, 30), "{shares:?}");
}

#[tokio::test]
async fn the_least_loaded_server_is_chosen() {
    let (release, released) = tokio::sync::watch::channel(false);
    let make = |name: &'static str| {
        let released = released.clone();
        let slow = script(move |talk| {
            let mut released = released.clone();
            async move {
                released.wait_for(|go| *go).await.unwrap();
                talk.answer(&reply(200).body(name)).await
            }
        });
        Origin::new().on("/slow", slow).otherwise(reply(200).field("Cache-Control", "no-store").body(name))
    };
    let (one, two) = (make("one").start().await, make("two").start().await);
    let text = app(&format!("servers = [\"{}\", \"{}\"]\nbalance = \"least-load\"", one.address, two.address));
    let gateway = Gateway::with(&text).await;
    // As soon as one of them is busy, the other gets everything that ends at once.
    let mut busy = gateway.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the slow request at an origin", async || {
        (one.requests_for("/slow").len() + two.requests_for("/slow").len() == 1).then_some(())
    })
    .await;
    let free = if one.requests_for("/slow").is_empty() { "one" } else { "two" };
    assert_eq!(shares(&gateway, 10).await[free], 10);
    release.send_replace(true);
    assert_eq!(busy.answer().await.status, 200);
}

#[tokio::test]
async fn an_open_tunnel_is_load() {
    let make = |name: &'static str| {
        Origin::new().on("/ws", websocket_echo()).otherwise(reply(200).field("Cache-Control", "no-store").body(name))
    };
    let (one, two) = (make("one").start().await, make("two").start().await);
    let text = app(&format!("servers = [\"{}\", \"{}\"]\nbalance = \"least-load\"", one.address, two.address));
    let gateway = Gateway::with(&text).await;
    let mut tunnel = gateway.connect().await;
    tunnel.upgrade("/ws", &[]).await;
    let free = if one.requests_for("/ws").is_empty() { "one" } else { "two" };
    assert_eq!(shares(&gateway, 10).await[free], 10);
}

#[tokio::test]
async fn a_unix_socket_is_a_server_like_any_other() {
    let origin = Origin::new().start_unix().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for at in 0..5 {
        assert_eq!(client.get(&format!("/{at}")).await.text(), format!("/{at}"));
    }
    assert_eq!(client.ask("POST", "/post", &[], b"x").await.status, 200);
    assert_eq!(origin.connections(), 1, "{}", origin.log());
}

#[tokio::test]
async fn a_tls_server_is_verified_by_its_authority_and_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let origin = Origin::new().start_tls(&authority.issue(&["origin.test"])).await;
    let case = async |tls: &str| {
        let directory = tempfile::tempdir().unwrap();
        authority.write(&directory.path().join("ca.pem"));
        stranger.write(&directory.path().join("other.pem"));
        let text = app(&format!("servers = [\"{}\"]\ntls = {{ {tls} }}", origin.address));
        let gateway = Gateway::in_directory(directory, &text).await;
        let answer = gateway.get("/t").await;
        (answer.status, answer.text() == "/t")
    };
    assert_eq!(case("server_name = \"origin.test\", ca = \"DIR/ca.pem\"").await, (200, true));
    assert!(origin.server_names().iter().all(|name| name == "origin.test"), "{:?}", origin.server_names());
    assert_eq!(case("server_name = \"wrong.test\", ca = \"DIR/ca.pem\"").await, (502, false));
    assert_eq!(case("server_name = \"origin.test\", ca = \"DIR/other.pem\"").await, (502, false));
    assert_eq!(case("server_name = \"origin.test\"").await, (502, false));
    assert_eq!(case("server_name = \"wrong.test\", verify = false").await, (200, true));
    assert_eq!(origin.requests().len(), 2, "{}", origin.log());
}

#[tokio::test]
async fn a_reused_connection_that_died_is_replaced_for_what_may_be_repeated() {
    // Every connection takes one request; the second finds it closed under its hands.
    let one_each = script(|mut talk| async move {
        talk.read_body().await;
        let first = talk.number == 1 || talk.request.connection > 0;
        if !first {
            return Next::Close;
        }
        talk.send(reply(200).field("Cache-Control", "no-store").body("fine").bytes(&talk.request.method)).await;
        talk.keep()
    });
    let origin = Origin::new().on("/a", one_each).start().await;
    let gateway = Gateway::before_with(&origin, "threads = 1").await;
    let mut client = gateway.connect().await;
    assert_eq!(client.get("/a").await.text(), "fine");
    assert_eq!(client.get("/a").await.text(), "fine", "{}\n{}", client.transcript(), origin.log());
    assert_eq!((origin.requests().len(), origin.connections()), (3, 2), "{}", origin.log());
}

#[tokio::test]
async fn a_post_that_a_dead_connection_took_is_not_sent_twice() {
    let dying = script(|mut talk| async move {
        talk.read_body().await;
        Next::Close
    });
    let origin = Origin::new().on("/pay", dying).start().await;
    let gateway = Gateway::before_with(&origin, "threads = 1").await;
    let mut client = gateway.connect().await;
    client.get("/warm").await;
    assert_eq!(client.ask("POST", "/pay", &[], b"100").await.status, 502);
    assert_eq!(origin.requests_for("/pay").len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_used() {
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let closing = script(move |mut talk| {
        let told = told.clone();
        async move {
            talk.read_body().await;
            talk.send(reply(200).body("and gone").bytes("POST")).await;
            let next = talk.close().await;
            told.send(()).unwrap();
            next
        }
    });
    let origin = Origin::new().on("/close", closing).start().await;
    let gateway = Gateway::before_with(&origin, "threads = 1").await;
    let mut client = gateway.connect().await;
    for _ in 0..20 {
        // The origin promised keep-alive and closed: the next POST must not fall into that hole.
        assert_eq!(client.ask("POST", "/close", &[], b"x").await.text(), "and gone", "{}", client.transcript());
        within("the close", tell.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn a_cookie_keeps_a_client_with_its_server() {
    let (one, two) = (named("one").await, named("two").await);
    let text =
        app(&format!("servers = [\"{}\", \"{}\"]\nsticky = {{ cookie = \"AFFINITY\" }}", one.address, two.address));
    let gateway = Gateway::with(&text).await;
    for _ in 0..3 {
        let first = gateway.get("/").await;
        let cookie = first.field("Set-Cookie").unwrap_or_else(|| panic!("{}", first.told()));
        assert!(cookie.starts_with("AFFINITY=") && cookie.contains("HttpOnly"), "{cookie}");
        let pair = format!("other=1; {}", cookie.split(';').next().unwrap());
        for _ in 0..6 {
            let answer = gateway.get_with("/", &[("Cookie", &pair)]).await;
            assert_eq!(answer.text(), first.text());
            assert!(!answer.has("Set-Cookie"), "set once\n{}", answer.told());
        }
    }
    let forged = gateway.get_with("/", &[("Cookie", "AFFINITY=../../etc")]).await;
    assert_eq!(forged.status, 200);
}

#[tokio::test]
async fn a_dead_server_frees_its_sticky_clients() {
    let (one, two) = (named("one").await, named("two").await);
    let text = app(&format!("servers = [\"{}\", \"{}\"]\nsticky = \"cookie\"", one.address, two.address));
    let gateway = Gateway::with(&text).await;
    let first = gateway.get("/").await;
    let cookie = first.field("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let (mine, other) = if first.text() == "one" { (one, "two") } else { (two, "one") };
    drop(mine);
    let answer = gateway.get_with("/", &[("Cookie", &cookie)]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, other));
}

#[tokio::test]
async fn the_source_address_or_a_field_keeps_a_client_too() {
    let (one, two) = (named("one").await, named("two").await);
    let servers = format!("servers = [\"{}\", \"{}\"]", one.address, two.address);
    let gateway = Gateway::with(&app(&format!("{servers}\nsticky = \"source-address\""))).await;
    assert_eq!(shares(&gateway, 8).await.len(), 1);
    let gateway = Gateway::with(&app(&format!("{servers}\nsticky = {{ field = \"X-User\" }}"))).await;
    let mut seen = std::collections::HashSet::new();
    for user in 0..16 {
        let user = format!("user-{user}");
        let first = gateway.get_with("/", &[("X-User", &user)]).await.text();
        assert_eq!(gateway.get_with("/", &[("X-User", &user)]).await.text(), first);
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2, "sixteen users share both servers");
}

#[tokio::test]
async fn an_http_1_0_server_serves() {
    let old = script(|mut talk| async move {
        talk.read_body().await;
        talk.send("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold").await;
        talk.close().await
    });
    let origin = Origin::new().on("/old", old).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/old").await.text(), "old", "{}", client.transcript());
    }
    assert_eq!(client.get("/old").await.version, "HTTP/1.1", "our own version");
}

#[tokio::test]
async fn a_tls_server_may_be_known_by_its_address_alone() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    authority.write(&directory.path().join("ca.pem"));
    let origin = Origin::new().otherwise(reply(200).body("found")).start_tls(&authority.issue(&["127.0.0.1"])).await;
    let text = app(&format!("servers = [\"https://{}\"]\ntls = {{ ca = \"DIR/ca.pem\" }}", origin.address));
    let gateway = Gateway::in_directory(directory, &text).await;
    assert_eq!(gateway.get("/").await.text(), "found");
}
