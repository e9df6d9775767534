use std::os::unix::net::UnixStream;

use rustix::io::Errno;

use super::*;

fn tcp(address: &str) -> config::Listener {
    listener(ListenAddress::Tcp(address.parse().unwrap()))
}

fn unix(path: &Path) -> config::Listener {
    listener(ListenAddress::Unix(path.to_owned()))
}

fn listener(address: ListenAddress) -> config::Listener {
    config::Listener { address, tls: None, h2c: false, http2: true }
}

fn real_address(bound: &Bound) -> SocketAddr {
    match bound.local_address() {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(path) => panic!("{path:?} is no TCP address"),
    }
}

fn only_problem(result: Result<Vec<Bound>, Vec<BindProblem>>) -> BindProblem {
    let mut problems = result.err().expect("problems");
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn every_worker_has_a_socket_of_its_own_on_the_same_port() {
    let mut bound = bind(&[tcp("127.0.0.1:0")], 3).unwrap();
    let address = real_address(&bound[0]);
    assert_ne!(address.port(), 0);
    let (sockets, file) = bound.remove(0).into_parts();
    assert!(file.is_none());
    assert_eq!(sockets.len(), 3);
    for socket in sockets {
        let ListenSocket::Tcp(socket) = socket else { panic!("no TCP socket") };
        assert_eq!(socket.local_addr().unwrap(), address);
    }
}

#[test]
fn accepted_connections_send_small_writes_at_once_and_notice_dead_peers() {
    let (sockets, _) = bind(&[tcp("127.0.0.1:0")], 1).unwrap().remove(0).into_parts();
    let ListenSocket::Tcp(socket) = &sockets[0] else { panic!("no TCP socket") };
    let _client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    socket.set_nonblocking(false).unwrap();
    let (accepted, _) = socket.accept().unwrap();
    assert!(accepted.nodelay().unwrap());
    assert!(socket2::SockRef::from(&accepted).keepalive().unwrap());
}

#[test]
fn another_process_is_found_even_where_it_would_share_the_address() {
    let bound = bind(&[tcp("127.0.0.1:0")], 2).unwrap();
    let address = real_address(&bound[0]);
    let problem = only_problem(bind(&[tcp(&address.to_string())], 2));
    assert!(matches!(problem.fault, BindFault::InUse), "{problem:?}");
    assert_eq!(problem.to_string(), format!("listener `{address}`: the address is in use by another process"));
    assert!(problem.hint().unwrap().contains(&format!("sport = :{}", address.port())));
    drop(bound);
    bind(&[tcp(&address.to_string())], 2).unwrap();
}

#[test]
fn a_listener_of_the_same_configuration_is_named() {
    let free = real_address(&bind(&[tcp("127.0.0.1:0")], 1).unwrap()[0]).port();
    let problem = only_problem(bind(&[tcp(&format!("[::]:{free}")), tcp(&format!("127.0.0.1:{free}"))], 1));
    assert_eq!(
        problem.to_string(),
        format!("listener `127.0.0.1:{free}`: the listener `[::]:{free}` has this address already")
    );
    assert!(problem.hint().unwrap().contains("takes IPv4 connections too"));
}

#[test]
fn the_ipv6_wildcard_takes_ipv4_clients() {
    let bound = bind(&[tcp("[::]:0")], 1).unwrap();
    std::net::TcpStream::connect(("127.0.0.1", real_address(&bound[0]).port())).unwrap();
}

#[test]
fn all_problems_are_told_and_nothing_stays_bound() {
    let directory = tempfile::tempdir().unwrap();
    let free = real_address(&bind(&[tcp("127.0.0.1:0")], 1).unwrap()[0]);
    let missing = directory.path().join("missing/socket");
    let result = bind(&[tcp(&free.to_string()), tcp("192.0.2.1:8080"), unix(&missing)], 1);
    let problems = result.err().unwrap();
    assert!(matches!(problems[0].fault, BindFault::NotOurs), "{problems:?}");
    assert!(matches!(problems[1].fault, BindFault::NoDirectory(_)), "{problems:?}");
    bind(&[tcp(&free.to_string())], 1).unwrap();
}

#[test]
fn faults_of_the_system_are_told_in_the_words_of_the_operator() {
    let fault = |errno: Errno, address: &str| BindFault::of_tcp(errno.into(), address.parse().unwrap());
    assert!(matches!(fault(Errno::ACCESS, "0.0.0.0:80"), BindFault::LowPort));
    assert!(matches!(fault(Errno::ACCESS, "0.0.0.0:8080"), BindFault::Other(_)));
    assert!(matches!(fault(Errno::AFNOSUPPORT, "[::]:80"), BindFault::NoFamily));
    let problem = BindProblem::new("listener", tcp("0.0.0.0:80").address, BindFault::LowPort);
    assert!(problem.hint().unwrap().contains("CAP_NET_BIND_SERVICE"));
}

#[test]
fn a_stale_socket_file_is_replaced_and_the_new_one_removed_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let (sockets, file) = bind(&[unix(&path)], 2).unwrap().remove(0).into_parts();
    assert_eq!(sockets.len(), 2);
    UnixStream::connect(&path).unwrap();
    drop(file);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _other = UnixListener::bind(&path).unwrap();
    let problem = only_problem(bind(&[unix(&path)], 1));
    assert!(matches!(problem.fault, BindFault::InUse), "{problem:?}");
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    fs::write(&path, "precious").unwrap();
    let problem = only_problem(bind(&[unix(&path)], 1));
    assert!(matches!(problem.fault, BindFault::NotASocket), "{problem:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_successors_socket_file_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let (_sockets, file) = bind(&[unix(&path)], 1).unwrap().remove(0).into_parts();
    fs::remove_file(&path).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    drop(file);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_path_that_is_too_long_is_told() {
    let problem = only_problem(bind(&[unix(&PathBuf::from(format!("/tmp/{}", "x".repeat(200))))], 1));
    assert!(matches!(problem.fault, BindFault::PathTooLong), "{problem:?}");
}

#[test]
fn overlapping_addresses_are_recognised() {
    let overlap = |one: &str, other: &str| super::overlap(&tcp(one).address, &tcp(other).address);
    assert!(overlap("0.0.0.0:80", "127.0.0.1:80"));
    assert!(overlap("[::]:80", "127.0.0.1:80"));
    assert!(overlap("[::]:80", "[::1]:80"));
    assert!(overlap("127.0.0.1:80", "[::ffff:127.0.0.1]:80"));
    assert!(!overlap("0.0.0.0:80", "[::1]:80"));
    assert!(!overlap("127.0.0.1:80", "127.0.0.2:80"));
    assert!(!overlap("0.0.0.0:80", "0.0.0.0:81"));
}
