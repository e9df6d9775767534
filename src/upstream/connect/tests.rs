//! Whose fault it is that there is no connection.

use super::*;

#[test]
fn what_this_machine_has_none_left_of_is_no_refusal_of_the_server_s() {
    for code in LOCAL {
        let failure = refused(code.into());
        assert!(matches!(failure, Failure::Local(_)) && failure.is_connect() && !failure.is_refusal(), "{failure:?}");
    }
    for code in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::NETUNREACH, Errno::TIMEDOUT, Errno::NOENT] {
        let failure = refused(code.into());
        assert!(matches!(failure, Failure::Connect(_)) && failure.is_connect() && failure.is_refusal(), "{failure:?}");
    }
}

#[test]
fn it_is_found_behind_the_words_of_others() {
    #[derive(Debug)]
    struct Told(io::Error);
    impl std::fmt::Display for Told {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("while connecting")
        }
    }
    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    assert!(matches!(local_cause(&Told(Errno::ADDRNOTAVAIL.into())), Some(Failure::Local(_))));
    assert!(local_cause(&Told(Errno::CONNREFUSED.into())).is_none());
}

#[test]
fn a_refusal_at_one_address_is_not_forgotten_for_another_that_can_t_be_had_from_here() {
    let (refusal, ours) = (|| refused(Errno::CONNREFUSED.into()), || refused(Errno::ADDRNOTAVAIL.into()));
    for failure in [refusal().or(ours()), ours().or(refusal()), refusal().or(Failure::ConnectTimeout)] {
        assert!(failure.is_refusal(), "{failure:?}");
    }
    assert!(matches!(ours().or(ours()), Failure::Local(_)));
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_no_refusal_either() {
    let dialer = Dialer::new(Duration::from_secs(60), None).unwrap();
    // No resolver needs to be asked for a label that is too long (RFC 1035 §2.3.4).
    let address = BackendAddress::Name { host: Arc::from("x".repeat(64) + ".test"), port: 1 };
    let failure = dialer.dial(&address, Speak::Http1, None).await.err().unwrap();
    assert!(matches!(failure, Failure::Name(_)) && failure.is_connect() && !failure.is_refusal(), "{failure:?}");
}

#[test]
fn a_server_behind_tls_that_takes_nothing_is_given_up_where_a_tunnel_or_many_streams_lead_to_it() {
    for speak in [Speak::WebSocket, Speak::Http2] {
        assert_eq!(probes(speak).user_timeout, socket::UNACKNOWLEDGED_MAX);
    }
    assert_eq!(probes(Speak::Http1).user_timeout, Duration::ZERO);
}
