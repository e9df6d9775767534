//! The index against a plain list.

use proptest::prelude::*;

use super::*;
use crate::cache::{
    account::{Account, Charge},
    key,
    policy::testing::{answer, get},
    stored::{Body, Stored},
};
use crate::wire::Scheme;

fn key_of(authority: &str, target: &str, behind: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    key::build(&mut key, Scheme::Http, authority, target);
    key.extend_from_slice(behind);
    key
}

fn resource(key: &[u8], tags: &str, groups: &str) -> Entry {
    let fields = [("Cache-Control", "max-age=60"), ("Cache-Tag", tags), ("Cache-Groups", groups)];
    let account = Account::new(0);
    let body = Body::new(Vec::new(), Charge::none(&account));
    let stored = Stored::new(Arc::new(answer(&fields)), body, Charge::none(&account));
    Entry::Resource(Arc::new(Resource::with(None, key, stored, &get(&[]).fields, 9).0))
}

fn found(index: &Index, what: &Purged) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for shard in index.shards(what) {
        index.visit(shard, what, |resource| {
            keys.push(resource.key().to_vec());
            true
        });
    }
    keys.sort();
    keys
}

#[test]
fn a_url_is_all_that_stands_under_its_base_and_nothing_else() {
    let index = Index::new();
    let base = key_of("a", "/x", b"");
    let under = [base.clone(), key_of("a", "/x", b"\0proto:https"), key_of("a", "/x", b"\0\0\0\0\x01")];
    let others = [key_of("a", "/x/", b""), key_of("a", "/x\x01", b""), key_of("a", "/", b""), key_of("b", "/x", b"")];
    for key in under.iter().chain(&others) {
        index.put(&resource(key, "", ""));
    }
    let mut expected = under.to_vec();
    expected.sort();
    assert_eq!(found(&index, &Purged::Url(base.clone())), expected);
    assert_eq!(found(&index, &Purged::Url(under[1].clone())), [under[1].clone()]);
    assert_eq!(found(&index, &Purged::Prefix(base)).len(), 5);
    assert_eq!(found(&index, &Purged::All).len(), 7);
}

#[test]
fn a_group_means_something_in_its_origin_only() {
    // RFC 9875 §2
    let index = Index::new();
    let keys = [key_of("a", "/1", b""), key_of("a", "/2", b""), key_of("b", "/1", b"")];
    for key in &keys {
        index.put(&resource(key, "g", "\"g\""));
    }
    let group = |authority, name: &str| {
        let origin = origin_of(&key_of(authority, "/", b"")).to_vec();
        found(&index, &Purged::Group { origin, name: name.into() }).len()
    };
    assert_eq!((group("a", "g"), group("b", "g"), group("c", "g"), group("a", "h")), (2, 1, 0, 0));
    assert_eq!(found(&index, &Purged::Tag(b"g".to_vec())).len(), 3);
}

#[test]
fn what_has_been_replaced_takes_nothing_of_its_successor_with_it() {
    let index = Index::new();
    let key = key_of("a", "/", b"");
    let (old, new) = (resource(&key, "one two", ""), resource(&key, "two three", ""));
    index.put(&old);
    index.put(&new);
    let by_tag = |tag: &str| found(&index, &Purged::Tag(tag.into())).len();
    // The table tells of the old one only now.
    index.remove(&old);
    assert_eq!((by_tag("one"), by_tag("two"), by_tag("three")), (0, 1, 1));
    index.remove(&new);
    index.remove(&new);
    assert_eq!((by_tag("one"), by_tag("two"), by_tag("three")), (0, 0, 0));
    assert!(index.shards.iter().all(|shard| shard.lock().rows.is_empty() && shard.lock().labels.is_empty()));
}

#[test]
fn tables_that_have_grown_empty_are_made_smaller() {
    let index = Index::new();
    let rows: Vec<_> =
        (0..20_000).map(|n| resource(&key_of("a", &n.to_string(), b""), &format!("t{n} all"), "")).collect();
    rows.iter().for_each(|row| index.put(row));
    rows[1..].iter().for_each(|row| index.remove(row));
    let most = |of: fn(&Shard) -> usize| index.shards.iter().map(|shard| of(&shard.lock())).max().unwrap();
    assert!(most(|shard| shard.labels.capacity()) <= 64);
    assert!(most(|shard| shard.labels.values().map(HashSet::capacity).max().unwrap_or(0)) <= 64);
    assert_eq!(found(&index, &Purged::Tag(b"all".to_vec())).len(), 1);
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    ("[ab]", "/[xy]{0,2}", prop::sample::select(vec![&b""[..], b"\0r", b"\0s:1"]))
        .prop_map(|(authority, target, behind)| key_of(&authority, &target, behind))
}

proptest! {
    #[test]
    fn it_finds_what_looking_at_everything_finds(
        steps in prop::collection::vec((any::<bool>(), keys(), "[tuv ]{0,4}"), 0..60),
        prefix in keys(),
        length in 0usize..20,
    ) {
        let index = Index::new();
        let mut twin: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
        for (adds, key, tags) in steps {
            let groups = format!("\"{}\"", tags.trim());
            if adds {
                let new = resource(&key, &tags, &groups);
                index.put(&new);
                if let Some(old) = twin.insert(key, new) {
                    index.remove(&old);
                }
            } else if let Some(old) = twin.remove(&key) {
                index.remove(&old);
            }
        }
        let origin = origin_of(&prefix).to_vec();
        let cut = prefix[..length.min(prefix.len())].to_vec();
        let mut purges = vec![Purged::All, Purged::Url(base_of(&prefix).to_vec()), Purged::Url(prefix), Purged::Prefix(cut)];
        purges.extend(["t", "tu", "vv"].map(|tag| Purged::Tag(tag.into())));
        purges.extend(["t", "tu", "t u", ""].map(|name| Purged::Group { origin: origin.clone(), name: name.into() }));
        for what in purges {
            let strikes = |row: &&Entry| row.resource().unwrap().variants().iter().any(|stored| what.strikes(row.key(), &stored.answer));
            let expected: Vec<_> = twin.values().filter(strikes).map(|row| row.key().to_vec()).collect();
            prop_assert_eq!(found(&index, &what), expected, "{:?}", what);
        }
    }
}
