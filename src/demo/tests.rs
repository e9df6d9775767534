use super::*;

#[test]
fn a_taken_port_is_replaced_by_a_free_one_of_the_same_address() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let wanted = taken.local_addr().unwrap();
    assert_eq!(free(wanted).unwrap(), SocketAddr::new(wanted.ip(), 0));
    drop(taken);
    assert_eq!(free(wanted).unwrap(), wanted);
}

#[test]
fn an_address_that_is_not_ours_is_a_problem_and_no_reason_to_move() {
    // RFC 5737: an address for documentation is on no machine.
    assert!(free(SocketAddr::from(([192, 0, 2, 1], 8080))).is_err());
}

#[test]
fn what_was_moved_is_told_and_what_was_not_is_not() {
    let options = Options::default();
    let mut addresses = Addresses { page: options.listen, metrics: options.admin, app: options.admin };
    assert_eq!(moved(options, &addresses), "");
    addresses.page.set_port(41234);
    assert_eq!(
        moved(options, &addresses),
        "127.0.0.1:8080 is taken by another program; 127.0.0.1:41234 is used instead.\n"
    );
    let any = Options { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..options };
    assert_eq!(moved(any, &addresses), "", "port 0 asked for any");
}

#[test]
fn the_welcome_names_every_address_and_two_commands() {
    let options = Options::default();
    let app = SocketAddr::from((Ipv4Addr::LOCALHOST, 41234));
    let text = Addresses { page: options.listen, metrics: options.admin, app }.welcome();
    for part in ["http://127.0.0.1:8080/\n", "http://127.0.0.1:9090/metrics", "http://127.0.0.1:41234/", "Ctrl-C"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(text.matches("\n  curl ").count(), 2);
    assert_eq!(text.matches("http://127.0.0.1:8080/assets/harbour.png").count(), 2);
}
