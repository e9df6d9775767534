//! Which origin a request goes to.

use crate::support::*;

/// Three upstreams that say their names.
struct Three {
    origins: Vec<Origin>,
}

impl Three {
    async fn start() -> Self {
        let mut origins = Vec::new();
        for name in ["one", "two", "three"] {
            origins.push(
                Origin::new()
                    .otherwise(by(move |seen, _| reply(200).field("X-Target", &seen.target).body(name)))
                    .start()
                    .await,
            );
        }
        Self { origins }
    }

    async fn gateway(&self, routes: &str) -> Gateway {
        let [one, two, three] = &self.origins[..] else { unreachable!() };
        Gateway::with(&format!(
            "[upstreams.one]\nservers = [\"{}\"]\n[upstreams.two]\nservers = [\"{}\"]\n[upstreams.three]\nservers = [\"{}\"]\n{routes}",
            one.address, two.address, three.address
        ))
        .await
    }
}

/// Asks for each `(host, path)` and compares who answered.
async fn expect(gateway: &Gateway, table: &[(&str, &str, &str)]) {
    let mut client = gateway.connect().await;
    for (host, path, who) in table {
        let answer = client.get_with(path, &[("Host", host)]).await;
        let got = if answer.status == 404 { "404".into() } else { answer.text() };
        assert_eq!(got, *who, "{host} {path}\n{}", client.transcript());
    }
}

#[tokio::test]
async fn the_longest_path_prefix_wins_and_ends_at_a_segment() {
    let three = Three::start().await;
    let gateway = three
        .gateway(
            "[[routes]]\nmatch = { path = \"/\" }\nupstream = \"one\"\n\
             [[routes]]\nmatch = { path = \"/api\" }\nupstream = \"two\"\n\
             [[routes]]\nmatch = { path = \"/api/v2\" }\nupstream = \"three\"\n",
        )
        .await;
    expect(
        &gateway,
        &[
            ("a.test", "/", "one"),
            ("a.test", "/api", "two"),
            ("a.test", "/api/", "two"),
            ("a.test", "/api/x", "two"),
            ("a.test", "/api?x", "two"),
            ("a.test", "/apix", "one"),
            ("a.test", "/API", "one"),
            ("a.test", "/api/v2", "three"),
            ("a.test", "/api/v2/x", "three"),
            ("a.test", "/api/v23", "two"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_exact_host_wins_over_a_wildcard_over_any() {
    let three = Three::start().await;
    let gateway = three
        .gateway(
            "[[routes]]\nmatch = { path = \"/\" }\nupstream = \"one\"\n\
             [[routes]]\nmatch = { host = \"*.a.test\", path = \"/\" }\nupstream = \"two\"\n\
             [[routes]]\nmatch = { host = \"x.a.test\", path = \"/\" }\nupstream = \"three\"\n",
        )
        .await;
    expect(
        &gateway,
        &[
            ("b.test", "/", "one"),
            ("a.test", "/", "one"),
            ("y.a.test", "/", "two"),
            ("y.z.a.test:8080", "/", "two"),
            ("x.a.test", "/", "three"),
            ("X.A.TEST", "/", "three"),
            ("x.a.test:8080", "/any/path", "three"),
            ("xxa.test", "/", "one"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_that_no_route_takes_is_404() {
    let three = Three::start().await;
    let gateway =
        three.gateway("[[routes]]\nmatch = { host = \"a.test\", path = \"/app\" }\nupstream = \"one\"\n").await;
    expect(&gateway, &[("a.test", "/app", "one"), ("a.test", "/other", "404"), ("b.test", "/app", "404")]).await;
    assert_eq!(three.origins[0].requests().len(), 1);
}

#[tokio::test]
async fn methods_and_fields_may_choose() {
    let three = Three::start().await;
    let gateway = three
        .gateway(
            "[[routes]]\nmatch = { path = \"/\" }\nupstream = \"one\"\n\
             [[routes]]\nmatch = { path = \"/\", methods = [\"POST\"] }\nupstream = \"two\"\n\
             [[routes]]\nmatch = { path = \"/\", fields = { \"X-Beta\" = \"1\" } }\nupstream = \"three\"\n",
        )
        .await;
    assert_eq!(gateway.get("/").await.text(), "one");
    assert_eq!(gateway.ask("POST", "/", &[], b"x").await.text(), "two");
    assert_eq!(gateway.get_with("/", &[("X-Beta", "1")]).await.text(), "three");
    assert_eq!(gateway.get_with("/", &[("X-Beta", "2")]).await.text(), "one");
    // What is for this hop alone chooses nothing, nor for a handshake: the backend would not see it.
    assert_eq!(gateway.get_with("/", &[("X-Beta", "1"), ("Connection", "X-Beta")]).await.text(), "one");
    for (connection, chosen) in [("Upgrade", "three"), ("Upgrade, X-Beta", "one")] {
        let mut client = gateway.connect().await;
        let handshake =
            handshake("/", &[("X-Beta", "1")]).replace("Connection: Upgrade", &format!("Connection: {connection}"));
        client.send(&handshake).await;
        assert_eq!(client.answer().await.text(), chosen, "{}", client.transcript());
    }
}

#[tokio::test]
async fn a_prefix_can_be_taken_off_and_is_told() {
    let origin = Origin::new().start().await;
    let text = format!(
        "[upstreams.app]\nservers = [\"{}\"]\n\
         [[routes]]\nmatch = {{ path = \"/app\" }}\nupstream = \"app\"\nstrip_prefix = true\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    for (sent, arrives) in [("/app", "/"), ("/app/", "/"), ("/app/x/y?q=/app", "/x/y?q=/app"), ("/app?q", "/?q")] {
        assert_eq!(gateway.get(sent).await.text(), arrives, "{}", origin.log());
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.field("X-Forwarded-Prefix"), Some("/app"), "{}", origin.log());
    }
}

#[tokio::test]
async fn path_tricks_do_not_reach_another_route() {
    let three = Three::start().await;
    let gateway = three
        .gateway(
            "[[routes]]\nmatch = { path = \"/\" }\nupstream = \"one\"\n\
             [[routes]]\nmatch = { path = \"/admin\" }\nupstream = \"two\"\n",
        )
        .await;
    // What is chosen by is what is sent: the origin behind `/` gets these as they stand and decides for itself.
    for path in ["/x/../admin", "/%61dmin", "//admin", "/./admin", "/admin%2fx"] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.text().as_str(), answer.field("X-Target")), ("one", Some(path)));
    }
}
