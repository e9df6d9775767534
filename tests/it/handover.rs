//! The hottest answers go from one process to the next.

use std::os::unix::fs::PermissionsExt;

use crate::support::*;

const HOST: (&str, &str) = ("Host", "www.example.com");

async fn origin() -> Origin {
    let page =
        reply(200).field("Cache-Control", "max-age=3600").field("Age", "50").field("Cache-Tag", "t").body("page");
    let secret = reply(200).field("Cache-Control", "no-store").body("secret");
    Origin::new().on("/page", page).on("/secret", secret).start().await
}

#[tokio::test]
async fn a_successor_answers_from_what_was_stored_with_the_age_counted_on() {
    let (origin, directory) = (origin().await, tempfile::tempdir().unwrap());
    let file = directory.path().join("hot");
    let config = format!("[cache]\nsnapshot = {file:?}\n");
    let first = Gateway::before_with(&origin, &config).await;
    for _ in 0..2 {
        assert_eq!(first.get_with("/page", &[HOST]).await.text(), "page");
    }
    first.get_with("/secret", &[HOST]).await;
    first.signal(Signal::Term);
    assert!(first.exited().await.success(), "{}", first.printed());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
    assert!(kept.contains("/page") && !kept.contains("/secret"));

    let second = Gateway::before_with(&origin, &config).await;
    assert!(!file.exists(), "it is read once");
    let answer = second.get_with("/page", &[HOST]).await;
    assert_eq!(answer.text(), "page");
    let age: u64 = answer.field("Age").unwrap().parse().unwrap();
    assert!((50..120).contains(&age), "{age}");
    assert!(answer.field("Cache-Status").unwrap().contains("; hit"), "{}", answer.told());
    assert_eq!(origin.requests_for("/page").len(), 1);
}

#[tokio::test]
async fn what_says_nothing_of_answers_may_change() {
    let (origin, directory) = (origin().await, tempfile::tempdir().unwrap());
    let config = |terms: &str| {
        let file = directory.path().join("hot");
        format!("[cache]\nsnapshot = {file:?}\n[[routes]]\nname = \"all\"\nwebsocket = {{ {terms} }}\n")
    };
    let first = Gateway::before_with(&origin, &config("idle_timeout = \"1h\"")).await;
    first.get_with("/page", &[HOST]).await;
    first.signal(Signal::Term);
    first.exited().await;
    let second = Gateway::before_with(&origin, &config("idle_timeout = \"2h\"")).await;
    assert!(second.get_with("/page", &[HOST]).await.is_hit(), "{}", second.printed());
}

#[tokio::test]
async fn another_configuration_begins_empty_and_says_so() {
    let (origin, directory) = (origin().await, tempfile::tempdir().unwrap());
    let config = format!("[cache]\nsnapshot = {:?}\n", directory.path().join("hot"));
    let first = Gateway::before_with(&origin, &config).await;
    first.get_with("/page", &[HOST]).await;
    first.signal(Signal::Term);
    first.exited().await;
    let other = format!("trusted_proxies = [\"10.0.0.0/8\"]\n{config}");
    let second = Gateway::before_with(&origin, &other).await;
    second.get_with("/page", &[HOST]).await;
    assert_eq!(origin.requests_for("/page").len(), 2);
    assert!(second.printed().contains("the cache begins empty"), "{}", second.printed());
}
