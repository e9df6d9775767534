use super::*;
use crate::cache::{
    account::Account,
    policy::testing::{Lines, get, lines, response, rfc, weigh},
};

const MOST: usize = 5;

fn stored(vary: &str, request: Lines<'_>) -> Arc<Stored> {
    let head = response(200, &[("Cache-Control", "max-age=60"), ("Vary", vary)]);
    let account = Account::new(1 << 20);
    let body = Body::new(vec![Bytes::from_static(b"body")], account.charge(100).unwrap());
    let answer = weigh(&get(request), &head, &rfc()).unwrap();
    Stored::new(Arc::new(answer), body, account.charge(50).unwrap())
}

fn added(before: Option<&Resource>, vary: &str, request: Lines<'_>) -> Resource {
    Resource::with(before, b"key", stored(vary, request), &lines(request), MOST).0
}

#[test]
fn variants_live_side_by_side_and_the_newest_match_wins() {
    // RFC 9111 §4.1
    let one = added(None, "foo", &[("Foo", "1")]);
    let two = added(Some(&one), "foo", &[("Foo", "2")]);
    assert_eq!(two.len(), 2);
    assert!(Arc::ptr_eq(&two.select(&lines(&[("Foo", "1")])).unwrap(), &one.newest().unwrap()));
    assert!(two.select(&lines(&[])).is_none());
    let again = added(Some(&two), "foo", &[("Foo", "1")]);
    assert_eq!(again.len(), 2);
    assert!(!Arc::ptr_eq(&again.select(&lines(&[("Foo", "1")])).unwrap(), &one.newest().unwrap()));
    assert_eq!(added(Some(&again), "", &[]).len(), 1);
    assert_eq!(two.cost(), 300);
}

#[test]
fn past_the_bound_the_oldest_variant_goes() {
    let mut resource = added(None, "foo", &[("Foo", "first")]);
    for number in 1..MOST {
        resource = added(Some(&resource), "foo", &[("Foo", &number.to_string())]);
    }
    assert!(resource.select(&lines(&[("Foo", "first")])).is_some());
    let last = lines(&[("Foo", "last")]);
    let newest = stored("foo", &[("Foo", "last")]);
    let (resource, dropped) = Resource::with(Some(&resource), b"key", newest, &last, MOST);
    assert_eq!((resource.len(), dropped), (MOST, 1));
    assert!(resource.select(&lines(&[("Foo", "first")])).is_none());
}

#[test]
fn replacing_needs_the_very_answer_that_was_validated() {
    let one = added(None, "foo", &[("Foo", "1")]);
    let two = added(Some(&one), "foo", &[("Foo", "2")]);
    let old = one.newest().unwrap();
    let new = stored("foo", &[("Foo", "1")]);
    let replaced = two.replacing(&old, Some(new.clone())).unwrap();
    assert!(Arc::ptr_eq(&replaced.newest().unwrap(), &new) && replaced.len() == 2);
    assert!(replaced.replacing(&old, Some(old.clone())).is_none());
    assert!(one.replacing(&old, None).unwrap().len() == 0);
}

#[test]
fn what_was_given_is_counted_to_the_byte_and_handed_on() {
    let account = Account::new(1 << 20);
    let body = || Body::new(vec![Bytes::from_static(b"four")], Charge::none(&account));
    let answer = stored("", &[]).answer.clone();
    let one = Stored::new(answer.clone(), body(), Charge::none(&account));
    // Two wholes, a 304, a range, and several ranges with their heads.
    for bytes in [4, 4, 0, 3, 9] {
        one.count_hit(bytes);
    }
    assert_eq!((one.hits(), one.given_bytes()), (5, 20));
    let next = Stored::given(answer, body(), None, Charge::none(&account), Given { hits: 5, bytes: 1000 });
    next.count_hit(4);
    assert_eq!(next.given_so_far(), Given { hits: 6, bytes: 1004 });
}
