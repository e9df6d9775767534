//! What operators do to a gateway that runs, through its admin listener and the command line.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::*;

/// An origin whose answers are fresh for a minute, tagged by their path and their first segment, and in a group.
async fn tagged() -> Origin {
    let make = by(|request, number| {
        let tags = request.path().replace('/', " ");
        let answer = reply(200).field("Cache-Control", "max-age=60").field("Cache-Tag", &format!("all{tags}"));
        answer.field("Cache-Groups", "\"menu\"").field("Vary", "Accept-Language").body(format!("answer {number}"))
    });
    Origin::new().otherwise(make).start().await
}

/// Sends an object to the admin listener; gives the status and the object that comes back.
pub async fn order(gateway: &Gateway, path: &str, object: &Value) -> (u16, Value) {
    let host = gateway.admin.to_string();
    let fields = [("Host", host.as_str()), ("Content-Type", "application/json"), ("Connection", "close")];
    let mut admin = Connection::tcp(gateway.admin).await;
    let answer = admin.ask("POST", path, &fields, object.to_string().as_bytes()).await;
    (answer.status, serde_json::from_str(&answer.text()).unwrap())
}

/// Runs the command line beside the gateway: exit code, standard output, standard error.
pub async fn tidegate(words: &[&str], input: &str) -> (i32, String, String) {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let input = input.to_owned();
    let run = move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(words).env_remove("TIDEGATE_CONFIG").env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input may have ended by now.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    within("the command line", tokio::task::spawn_blocking(run)).await.unwrap()
}

#[tokio::test]
async fn a_purge_takes_out_what_it_names_and_nothing_else() {
    let origin = tagged().await;
    let gateway = Gateway::before(&origin).await;
    let paths = ["/blog/1", "/blog/2", "/blogs", "/item/7?x", "/item/8"];
    let url = |target: &str| format!("HTTP://EXAMPLE.test:80{target}");
    for (object, gone) in [
        (json!({ "url": url("/item/7?x") }), &["/item/7?x"][..]),
        (json!({ "url": [url("/blog/1"), "example.test/item/8"] }), &["/blog/1", "/item/8"]),
        (json!({ "url": "https://example.test/blog/1" }), &[]),
        (json!({ "prefix": url("/blog/") }), &["/blog/1", "/blog/2"]),
        (json!({ "tag": "blog" }), &["/blog/1", "/blog/2"]),
        (json!({ "group": { "origin": "example.test", "name": "menu" } }), &paths),
        (json!({ "group": { "origin": "example.test", "name": "other" } }), &[]),
        (json!({ "all": true }), &paths),
    ] {
        for path in paths {
            gateway.get(path).await;
        }
        let (status, said) = order(&gateway, "/purge", &object).await;
        assert_eq!((status, said["purged"].as_u64()), (200, Some(gone.len() as u64)), "{object}: {said}");
        for path in paths {
            let answer = gateway.get(path).await;
            assert_eq!(answer.is_hit(), !gone.contains(&path), "{object}: {path}: {}", answer.told());
        }
    }
}

#[tokio::test]
async fn the_cache_is_looked_into() {
    let origin = tagged().await;
    let gateway = Gateway::before(&origin).await;
    for language in ["de", "fr", "fr"] {
        gateway.get_with("/item/7?a=b", &[("Accept-Language", language)]).await;
    }
    gateway.get("/other").await;
    let entry = gateway.ask_admin("/cache/entry?url=http%3A%2F%2Fexample.test%2Fitem%2F7%3Fa%3Db").await;
    let entries = serde_json::from_str::<Value>(&entry.text()).unwrap()["entries"].take();
    assert_eq!(entries.as_array().map(Vec::len), Some(2), "{entries}");
    let french = &entries[0];
    assert_eq!(french["url"], "http://example.test/item/7?a=b");
    assert_eq!(french["vary"], json!({ "accept-language": "fr" }));
    assert_eq!((&french["hits"], &french["body_bytes"]), (&json!(1), &json!("answer 2".len())), "{french}");
    assert_eq!(french["tags"], json!(["7", "all", "item"]));
    assert!(french["ttl_seconds"].as_i64().unwrap() > 30 && french["purged"] == false, "{french}");
    let fields = french["fields"].as_array().unwrap();
    assert!(fields.contains(&json!(["Cache-Control", "max-age=60"])), "{french}");
    let text = gateway.ask_admin("/cache/entry?format=text&url=example.test/item/7?a=b").await.text();
    assert!(
        text.contains("vary      accept-language: de\n") && text.contains("    Cache-Control: max-age=60\n"),
        "{text}"
    );
    assert_eq!(gateway.ask_admin("/cache/entry?url=example.test/nothing").await.status, 404);

    let top = gateway.ask_admin("/cache/top?by=bytes_saved").await.text();
    let rows = serde_json::from_str::<Value>(&top).unwrap()["entries"].take();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!((&rows[0]["url"], &rows[0]["bytes_saved"]), (&json!("http://example.test/item/7?a=b"), &json!(8)));
}

#[tokio::test]
async fn the_command_line_purges() {
    let origin = tagged().await;
    let gateway = Gateway::before(&origin).await;
    let (file, admin) = (gateway.path().join("tidegate.toml"), gateway.admin.to_string());
    let file = file.to_str().unwrap();
    let fetch = async || {
        for path in ["/item/7", "/item/8"] {
            gateway.get(path).await;
        }
    };
    for (words, said) in [
        (&["http://example.test/item/7"][..], "1 answer gone\n"),
        (&["example.test/item/7", "example.test/item/8"], "2 answers gone\n"),
        (&["--tag", "7", "--tag", "8", "--soft"], "2 answers stale from now on\n"),
        (&["--prefix", "example.test/item/"], "2 answers gone\n"),
        (&["--group", "http://example.test", "menu"], "2 answers gone\n"),
        (&["--all", "--json"], "{\"purged\":2,\"soft\":false}\n"),
    ] {
        fetch().await;
        let words = [&["purge", "--config", file][..], words].concat();
        assert_eq!(tidegate(&words, "").await, (0, said.to_owned(), String::new()), "{words:?}");
    }
    let (code, _, told) = tidegate(&["purge", "--admin", &admin, "https://example.test/a b"], "").await;
    assert_eq!(code, 1);
    assert!(told.starts_with("error: `https://example.test/a b` holds what no request's target does"), "{told}");
}

#[tokio::test]
async fn the_command_line_explains_what_a_running_gateway_has() {
    let origin = tagged().await;
    let gateway = Gateway::before(&origin).await;
    let admin = gateway.admin.to_string();
    let asked = ["explain", "--live", &admin, "GET", "http://example.test/item/7", "-H", "Accept-Language: de"];
    let (code, told, _) = tidegate(&asked, "").await;
    assert!(code == 0 && told.contains("miss, uri_miss: nothing is stored under this key"), "{told}");
    gateway.get_with("/item/7", &[("Accept-Language", "de")]).await;
    let (code, told, problem) = tidegate(&asked, "").await;
    assert!(code == 0 && told.contains("\ncache          hit: tidegate; hit; ttl="), "{told}{problem}");
    assert!(told.contains("lifetime       60 s, from max-age of cache-control\n"), "{told}");
    assert_eq!(gateway.metric("tidegate_http_requests_total", &[]).await, 1.0, "nothing was counted");

    let head = "HTTP/1.1 200 OK\r\nCache-Control: private, max-age=60\r\n\r\nbody";
    let words = ["explain", "--live", &admin, "--response", "-", "--json", "GET", "http://example.test/other"];
    let (code, told, problem) = tidegate(&words, head).await;
    assert_eq!(code, 0, "{problem}");
    let facts = serde_json::from_str::<Value>(&told).unwrap()["facts"].take();
    let says = json!({ "about": "cache_status", "says": "tidegate; fwd=uri-miss; detail=private" });
    assert!(facts.as_array().unwrap().contains(&says), "{facts}");
}
