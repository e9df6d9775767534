//! What goes in comes out.

use super::*;

/// Bytes that differ everywhere, so that a piece lost, doubled or moved shows.
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Writes in pieces of changing size, resting now and then.
async fn write_in_pieces(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], seed: u64) {
    let (mut random, mut rest) = (fastrand::Rng::with_seed(seed), bytes);
    while !rest.is_empty() {
        let size = [1, 100, 5000, 70_000, 300_000][random.usize(..5)];
        let (piece, tail) = rest.split_at(random.usize(1..=size).min(rest.len()));
        stream.write_all(piece).await.unwrap();
        rest = tail;
        if random.u8(..) < 40 {
            tokio::task::yield_now().await;
        }
    }
    stream.shutdown().await.unwrap();
}

async fn read_in_pieces(stream: &mut (impl tokio::io::AsyncRead + Unpin), seed: u64) -> Vec<u8> {
    let (mut random, mut bytes, mut piece) = (fastrand::Rng::with_seed(seed), Vec::new(), vec![0; 200_000]);
    loop {
        let size = [1, 1000, 64 * 1024, 200_000][random.usize(..4)];
        match stream.read(&mut piece[..size]).await.unwrap() {
            0 => return bytes,
            taken => bytes.extend_from_slice(&piece[..taken]),
        }
        if random.u8(..) < 40 {
            tokio::task::yield_now().await;
        }
    }
}

async fn exchange(near_client: Stream, client: impl Far, near_backend: Stream, backend: impl Far, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (up, down) = (pattern(random.usize(..900_000), seed), pattern(random.usize(..900_000), seed + 1));
    let (_tunnels, tunnel) = start(near_client, near_backend, (b"", b""), TERMS);
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut backend_reads, mut backend_writes) = tokio::io::split(backend);
    let (_, _, came_up, came_down) = tokio::join!(
        write_in_pieces(&mut client_writes, &up, seed + 2),
        write_in_pieces(&mut backend_writes, &down, seed + 3),
        read_in_pieces(&mut backend_reads, seed + 4),
        read_in_pieces(&mut client_reads, seed + 5),
    );
    assert!(came_up == up && came_down == down);
    let ended = tunnel.await.unwrap();
    assert_eq!((ended.totals.up.bytes, ended.totals.down.bytes), (up.len() as u64, down.len() as u64));
}

trait Far: tokio::io::AsyncRead + AsyncWrite + Unpin {}
impl<T: tokio::io::AsyncRead + AsyncWrite + Unpin> Far for T {}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_passes_unchanged_over_tcp(seed in any::<u32>()) {
        block_on(async {
            let ((near_client, client), (near_backend, backend)) = (tcp_pair().await, tcp_pair().await);
            exchange(Stream::Tcp(near_client), client, Stream::Tcp(near_backend), backend, seed.into()).await;
        });
    }

    #[test]
    fn every_byte_passes_unchanged_between_unix_and_boxed_streams(seed in any::<u32>(), size in 1..100_000usize) {
        block_on(async {
            let (near_client, client) = duplex(size);
            let (near_backend, backend) = UnixStream::pair().unwrap();
            let near_client = Box::new(tokio::io::BufStream::new(near_client));
            exchange(Stream::Boxed(near_client), client, Stream::Unix(near_backend), backend, seed.into()).await;
        });
    }
}

#[tokio::test]
async fn a_stream_that_holds_bytes_back_until_it_is_flushed_is_flushed() {
    let ((near_client, mut client), (near_backend, mut backend)) = (duplex(1024), duplex(1024));
    let held = |stream| Stream::Boxed(Box::new(tokio::io::BufStream::new(stream)));
    let (_tunnels, _tunnel) = start(held(near_client), held(near_backend), (b"", b""), TERMS);
    client.write_all(b"question").await.unwrap();
    assert_eq!(read_exactly(&mut backend, 8).await, b"question");
    backend.write_all(b"answer").await.unwrap();
    assert_eq!(read_exactly(&mut client, 6).await, b"answer");
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut backend).await, b"");
}

#[tokio::test]
async fn a_message_passes_before_anything_else_is_said() {
    let mut story = tcp_story().await;
    for _ in 0..3 {
        story.client.write_all(b"question").await.unwrap();
        assert_eq!(read_exactly(&mut story.backend, 8).await, b"question");
        story.backend.write_all(b"answer").await.unwrap();
        assert_eq!(read_exactly(&mut story.client, 6).await, b"answer");
    }
}

#[tokio::test]
async fn bytes_glued_to_either_head_go_first() {
    let mut story = tcp_story_with(TERMS, (b"early up ", b"early down ")).await;
    story.client.write_all(b"late").await.unwrap();
    story.backend.write_all(b"late").await.unwrap();
    assert_eq!(read_exactly(&mut story.backend, 13).await, b"early up late");
    assert_eq!(read_exactly(&mut story.client, 15).await, b"early down late");
}

#[tokio::test]
async fn frames_in_one_byte_segments_pass_and_their_close_code_is_seen() {
    let mut story = tcp_story().await;
    let bytes = [data_frame(b"slowly", true), close_frame(4001, Some([1, 2, 3, 4]))].concat();
    let writes = async {
        for byte in &bytes {
            story.client.write_all(std::slice::from_ref(byte)).await.unwrap();
            tokio::task::yield_now().await;
        }
        story.client.shutdown().await.unwrap();
    };
    let (_, came) = tokio::join!(writes, read_to_end(&mut story.backend));
    assert_eq!(came, bytes);
    drop(story.backend);
    assert_eq!(story.tunnel.await.unwrap().code(), Some(4001));
}

#[tokio::test]
async fn a_message_of_ten_megabytes_passes_and_the_frame_after_it_is_found() {
    let mut story = tcp_story().await;
    let message = [data_frame(&pattern(10 << 20, 1), false), close_frame(1000, None)].concat();
    let writes = async {
        story.backend.write_all(&message).await.unwrap();
        story.backend.shutdown().await.unwrap();
    };
    let (_, came) = tokio::join!(writes, read_to_end(&mut story.client));
    assert!(came == message);
    drop(story.client);
    let ended = story.tunnel.await.unwrap();
    assert_eq!((ended.code(), ended.totals.down.bytes), (Some(1000), message.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn a_stuck_reader_stops_the_writer_within_one_buffer() {
    let mut story = pipe_story(8 * 1024, TERMS);
    let mut written = 0;
    let piece = [7; 1024];
    while let Ok(result) = tokio::time::timeout(Duration::from_secs(1), story.client.write_all(&piece)).await {
        result.unwrap();
        written += piece.len();
    }
    assert!(written <= 2 * 8 * 1024 + READ_BYTES, "{written}");
    // The other direction is not held up by it.
    story.backend.write_all(b"still here").await.unwrap();
    assert_eq!(read_exactly(&mut story.client, 10).await, b"still here");
    // And nothing is lost of what was taken.
    assert_eq!(read_exactly(&mut story.backend, written).await, vec![7; written]);
}

/// A stream that always has bytes and takes all: without a bound its tunnel would never give its thread back.
struct Endless;

impl crate::net::Io for Endless {}

impl tokio::io::AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        // No frame begins like this: a tracker would find thirty thousand empty ones in a buffer of zeros.
        buf.initialize_unfilled().fill(0xff);
        buf.advance(buf.remaining());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
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

#[tokio::test]
async fn a_tunnel_that_always_has_bytes_leaves_others_their_turn() {
    let (tunnels, tunnel) =
        start(Stream::Boxed(Box::new(Endless)), Stream::Boxed(Box::new(Endless)), (b"", b""), TERMS);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    tunnels.cut_all();
    assert!(tunnel.await.unwrap().totals.up.bytes > 0);
}

#[tokio::test]
async fn a_tunnel_at_rest_is_one_small_record() {
    let (client, _far_client) = tcp_pair().await;
    let (backend, _far_backend) = tcp_pair().await;
    let tunnel = run(
        Stream::Tcp(client),
        Bytes::new(),
        Stream::Tcp(backend),
        Bytes::new(),
        Arc::new(TERMS),
        tunnels().open(0, 0, About::default()),
        |ended| ended,
    );
    assert!(size_of_val(&tunnel) <= 560, "{}", size_of_val(&tunnel));
}

#[tokio::test(start_paused = true)]
async fn sockets_are_prepared_for_a_long_life_once_a_tunnel_has_lived_for_a_second() {
    use std::os::fd::AsFd;
    let ((near_client, _client), (near_backend, _backend)) = (tcp_pair().await, tcp_pair().await);
    let seen = [&near_client, &near_backend].map(|stream| stream.as_fd().try_clone_to_owned().unwrap());
    let (_tunnels, _tunnel) = start(Stream::Tcp(near_client), Stream::Tcp(near_backend), (b"", b""), TERMS);
    let patience = || seen.each_ref().map(|fd| socket2::SockRef::from(fd).tcp_user_timeout().unwrap());
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(patience(), [None; 2]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(patience(), [Some(TERMS.send); 2]);
}
