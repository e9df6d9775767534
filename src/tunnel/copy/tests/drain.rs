//! The gateway ends tunnels itself: in order where it can, never with a forged frame.

use super::*;

const TO_CLIENT: &[u8] = b"\x88\x07\x03\xf4drain";

/// The masked Close frame that a backend is sent, read and unmasked.
async fn read_close_at_backend(backend: &mut (impl tokio::io::AsyncRead + Unpin)) -> u16 {
    let frame = read_exactly(backend, 13).await;
    assert_eq!(frame[..2], [0x88, 0x87]);
    u16::from_be_bytes([frame[6] ^ frame[2], frame[7] ^ frame[3]])
}

#[tokio::test]
async fn between_frames_both_sides_are_told_1012_and_then_the_streams_end() {
    let mut story = tcp_story().await;
    let (up, down) = (data_frame(b"hello", true), data_frame(b"welcome", false));
    story.client.write_all(&up).await.unwrap();
    story.backend.write_all(&down).await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, up.len()).await, up);
    assert_eq!(read_exactly(&mut story.client, down.len()).await, down);
    drain(&story.tunnels);
    assert_eq!(read_exactly(&mut story.client, 9).await, TO_CLIENT);
    assert_eq!(read_close_at_backend(&mut story.backend).await, 1012);
    // Each side's answer ends its stream; what it says besides is dropped.
    story.client.write_all(&data_frame(b"too late", true)).await.unwrap();
    story.client.write_all(&close_frame(1012, Some([5, 6, 7, 8]))).await.unwrap();
    assert_eq!(read_to_end(&mut story.client).await, b"");
    drop(story.client);
    story.backend.write_all(&close_frame(1012, None)).await.unwrap();
    assert_eq!(read_to_end(&mut story.backend).await, b"");
    drop(story.backend);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::Drain, Party::Gateway, Some(1012)));
}

#[tokio::test(start_paused = true)]
async fn sides_that_do_not_answer_are_waited_for_no_longer_than_the_close_time() {
    let mut story = pipe_story(1024, TERMS);
    tokio::task::yield_now().await;
    let began = Instant::now();
    drain(&story.tunnels);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, began.elapsed().as_secs()), (CloseReason::Drain, 5));
    assert_eq!(read_to_end(&mut story.client).await, TO_CLIENT);
    assert_eq!(read_close_at_backend(&mut story.backend).await, 1012);
    assert_eq!(read_to_end(&mut story.backend).await, b"");
}

#[tokio::test(start_paused = true)]
async fn within_a_frame_its_end_is_waited_for_and_nothing_follows_it_but_the_close() {
    let mut story = pipe_story(1024, TERMS);
    let down = data_frame(b"a frame in two halves", false);
    story.backend.write_all(&down[..9]).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 9).await, down[..9]);
    drain(&story.tunnels);
    assert_eq!(read_close_at_backend(&mut story.backend).await, 1012);
    tokio::time::sleep(Duration::from_secs(4)).await;
    story.backend.write_all(&[&down[9..], &data_frame(b"next", false)].concat()).await.unwrap();
    let rest = [&down[9..], TO_CLIENT].concat();
    assert_eq!(read_exactly(&mut story.client, rest.len()).await, rest);
    // The time for the answers begins with the Close frame, not with the drain.
    tokio::time::sleep(Duration::from_secs(4)).await;
    story.client.write_all(&close_frame(1012, Some([0; 4]))).await.unwrap();
    assert_eq!(read_to_end(&mut story.client).await, b"");
    drop(story.client);
    drop(story.backend);
    assert_eq!(story.tunnel.await.unwrap().reason, CloseReason::Drain);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_never_ends_is_cut_without_a_forged_one() {
    let mut story = pipe_story(1024, TERMS);
    let down = data_frame(b"a frame in two halves", false);
    story.backend.write_all(&down[..9]).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 9).await, down[..9]);
    let began = Instant::now();
    drain(&story.tunnels);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    assert_eq!(began.elapsed().as_secs(), 5);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.totals.down.bytes), (CloseReason::Drain, 9));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_are_cut_off_at_once() {
    let mut story = pipe_story(1024, TERMS);
    story.client.write_all(b"SSH-2.0-client\r\n").await.unwrap();
    story.backend.write_all(b"SSH-2.0-server\r\n").await.unwrap();
    read_exactly(&mut story.backend, 16).await;
    read_exactly(&mut story.client, 16).await;
    let began = Instant::now();
    drain(&story.tunnels);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    assert_eq!(read_to_end(&mut story.backend).await, b"");
    assert_eq!(began.elapsed().as_secs(), 0);
    drop(story.client);
    drop(story.backend);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.code()), (CloseReason::Drain, None));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_was_closed_already_is_not_told_again() {
    let mut story = pipe_story(1024, TERMS);
    story.backend.write_all(&close_frame(1000, None)).await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 4).await, close_frame(1000, None));
    drain(&story.tunnels);
    assert_eq!(read_close_at_backend(&mut story.backend).await, 1012);
    assert_eq!(read_to_end(&mut story.client).await, b"");
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, ended.by, ended.code()), (CloseReason::BackendClose, Party::Backend, Some(1000)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_stuck_gets_its_bytes_before_the_close() {
    let mut story = pipe_story(64, TERMS);
    let down = data_frame(&[9; 100], false);
    story.backend.write_all(&down).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    drain(&story.tunnels);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(read_exactly(&mut story.client, down.len()).await, down);
    assert_eq!(read_exactly(&mut story.client, 9).await, TO_CLIENT);
}

/// A tunnel that is idle after four seconds and then closes for up to five, drained after so long; when it has ended.
async fn idle_and_drained(after: u64) -> (CloseReason, u64) {
    let story = pipe_story(1024, Terms { idle: Duration::from_secs(4), ..TERMS });
    tokio::task::yield_now().await;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(after)).await;
    let live = story.tunnels.all().next().unwrap();
    let (at, cut_at) = (began + Duration::from_secs(20), Some(began + Duration::from_secs(6)));
    live.end(Order { source: Source::Lasting, reason: CloseReason::Drain, farewell: None, at, cut_at });
    let ended = story.tunnel.await.unwrap();
    (ended.reason, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_drain_s_end_holds_though_something_else_has_begun_the_close() {
    assert_eq!(idle_and_drained(1).await, (CloseReason::Idle, 6), "ordered before");
    assert_eq!(idle_and_drained(5).await, (CloseReason::Idle, 6), "ordered meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_cut_waits_for_nothing() {
    let mut story = pipe_story(1024, TERMS);
    story.client.write_all(b"half a fra").await.unwrap();
    read_exactly(&mut story.backend, 10).await;
    let began = Instant::now();
    drain(&story.tunnels);
    tokio::time::sleep(Duration::from_secs(1)).await;
    story.tunnels.cut_all();
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, began.elapsed().as_secs()), (CloseReason::ShutdownCut, 1));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_opens_during_a_drain_is_closed_at_once() {
    let ((near_client, mut client), (near_backend, backend)) = (duplex(64), duplex(64));
    let tunnels = tunnels();
    drain(&tunnels);
    let (client_stream, backend_stream) = (Stream::Boxed(Box::new(near_client)), Stream::Boxed(Box::new(near_backend)));
    let open = tunnels.open(0, 0, About::default());
    let tunnel =
        tokio::spawn(run(client_stream, Bytes::new(), backend_stream, Bytes::new(), Arc::new(TERMS), open, |ended| {
            ended
        }));
    assert_eq!(read_exactly(&mut client, 9).await, TO_CLIENT);
    drop((client, backend));
    assert_eq!(tunnel.await.unwrap().reason, CloseReason::Drain);
}

/// Asks all to go in ten seconds, and to be gone ten seconds later.
fn drain_later(tunnels: &Tunnels) {
    let turn = Instant::now() + Duration::from_secs(10);
    let pace = Pace::new(1_000_000, turn.into_std());
    tunnels.drain_all(Drain { reason: CloseReason::Drain, pace, cut_at: turn + Duration::from_secs(10) });
}

const PATIENT: Terms = Terms { close: Duration::from_secs(60), ..TERMS };

#[tokio::test(start_paused = true)]
async fn what_closes_before_its_turn_is_cut_no_later_than_the_drain_says() {
    let mut story = pipe_story(1024, Terms { idle: Duration::from_secs(5), ..PATIENT });
    tokio::task::yield_now().await;
    let began = Instant::now();
    drain_later(&story.tunnels);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, began.elapsed().as_secs()), (CloseReason::Idle, 20));
    assert_eq!(read_to_end(&mut story.client).await, b"\x88\x06\x03\xf4idle");
}

#[tokio::test(start_paused = true)]
async fn a_drain_hurries_what_is_closing_already() {
    let story = pipe_story(1024, Terms { idle: Duration::from_secs(5), ..PATIENT });
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(6)).await;
    drain_later(&story.tunnels);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, began.elapsed().as_secs()), (CloseReason::Idle, 26));
}

#[tokio::test(start_paused = true)]
async fn a_kick_during_a_drain_takes_no_longer_than_the_drain() {
    let story = pipe_story(1024, PATIENT);
    tokio::task::yield_now().await;
    let began = Instant::now();
    drain_later(&story.tunnels);
    tokio::task::yield_now().await;
    story.tunnels.all().for_each(|live| live.end(crate::tunnel::kick(None).unwrap()));
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.reason, began.elapsed().as_secs()), (CloseReason::Kicked, 20));
}
