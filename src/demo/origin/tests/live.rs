//! Updates by polling, long poll and server-sent events.

use std::time::Instant;

use super::*;

#[test]
fn a_poll_gets_what_it_has_not_seen() {
    let updates = Updates::new();
    assert_eq!(updates.answer_since(0), r#"{"latest":0,"updates":[]}"#);
    updates.add(1000);
    updates.add(2000);
    let answer: serde_json::Value = serde_json::from_str(&updates.answer_since(1)).unwrap();
    assert_eq!(answer["latest"], 2);
    assert_eq!(answer["updates"].as_array().unwrap().len(), 1);
    assert_eq!((&answer["updates"][0]["number"], &answer["updates"][0]["made"]), (&2.into(), &2000.into()));
}

#[test]
fn only_the_last_minutes_are_kept() {
    let updates = Updates::new();
    (0..1000).for_each(|second| updates.add(second * 1000));
    let kept = updates.since(0);
    assert_eq!((kept.len(), kept[0].number, kept[299].number), (300, 701, 1000));
    assert!(kept.iter().all(|update| (0.5..=4.5).contains(&update.level)));
}

#[test]
fn an_update_comes_each_second() {
    let origin = Origin::start().unwrap();
    let mut client = Client::new(&origin);
    for since in 0..2 {
        client.send(format!("GET /api/wait?since={since} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer: serde_json::Value = serde_json::from_slice(&client.read_answer().body).unwrap();
        assert_eq!(answer["updates"].as_array().unwrap().len(), 1);
        assert_eq!(answer["latest"], since + 1);
    }
    origin.stop();
}

#[test]
fn a_long_poll_ends_with_the_origin() {
    let origin = Origin::start().unwrap();
    let mut client = Client::new(&origin);
    // Once the first update is there, the next one is almost a second away.
    client.send("GET /api/wait?since=0 HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_answer();
    client.send("GET /api/wait?since=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    origin.stop();
    assert_eq!(client.read_answer().body, br#"{"latest":1,"updates":[]}"#);
    assert!(begun.elapsed() < Duration::from_millis(800));
}

#[test]
fn a_number_from_before_a_restart_means_now() {
    let origin = Origin::start().unwrap();
    let answer = ask(&origin, "GET /api/wait?since=5000 HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["updates"].as_array().unwrap().len(), 1);
    origin.stop();
}

#[test]
fn events_arrive_one_by_one_and_end_in_order() {
    let origin = Origin::start().unwrap();
    let mut client = Client::new(&origin);
    let request = "GET /api/events?since=0 HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(request);
    let head = client.read_head();
    assert_eq!(head.field("content-type"), "text/event-stream");
    assert_eq!(head.field("transfer-encoding"), "chunked");
    let hello = format!("retry: 1000\nevent: hello\ndata: {{\"head_bytes\":{}}}\n\n", request.len());
    assert_eq!(client.read_chunk(), hello);
    for number in 1..=2 {
        let event = client.read_chunk();
        assert!(event.starts_with(&format!("id: {number}\ndata: {{\"number\":{number},")), "{event}");
        assert!(event.ends_with("}\n\n"));
    }
    origin.stop();
    assert_eq!(client.read_chunk(), "", "the last chunk");
    assert_eq!(client.read_rest(), b"");
}

#[test]
fn a_reader_of_events_who_comes_back_goes_on_where_it_was() {
    let origin = Origin::start().unwrap();
    ask(&origin, "GET /api/wait?since=0 HTTP/1.1\r\nHost: x\r\n\r\n");
    ask(&origin, "GET /api/wait?since=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut client = Client::new(&origin);
    client.send("GET /api/events?since=2 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 1\r\n\r\n");
    client.read_head();
    client.read_chunk();
    assert!(client.read_chunk().starts_with("id: 2\n"));
    origin.stop();
}

#[test]
fn events_over_http_1_0_end_with_the_connection() {
    let origin = Origin::start().unwrap();
    let mut client = Client::new(&origin);
    client.send("GET /api/events HTTP/1.0\r\n\r\n");
    let head = client.read_head();
    assert_eq!((head.field("transfer-encoding"), head.field("content-length")), ("", ""));
    assert_eq!(client.read_line(), "retry: 1000\n");
    origin.stop();
    assert!(client.read_rest().ends_with(b"\n\n"));
}

#[test]
fn head_of_the_events_is_a_head_alone() {
    let origin = Origin::start().unwrap();
    let mut client = Client::new(&origin);
    client.send("HEAD /api/events HTTP/1.1\r\nHost: x\r\n\r\nGET /api/time HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_head().field("content-type"), "text/event-stream");
    assert_eq!(client.read_answer().field("content-type"), "application/json");
    origin.stop();
}
