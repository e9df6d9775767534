//! The client that asked first goes away before there is an answer: the fetch is everybody's, and goes on.

use tokio::sync::watch;

use crate::support::*;

const GET: &str = "GET /cold HTTP/1.1\r\nHost: example.test\r\n\r\n";
const FRESH: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nlate";

/// An origin that says 103 at once and the rest when it is told.
async fn hesitant(rest: &'static str) -> (Origin, watch::Sender<bool>) {
    let (release, released) = watch::channel(false);
    let slow = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").await;
            tokio::select! {
                go = released.wait_for(|go| *go) => drop(go.unwrap()),
                () = talk.gone() => return Next::Close,
            }
            talk.send(rest).await;
            talk.keep()
        }
    });
    (Origin::new().on("/cold", slow).start().await, release)
}

/// A client that has been told 103, and then leaves.
async fn ask_and_leave(gateway: &Gateway) {
    let mut leader = gateway.connect().await;
    leader.send(GET).await;
    let hints = leader.head().await;
    assert_eq!((hints.status, hints.field("Link")), (103, Some("</a.css>")), "{}", leader.transcript());
    leader.wire.socket.reset();
    gateway.metric_becomes("tidegate_cache_background_fetches", &[("kind", "orphan")], 1.0).await;
}

#[tokio::test]
async fn who_waits_for_a_client_that_leaves_is_served_by_its_request() {
    let (origin, release) = hesitant(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    let mut leader = gateway.connect().await;
    leader.send(GET).await;
    leader.head().await;
    let mut followers = Vec::new();
    for _ in 0..10 {
        let mut follower = gateway.connect().await;
        follower.send(GET).await;
        followers.push(follower);
    }
    leader.wire.socket.reset();
    gateway.metric_becomes("tidegate_cache_background_fetches", &[("kind", "orphan")], 1.0).await;
    release.send_replace(true);
    for follower in &mut followers {
        assert_eq!(follower.answer().await.text(), "late");
    }
    assert_eq!(origin.requests_for("/cold").len(), 1, "{}", origin.log());
    let ended = [("kind", "orphan"), ("outcome", "stored")];
    gateway.metric_becomes("tidegate_cache_background_fetches_total", &ended, 1.0).await;
    gateway.metric_becomes("tidegate_cache_background_fetches", &[], 0.0).await;
}

#[tokio::test]
async fn who_comes_after_a_client_that_left_joins_its_request() {
    let (origin, release) = hesitant(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    ask_and_leave(&gateway).await;
    let mut follower = gateway.connect().await;
    follower.send(GET).await;
    release.send_replace(true);
    assert_eq!(follower.answer().await.text(), "late");
    gateway.get("/cold").await.must_hit();
    assert_eq!(origin.requests_for("/cold").len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn who_waits_is_told_when_the_answer_is_nobody_elses() {
    let (origin, release) =
        hesitant("HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 4\r\n\r\nmine").await;
    let gateway = Gateway::before(&origin).await;
    ask_and_leave(&gateway).await;
    let mut follower = gateway.connect().await;
    follower.send(GET).await;
    release.send_replace(true);
    let answer = follower.answer().await;
    assert_eq!(answer.text(), "mine");
    assert_eq!(origin.requests_for("/cold").len(), 2, "{}", origin.log());
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_given_up() {
    let (origin, _release) = hesitant(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    ask_and_leave(&gateway).await;
    let given_up = [("kind", "orphan"), ("outcome", "given_up")];
    gateway.metric_becomes("tidegate_cache_background_fetches_total", &given_up, 1.0).await;
    gateway.metric_becomes("tidegate_upstream_in_flight", &[], 0.0).await;
}
