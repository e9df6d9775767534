//! Every way out, and the reason that it gives.

use super::{breaks::Noting, *};

/// Makes the drop of this socket a reset.
pub(super) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn after_the_clients_end_the_backend_may_go_on() {
    let mut story = tcp_story().await;
    story.client.write_all(b"last words").await.unwrap();
    story.client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut story.backend).await, b"last words");
    story.backend.write_all(b"a long answer").await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 13).await, b"a long answer");
    story.backend.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut story.client).await, b"");
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::ClientClose, Party::Client, None));
    assert_eq!((ended.totals.up.bytes, ended.totals.down.bytes), (10, 13));
}

#[tokio::test]
async fn after_the_backends_end_the_client_may_go_on() {
    let mut story = tcp_story().await;
    story.backend.write_all(b"last words").await.unwrap();
    story.backend.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut story.client).await, b"last words");
    story.client.write_all(b"a long answer").await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, 13).await, b"a long answer");
    story.client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut story.backend).await, b"");
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by), (CloseReason::BackendClose, Party::Backend));
}

#[tokio::test]
async fn a_backend_that_ends_within_a_message_is_lost_and_its_client_told_where_that_can_be() {
    // The system ends the streams of a process that was killed.
    let begun = [0x01, 2, b'a', b'b'];
    let mut story = tcp_story().await;
    story.backend.write_all(&begun).await.unwrap();
    drop(story.backend);
    assert_eq!(read_exactly(&mut story.client, 4).await, begun);
    assert_eq!(read_close(&mut story.client).await, (1014, "backend-gone".to_owned()));
    story.client.write_all(&close_frame(1014, Some([0; 4]))).await.unwrap();
    assert_eq!(read_to_end(&mut story.client).await, b"");
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::BackendGone);
    // Within a frame nothing can be said.
    let mut story = tcp_story().await;
    story.backend.write_all(&begun[..3]).await.unwrap();
    drop(story.backend);
    assert_eq!(read_to_end(&mut story.client).await, begun[..3]);
    drop(story.client);
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::BackendGone);
}

#[tokio::test]
async fn a_clients_reset_ends_the_backends_stream() {
    let mut story = tcp_story().await;
    story.client.write_all(b"before").await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, 6).await, b"before");
    reset(story.client);
    assert_eq!(read_to_end(&mut story.backend).await, b"");
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::ClientGone);
}

#[tokio::test]
async fn what_a_backend_said_before_its_reset_is_delivered() {
    let mut story = tcp_story().await;
    story.backend.write_all(b"before").await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 6).await, b"before");
    reset(story.backend);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.totals.down.bytes), (CloseReason::BackendGone, Party::Backend, 6));
}

#[tokio::test]
async fn what_a_slow_client_had_coming_survives_the_backends_reset() {
    let ((near_client, mut client), (near_backend, mut backend)) = (duplex(16), tcp_pair().await);
    let near_client = Stream::Boxed(Box::new(near_client));
    let (_tunnels, tunnel) = start(near_client, Stream::Tcp(near_backend), (b"", b""), TERMS);
    backend.write_all(&[5; 10_000]).await.unwrap();
    // The tunnel has read everything once the client has the first byte: it reads as much as there is at a time.
    assert_eq!(read_exactly(&mut client, 1).await, [5]);
    reset(backend);
    assert_eq!(read_to_end(&mut client).await, [5; 9_999]);
    assert_eq!(tunnel.await.unwrap().reason, CloseReason::BackendGone);
}

#[tokio::test]
async fn what_a_backend_says_after_it_stopped_reading_is_delivered() {
    let (near_client, mut client) = duplex(1024);
    let (near_backend, mut backend, _) = Noting::stream(Some(std::io::ErrorKind::BrokenPipe));
    let (_tunnels, tunnel) = start(Stream::Boxed(Box::new(near_client)), near_backend, (b"", b""), TERMS);
    client.write_all(b"unheard").await.unwrap();
    tokio::task::yield_now().await;
    backend.write_all(b"the reason why").await.unwrap();
    drop(backend);
    assert_eq!(read_to_end(&mut client).await, b"the reason why");
    assert_eq!(tunnel.await.unwrap().reason, CloseReason::BackendGone);
}

#[tokio::test]
async fn a_close_frame_names_who_closed_first_whoever_ends_the_stream() {
    let mut story = tcp_story().await;
    let (from_client, from_backend) = (close_frame(1000, Some([1, 2, 3, 4])), close_frame(1000, None));
    story.client.write_all(&from_client).await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, 8).await, from_client);
    // RFC 6455 §7.1.1: the server ends the stream first.
    story.backend.write_all(&from_backend).await.unwrap();
    drop(story.backend);
    assert_eq!(read_to_end(&mut story.client).await, from_backend);
    drop(story.client);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::ClientClose, Party::Client, Some(1000)));
}

#[tokio::test]
async fn a_last_word_reaches_a_client_whose_backend_does_not_end_the_stream() {
    let (from_client, from_backend) = (close_frame(1000, Some([1, 2, 3, 4])), close_frame(1000, None));
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let mut story = tcp_story().await;
        story.client.write_all(&from_client).await.unwrap();
        assert_eq!(read_exactly(&mut story.backend, 8).await, from_client);
        let said = std::time::Instant::now();
        story.backend.write_all(&from_backend).await.unwrap();
        assert_eq!(read_exactly(&mut story.client, 4).await, from_backend);
        quickest = quickest.min(said.elapsed());
        drop(story.client);
        assert_eq!(read_to_end(&mut story.backend).await, b"");
        assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::ClientClose);
    }
    assert!(quickest < Duration::from_millis(100), "the system lets go by itself after 200 ms: {quickest:?}");
}

#[tokio::test(start_paused = true)]
async fn after_both_close_frames_one_end_of_stream_ends_the_tunnel() {
    let (from_client, from_backend) = (close_frame(1000, Some([1, 2, 3, 4])), close_frame(1000, None));
    for client_ends in [false, true] {
        let mut story = pipe_story(1024, TERMS);
        let began = Instant::now();
        story.client.write_all(&from_client).await.unwrap();
        assert_eq!(read_exactly(&mut story.backend, 8).await, from_client);
        story.backend.write_all(&from_backend).await.unwrap();
        assert_eq!(read_exactly(&mut story.client, 4).await, from_backend);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!story.tunnel.is_finished());
        let ending = if client_ends { &mut story.client } else { &mut story.backend };
        ending.shutdown().await.unwrap();
        let ended = story.tunnel.await.unwrap();
        assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::ClientClose, Party::Client, Some(1000)));
        assert_eq!(began.elapsed().as_secs(), 1);
        assert_eq!(read_to_end(&mut story.client).await, b"");
        assert_eq!(read_to_end(&mut story.backend).await, b"");
    }
}

#[tokio::test(start_paused = true)]
async fn the_closing_handshake_is_not_over_while_a_close_frame_is_under_way() {
    // The client reads nothing: its pipe holds all but the last byte of the backend's Close frame.
    let mut story = pipe_story(8, TERMS);
    let from_backend = [data_frame(b"abc", false), close_frame(1000, None)].concat();
    story.client.write_all(&close_frame(1000, Some([0; 4]))).await.unwrap();
    read_exactly(&mut story.backend, 8).await;
    story.backend.write_all(&from_backend).await.unwrap();
    drop(story.backend);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!story.tunnel.is_finished());
    assert_eq!(read_to_end(&mut story.client).await, from_backend);
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::ClientClose);
}

#[tokio::test]
async fn a_reset_after_a_close_frame_is_still_a_close() {
    let mut story = tcp_story().await;
    story.backend.write_all(&close_frame(1011, None)).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 4).await, close_frame(1011, None));
    reset(story.client);
    reset(story.backend);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::BackendClose, Party::Backend, Some(1011)));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_tunnel_after_the_idle_time_and_not_before() {
    let mut story = pipe_story(1024, TERMS);
    let began = Instant::now();
    for pause in [3599, 3000] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        story.backend.write_all(b"\x89\0").await.unwrap();
        read_exactly(&mut story.client, 2).await;
    }
    assert_eq!(read_exactly(&mut story.client, 8).await, b"\x88\x06\x03\xf4idle");
    assert_eq!(began.elapsed().as_secs(), 3599 + 3000 + 3600);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::Idle, Party::Gateway, Some(1012)));
    // Nobody has answered.
    assert_eq!(ended.duration.as_secs(), 3599 + 3000 + 3600 + 5);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    assert_eq!(read_to_end(&mut story.backend).await.len(), 2 + 4 + 6);
}

#[tokio::test(start_paused = true)]
async fn a_reader_stuck_for_the_idle_time_ends_the_tunnel() {
    let mut story = pipe_story(1024, TERMS);
    let _ = tokio::time::timeout(Duration::from_secs(1), story.client.write_all(&[0; 200_000])).await;
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::Idle);
}

#[tokio::test(start_paused = true)]
async fn no_idle_time_is_too_long() {
    let story = pipe_story(1024, Terms { idle: Duration::MAX, ..TERMS });
    tokio::time::sleep(Duration::from_secs(365 * 24 * 3600)).await;
    assert!(!story.tunnel.is_finished());
}

#[tokio::test(start_paused = true)]
async fn the_second_direction_has_the_linger_time_between_its_bytes() {
    let mut story = pipe_story(1024, TERMS);
    let began = Instant::now();
    story.client.shutdown().await.unwrap();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(29)).await;
        story.backend.write_all(b"more").await.unwrap();
        read_exactly(&mut story.client, 4).await;
    }
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.totals.down.bytes), (CloseReason::ClientClose, 8));
    assert_eq!(began.elapsed().as_secs(), 2 * 29 + 30);
}

#[tokio::test(start_paused = true)]
async fn the_linger_time_begins_with_the_end_however_long_it_was_silent_before() {
    let mut story = pipe_story(1024, TERMS);
    tokio::time::sleep(Duration::from_secs(45)).await;
    let began = Instant::now();
    story.client.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    story.backend.write_all(b"last words").await.unwrap();
    read_exactly(&mut story.client, 10).await;
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.totals.down.bytes), (CloseReason::ClientClose, 10));
    assert_eq!(began.elapsed().as_secs(), 20 + 30);
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_holds_for_a_backend_that_goes_on_after_its_client_has_ended() {
    let mut story = pipe_story(1024, Terms { lifetime: Some(Duration::from_secs(100)), ..TERMS });
    let began = Instant::now();
    story.client.shutdown().await.unwrap();
    while story.backend.write_all(b"\x81\x04more").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    story.tunnel.await.unwrap();
    assert!((90..=130).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_that_nobody_answers_is_waited_for_as_long_as_linger() {
    let mut story = pipe_story(1024, TERMS);
    let began = Instant::now();
    story.client.write_all(&close_frame(1001, Some([0; 4]))).await.unwrap();
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::ClientClose, Party::Client, Some(1001)));
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_broken_stream_of_another_kind_is_an_io_error_of_its_side() {
    struct Broken;
    impl crate::net::Io for Broken {}
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            Poll::Ready(Err(std::io::ErrorKind::InvalidData.into()))
        }
    }
    impl AsyncWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let (near, _far) = duplex(64);
    let (_tunnels, tunnel) = start(Stream::Boxed(Box::new(Broken)), Stream::Boxed(Box::new(near)), (b"", b""), TERMS);
    assert_eq!(tunnel.await.unwrap().reason, CloseReason::ClientError);
    let (near, _far) = duplex(64);
    let (_tunnels, tunnel) = start(Stream::Boxed(Box::new(near)), Stream::Boxed(Box::new(Broken)), (b"", b""), TERMS);
    assert_eq!(tunnel.await.unwrap().reason, CloseReason::BackendError);
}
