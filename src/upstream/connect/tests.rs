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

#[tokio::test]
async fn a_name_that_leads_nowhere_is_no_refusal_either() {
    let dialer = Dialer::new(Duration::from_secs(60), None).unwrap();
    // No resolver needs to be asked for a label that is too long (RFC 1035 §2.3.4).
    let address = BackendAddress::Name { host: Arc::from("x".repeat(64) + ".test"), port: 1 };
    let failure = dialer.dial(&address, Speak::Http1, None).await.err().unwrap();
    assert!(matches!(failure, Failure::Name(_)) && failure.is_connect() && !failure.is_refusal(), "{failure:?}");
}
