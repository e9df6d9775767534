use std::collections::HashSet;

use super::*;

fn written(status: CacheStatus) -> String {
    let mut out = Vec::new();
    status.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn forwarded(reason: Reason) -> CacheStatus {
    CacheStatus::Forwarded { reason, status: None, stored: false, collapsed: false, detail: None }
}

#[test]
fn members_read_as_rfc_9211_has_them() {
    assert_eq!(written(CacheStatus::Hit { ttl: 59 }), "tidegate; hit; ttl=59");
    assert_eq!(written(CacheStatus::Hit { ttl: -3 }), "tidegate; hit; ttl=-3");
    assert_eq!(written(CacheStatus::Refreshing { ttl: 0 }), "tidegate; hit; ttl=0; detail=stale_while_revalidate");
    assert_eq!(
        written(CacheStatus::StaleHit { ttl: -9, status: Some(503), reason: Reason::Stale }),
        "tidegate; fwd=stale; fwd-status=503; ttl=-9; detail=stale_on_error"
    );
    assert_eq!(written(forwarded(Reason::UriMiss)), "tidegate; fwd=uri-miss");
    assert_eq!(written(forwarded(Reason::Off)), "tidegate; fwd=bypass; detail=off");
    assert_eq!(written(forwarded(Reason::Uncacheable)), "tidegate; fwd=uri-miss; detail=uncacheable");
    assert_eq!(written(forwarded(Reason::Range)), "tidegate; fwd=request; detail=range");
    let full = CacheStatus::Forwarded {
        reason: Reason::Stale,
        status: Some(304),
        stored: true,
        collapsed: true,
        detail: Some(Reason::NoRoom),
    };
    assert_eq!(written(full), "tidegate; fwd=stale; fwd-status=304; stored; collapsed; detail=no_room");
}

#[test]
fn the_log_has_the_word_of_the_detail() {
    assert_eq!(CacheStatus::Hit { ttl: 59 }.reason(), "");
    assert_eq!(forwarded(Reason::UriMiss).reason(), "uri_miss");
    let details = Reason::ALL.iter().map(|detail| CacheStatus::Forwarded {
        reason: Reason::Stale,
        status: None,
        stored: false,
        collapsed: false,
        detail: Some(*detail),
    });
    let stale = CacheStatus::StaleHit { ttl: -9, status: None, reason: Reason::Stale };
    for status in details.chain([stale, CacheStatus::Refreshing { ttl: 0 }, forwarded(Reason::Off)]) {
        assert_eq!(written(status).split_once("detail=").unwrap().1, status.reason());
    }
}

#[test]
fn a_lifetime_beyond_what_structured_fields_hold_is_cut_to_it() {
    // RFC 8941 §3.3.1
    assert_eq!(written(CacheStatus::Hit { ttl: i64::MAX }), "tidegate; hit; ttl=999999999999999");
    assert_eq!(written(CacheStatus::Refreshing { ttl: i64::MIN }).split("; ").nth(2), Some("ttl=-999999999999999"));
}

#[test]
fn every_reason_has_a_word_of_its_own_and_a_known_forward_word() {
    let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        let known = ["bypass", "method", "uri-miss", "vary-miss", "partial", "miss", "request", "stale"];
        assert!(known.contains(&reason.forward_word()));
        assert!(reason.label().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    }
}
