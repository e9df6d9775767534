//! What a route asks of its tunnels, each term with its Close code and its reason.

use super::*;
use crate::tunnel::{Order, Pings, wire::ping_frame};

/// The next Close frame without mask: its code and text.
/// Both sides are told the same, answer, and the tunnel is over at once.
async fn ends_well(mut story: Story<DuplexStream, DuplexStream>, reason: CloseReason, code: u16) {
    let told = (code, reason.label().to_owned());
    assert_eq!(read_close(&mut story.client).await, told);
    assert_eq!(read_close(&mut story.backend).await, told);
    story.client.write_all(&close_frame(code, Some([1, 2, 3, 4]))).await.unwrap();
    story.backend.write_all(&close_frame(code, None)).await.unwrap();
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (reason, Party::Gateway, Some(code)));
    assert_eq!(read_to_end(&mut story.client).await, b"");
    assert_eq!(read_to_end(&mut story.backend).await, b"");
    assert_eq!(story.tunnels.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_ends_a_busy_tunnel_up_to_a_tenth_early() {
    let mut story = pipe_story(1024, Terms { lifetime: Some(Duration::from_secs(1000)), ..TERMS });
    let began = Instant::now();
    let message = data_frame(b"x", false);
    while began.elapsed().as_secs() < 890 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        story.backend.write_all(&message).await.unwrap();
        assert_eq!(read_exactly(&mut story.client, message.len()).await, message);
    }
    ends_well(story, CloseReason::Lifetime, 1012).await;
    assert!((900..=1000).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_route_may_have_another_code() {
    let story = pipe_story(1024, Terms { close_code: 4000, ..TERMS });
    ends_well(story, CloseReason::Idle, 4000).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_s_message_that_is_too_big_goes_no_further_than_the_frame_before() {
    let mut story = pipe_story(1024, Terms { message_bytes: Some(5), ..TERMS });
    let allowed = data_frame(b"five!", true);
    story.client.write_all(&allowed).await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, allowed.len()).await, allowed);
    // A backend may say what it likes.
    let large = data_frame(&[1; 100], false);
    story.backend.write_all(&large).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, large.len()).await, large);
    // In two pieces: the first is within the limit.
    let (first, second) = (b"\x01\x83\0\0\0\0abc", b"\x80\x83\0\0\0\0def");
    story.client.write_all(first).await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, first.len()).await, first);
    for byte in second {
        story.client.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    ends_well(story, CloseReason::MessageTooBig, 1009).await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_too_fast_end_the_tunnel() {
    let mut story = pipe_story(1024, Terms { messages_per_second: Some(2), ..TERMS });
    let message = data_frame(b"x", true);
    for _ in 0..5 {
        let both = [&message[..], &message].concat();
        story.client.write_all(&both).await.unwrap();
        assert_eq!(read_exactly(&mut story.backend, both.len()).await, both);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let three = [&message[..], &message, &message].concat();
    story.client.write_all(&three).await.unwrap();
    let two = &three[..2 * message.len()];
    assert_eq!(read_exactly(&mut story.backend, two.len()).await, two);
    ends_well(story, CloseReason::MessageRate, 1008).await;
}

#[tokio::test(start_paused = true)]
async fn where_messages_are_limited_bytes_that_are_none_reach_the_backend_and_end_soon() {
    let mut story = pipe_story(1024, Terms { message_bytes: Some(5), ..TERMS });
    let hello = b"SSH-2.0-client";
    story.client.write_all(hello).await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, hello.len()).await, hello);
    story.client.write_all(b"and more").await.unwrap();
    assert_eq!(read_close(&mut story.client).await, (1002, "protocol".to_owned()));
    // Amid something else no Close frame would be understood.
    assert_eq!(read_to_end(&mut story.backend).await, b"");
    drop((story.client, story.backend));
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::Protocol);
}

#[tokio::test(start_paused = true)]
async fn without_limits_anything_passes_whole_even_what_ends_within_a_header() {
    for terms in [TERMS, Terms { pings: Some(PINGS), ..TERMS }, Terms { observe: false, ..TERMS }] {
        let mut story = pipe_story(1024, terms);
        story.client.write_all(b"\x81").await.unwrap();
        story.client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut story.backend).await, b"\x81");
        drop(story.backend);
        story.tunnel.await.unwrap();
    }
}

const PINGS: Pings = Pings { every: Duration::from_secs(30), answer: Duration::from_secs(10) };

/// The Ping of ours that comes next, as its Pong is written.
async fn read_ping(stream: &mut (impl tokio::io::AsyncRead + Unpin), answers_masked: bool) -> Vec<u8> {
    let head = read_exactly(stream, 2).await;
    assert_eq!(head[0], 0x89, "{head:02x?}");
    let key = if head[1] & 0x80 != 0 { read_exactly(stream, 4).await } else { vec![0; 4] };
    let payload = read_exactly(stream, 8).await;
    let plain = payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let (mask, key): (u8, &[u8]) = if answers_masked { (0x80, &[0; 4]) } else { (0, &[]) };
    [&[0x8a, mask | 8], key, &plain.collect::<Vec<u8>>()].concat()
}

#[tokio::test(start_paused = true)]
async fn our_pings_are_answered_to_us_and_other_pongs_pass() {
    let mut story = pipe_story(1024, Terms { pings: Some(PINGS), ..TERMS });
    let heartbeat = b"\x8a\x88\0\0\0\0theirown";
    let client = async {
        for _ in 0..3 {
            let pong = read_ping(&mut story.client, true).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            story.client.write_all(&[&heartbeat[..], &pong].concat()).await.unwrap();
        }
    };
    let backend = async {
        // Of the client's Pongs only those come here that are not answers to the gateway.
        let mut asked = 0;
        let mut heartbeats = 0;
        while asked < 3 || heartbeats < 3 {
            let head = read_exactly(&mut story.backend, 6).await;
            let payload = read_exactly(&mut story.backend, 8).await;
            if head[0] == 0x8a {
                assert_eq!(payload, heartbeat[6..]);
                heartbeats += 1;
                continue;
            }
            asked += 1;
            let plain: Vec<u8> = payload.iter().zip(head[2..].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            tokio::time::sleep(Duration::from_millis(50)).await;
            for byte in [&[0x8a, 8], &plain[..]].concat() {
                story.backend.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(client, backend);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let live = story.tunnels.all().next().unwrap();
    let round_trips = [live.client_round_trip().unwrap(), live.backend_round_trip().unwrap()];
    assert!(round_trips.iter().all(|took| (50..60).contains(&took.as_millis())), "{round_trips:?}");
    let totals = live.totals();
    assert_eq!((totals.up.pongs, totals.down.pongs, totals.up.pings, totals.down.pings), (3, 0, 0, 0));
}

/// Answers Pings; gives what the Close says.
async fn answer_until_close(stream: &mut DuplexStream, masked: bool) -> (u16, String) {
    loop {
        let head = read_exactly(stream, if masked { 2 } else { 6 }).await;
        let payload = read_exactly(stream, usize::from(head[1] & 0x7f)).await;
        let key = if masked { vec![0; 4] } else { head[2..].to_vec() };
        let plain: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        if head[0] == 0x88 {
            return (u16::from_be_bytes([plain[0], plain[1]]), String::from_utf8(plain[2..].into()).unwrap());
        }
        let (mask, key): (u8, &[u8]) = if masked { (0x80, &[0; 4]) } else { (0, &[]) };
        stream.write_all(&[&[0x8a, mask | 8], key, &plain].concat()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_answers_no_ping_is_gone() {
    for client_is_silent in [true, false] {
        let story = pipe_story(1024, Terms { pings: Some(PINGS), ..TERMS });
        let Story { mut client, mut backend, tunnel, .. } = story;
        let told = if client_is_silent {
            answer_until_close(&mut backend, false).await
        } else {
            answer_until_close(&mut client, true).await
        };
        assert_eq!(told, (1012, "pong-timeout".to_owned()));
        drop((client, backend));
        assert_eq!(tunnel.await.unwrap().reason, CloseReason::PongTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_waits_for_the_end_of_the_frame_in_flight() {
    let pings = Some(Pings { answer: Duration::from_secs(20), ..PINGS });
    let mut story = pipe_story(1024, Terms { pings, ..TERMS });
    let began = Instant::now();
    let message = data_frame(b"two halves", false);
    story.backend.write_all(&message[..5]).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 5).await, message[..5]);
    // Both sides' Pings are due at last, and this one is pinged in the middle of its own message.
    let pong = read_ping(&mut story.backend, false).await;
    tokio::time::sleep_until(began + Duration::from_secs(31)).await;
    story.backend.write_all(&[&message[5..], &pong].concat()).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 7).await, b" halves"[..]);
    read_ping(&mut story.client, true).await;
}

#[tokio::test(start_paused = true)]
async fn one_who_is_silent_through_a_long_frame_is_asked_behind_it() {
    let mut story = pipe_story(1024, Terms { pings: Some(PINGS), ..TERMS });
    let frame = data_frame(&[7; 100], false);
    let (mut client, mut backend) = (story.client, story.backend);
    // A byte in a second, for many times what an answer may take; the backend answers what it is asked.
    let frame_length = frame.len();
    let sent = tokio::spawn(async move {
        let mut asked = [0; 14];
        for byte in frame {
            backend.write_all(&[byte]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        backend.read_exact(&mut asked).await.unwrap();
        backend
    });
    read_exactly(&mut client, frame_length).await;
    let pong = read_ping(&mut client, true).await;
    client.write_all(&pong).await.unwrap();
    story.backend = sent.await.unwrap();
    assert!(!story.tunnel.is_finished());
    // But who was asked and stays silent is gone.
    read_ping(&mut client, true).await;
    assert_eq!(read_close(&mut client).await, (1012, "pong-timeout".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn neither_one_who_takes_nothing_for_long_is_gone_nor_one_whose_words_it_does_not_take() {
    for (size, frame) in [(1, Vec::new()), (16, data_frame(&[7; 40], false))] {
        let mut story = pipe_story(size, Terms { pings: Some(PINGS), ..TERMS });
        let length = frame.len();
        tokio::spawn(async move {
            story.backend.write_all(&frame).await.unwrap();
            answer_until_close(&mut story.backend, false).await;
        });
        // Meanwhile the backend's Pong can't be read either: what came before it has no place.
        tokio::time::sleep(Duration::from_secs(300)).await;
        read_exactly(&mut story.client, length).await;
        let pong = read_ping(&mut story.client, true).await;
        story.client.write_all(&pong).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!story.tunnel.is_finished(), "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn pings_alone_keep_a_tunnel_open_only_where_they_count() {
    for count_pings in [true, false] {
        let mut story = pipe_story(1024, Terms { count_pings, idle: Duration::from_secs(60), ..TERMS });
        let began = Instant::now();
        let ping = ping_frame([7; 8], None);
        for _ in 0..if count_pings { 3 } else { 2 } {
            tokio::time::sleep(Duration::from_secs(25)).await;
            story.backend.write_all(&ping).await.unwrap();
        }
        let mut rest = vec![0; if count_pings { 30 } else { 20 }];
        story.client.read_exact(&mut rest).await.unwrap();
        read_close(&mut story.client).await;
        assert_eq!(began.elapsed().as_secs(), if count_pings { 75 + 60 } else { 60 });
    }
}

#[tokio::test(start_paused = true)]
async fn the_gateway_s_own_pings_keep_nothing_open() {
    let mut story = pipe_story(1024, Terms { pings: Some(PINGS), idle: Duration::from_secs(100), ..TERMS });
    let began = Instant::now();
    // Each side is pinged at its own times.
    tokio::spawn(async move {
        for _ in 0..3 {
            let pong = read_ping(&mut story.backend, false).await;
            story.backend.write_all(&pong).await.unwrap();
        }
        read_to_end(&mut story.backend).await;
    });
    let mut pings = 0;
    let reason = loop {
        let head = read_exactly(&mut story.client, 2).await;
        let payload = read_exactly(&mut story.client, head[1].into()).await;
        if head[0] == 0x88 {
            break payload;
        }
        pings += 1;
        story.client.write_all(&[&[0x8a, 0x88, 0, 0, 0, 0], &payload[..]].concat()).await.unwrap();
    };
    assert_eq!((&reason[2..], pings, began.elapsed().as_secs()), (&b"idle"[..], 3, 100));
}

#[tokio::test(start_paused = true)]
async fn without_an_observer_ends_have_no_close_frames() {
    let mut story = pipe_story(1024, Terms { observe: false, ..TERMS });
    story.backend.write_all(&data_frame(b"x", false)).await.unwrap();
    read_exactly(&mut story.client, 3).await;
    drain(&story.tunnels);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    drop((story.client, story.backend));
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.code()), (CloseReason::Drain, None));
    assert_eq!((ended.totals.down.bytes, ended.totals.down.frames), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn an_operator_s_words_reach_both_sides() {
    let mut story = pipe_story(1024, TERMS);
    let farewell = Some(Farewell::new(4003, "go and rest"));
    let live = story.tunnels.all().next().unwrap();
    live.end(Order {
        source: Source::Lasting,
        reason: CloseReason::Kicked,
        farewell,
        at: Instant::now(),
        cut_at: None,
    });
    let told = (4003, "go and rest".to_owned());
    assert_eq!(read_close(&mut story.client).await, told);
    assert_eq!(read_close(&mut story.backend).await, told);
    assert_eq!(live.state(), crate::tunnel::State::Closing);
    drop((story.client, story.backend));
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::Kicked);
}

#[tokio::test(start_paused = true)]
async fn orders_of_other_kinds_have_their_own_codes() {
    for (reason, code) in
        [(CloseReason::RouteChanged, 1012), (CloseReason::AuthExpired, 1008), (CloseReason::Kicked, 1012)]
    {
        let story = pipe_story(1024, TERMS);
        let order = Order { source: Source::Lasting, reason, farewell: None, at: Instant::now(), cut_at: None };
        story.tunnels.all().next().unwrap().end(order);
        ends_well(story, reason, code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_does_not_reach_in_time_is_cut() {
    let story = pipe_story(1024, TERMS);
    let began = Instant::now();
    let live = story.tunnels.all().next().unwrap();
    let (at, cut_at) = (began + Duration::from_secs(100), Some(began + Duration::from_secs(7)));
    live.end(Order { source: Source::Lasting, reason: CloseReason::Drain, farewell: None, at, cut_at });
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, began.elapsed().as_secs()), (CloseReason::ShutdownCut, 7));
}

#[tokio::test]
async fn a_client_whose_backend_vanished_is_told_1014() {
    let mut story = tcp_story().await;
    let message = data_frame(b"before", false);
    story.backend.write_all(&message).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, message.len()).await, message);
    socket2::SockRef::from(&story.backend).set_linger(Some(Duration::ZERO)).unwrap();
    drop(story.backend);
    assert_eq!(read_close(&mut story.client).await, (1014, "backend-gone".to_owned()));
    let early = tokio::time::timeout(Duration::from_millis(100), story.client.read_u8()).await;
    assert!(early.is_err(), "the client's answer is waited for");
    story.client.write_all(&close_frame(1014, Some([0; 4]))).await.unwrap();
    assert_eq!(read_to_end(&mut story.client).await, b"");
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::BackendGone, Party::Gateway, Some(1014)));
}

#[tokio::test]
async fn a_client_whose_bytes_drove_the_backend_away_is_told_nothing() {
    let mut story = tcp_story().await;
    // RFC 6455 §5.5: no control frame has 126 bytes.
    let too_long = b"\x88\xfe\0\x7e\0\0\0\0";
    story.client.write_all(too_long).await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, too_long.len()).await, too_long);
    socket2::SockRef::from(&story.backend).set_linger(Some(Duration::ZERO)).unwrap();
    drop(story.backend);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::BackendGone);
}

#[tokio::test]
async fn within_a_frame_a_vanished_backend_leaves_no_forged_end() {
    let mut story = tcp_story().await;
    let message = data_frame(b"half of it", false);
    story.backend.write_all(&message[..6]).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 6).await, message[..6]);
    socket2::SockRef::from(&story.backend).set_linger(Some(Duration::ZERO)).unwrap();
    drop(story.backend);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::BackendGone);
}

#[tokio::test]
async fn a_stream_that_ends_within_a_message_did_not_end_in_order() {
    let mut story = tcp_story().await;
    story.client.write_all(b"\x01\x80\0\0\0\0").await.unwrap();
    drop(story.client);
    assert_eq!(read_to_end(&mut story.backend).await, b"\x01\x80\0\0\0\0");
    drop(story.backend);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by), (CloseReason::ClientGone, Party::Client));
}

#[tokio::test(start_paused = true)]
async fn first_bytes_are_held_to_the_limits_too() {
    let ((near_client, mut client), (near_backend, _backend)) = (duplex(64), duplex(64));
    let (near_client, near_backend) = (Stream::Boxed(Box::new(near_client)), Stream::Boxed(Box::new(near_backend)));
    let terms = Terms { message_bytes: Some(2), ..TERMS };
    let (_tunnels, _tunnel) = start(near_client, near_backend, (b"\x81\x83\0\0\0\0abc", b""), terms);
    assert_eq!(read_close(&mut client).await, (1009, "message-too-big".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_by_a_task_that_had_used_up_its_turn_when_the_tunnel_began() {
    let ((near_client, _client), (near_backend, _backend)) = (duplex(64), duplex(64));
    let [client, backend] = [near_client, near_backend].map(|near| Stream::Boxed(Box::new(near)));
    let (open, terms) = (tunnels().open(0, 0, About::default()), Arc::new(TERMS));
    let mut tunnel = Box::pin(run(client, Bytes::new(), backend, Bytes::new(), terms, open, |ended| ended));
    let mut is_tired = true;
    let tunnel = poll_fn(move |cx| {
        while std::mem::take(&mut is_tired) && tokio::task::coop::has_budget_remaining() {
            let mut turn = pin!(tokio::task::coop::consume_budget());
            is_tired = turn.as_mut().poll(cx).is_ready();
        }
        tunnel.as_mut().poll(cx)
    });
    let ended = tokio::time::timeout(2 * TERMS.idle, tokio::spawn(tunnel)).await;
    assert_eq!(ended.unwrap().unwrap().reason, CloseReason::Idle);
}
