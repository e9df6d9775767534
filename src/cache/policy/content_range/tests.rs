use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{Lines, response};

#[test]
fn content_range_is_read_strictly() {
    // RFC 9110 §14.4
    assert_eq!(parse(b"bytes 0-4/10"), Some((0..5, 10)));
    assert_eq!(parse(b"BYTES 9-9/10"), Some((9..10, 10)));
    for line in [
        &b""[..],
        b"bytes",
        b"bytes ",
        b"bytes 0-4",
        b"bytes 0-4/*",
        b"bytes */10",
        b"bytes 4-0/10",
        b"bytes 0-10/10",
        b"bytes=0-4/10",
        b"lines 0-4/10",
        b"bytes 0 -4/10",
        b"bytes 0-4/10 ",
        b"bytes 0/4-10",
        b"bytes -4/10",
        b"bytes 0-18446744073709551615/18446744073709551615",
        b"bytes 0-99999999999999999999/999999999999999999999",
    ] {
        assert_eq!(parse(line), None, "{}", line.escape_ascii());
    }
}

fn placed(fields: Lines<'_>) -> Option<(u64, Place)> {
    let (whole, place) = as_whole(&response(206, fields))?;
    assert!(whole.status == 200 && !whole.fields.contains("content-range"));
    assert_eq!(whole.fields.all("content-length").count(), 1);
    Some((announced_length(&whole)?, place))
}

#[test]
fn a_206_is_a_part_of_a_200() {
    // RFC 9111 §3.3
    let sure = |bytes| Place { bytes, sure: true };
    assert_eq!(placed(&[("Content-Range", "bytes 2-4/10"), ("Content-Length", "3")]), Some((10, sure(2..5))));
    assert_eq!(placed(&[("Content-Range", "bytes 2-4/10"), ("Transfer-Encoding", "chunked")]), Some((10, sure(2..5))));
    assert_eq!(placed(&[("Content-Range", "bytes 0-9/10"), ("Content-Length", "10")]), Some((10, sure(0..10))));
}

#[test]
fn where_range_and_length_disagree_the_first_position_and_the_bytes_count() {
    let odd = |bytes| Place { bytes, sure: false };
    assert_eq!(placed(&[("Content-Range", "bytes 4-9/10"), ("Content-Length", "5")]), Some((9, odd(4..9))));
    assert_eq!(placed(&[("Content-Range", "bytes 0-4/10"), ("Content-Length", "3")]), Some((10, odd(0..3))));
    assert_eq!(placed(&[("Content-Range", "bytes 0-4/10"), ("Content-Length", "8")]), Some((10, odd(0..8))));
    assert_eq!(placed(&[("Content-Range", "bytes 0-4/10"), ("Content-Length", "11")]), None);
    assert_eq!(placed(&[("Content-Range", "bytes 0-4/10"), ("Content-Length", "0")]), None);
}

#[test]
fn what_has_no_one_place_is_no_part() {
    for fields in [
        &[][..],
        &[("Content-Length", "3")],
        &[("Content-Range", "bytes 0-2/*"), ("Content-Length", "3")],
        &[("Content-Range", "bytes 0-2/9"), ("Content-Range", "bytes 0-2/9"), ("Content-Length", "3")],
        &[("Content-Range", "bytes 0-2/9"), ("Content-Type", "Multipart/ByteRanges; boundary=x")],
    ] {
        assert_eq!(placed(fields), None, "{fields:?}");
    }
    assert!(as_whole(&response(200, &[("Content-Range", "bytes 0-2/9")])).is_none());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(first in any::<u64>(), more in any::<u64>(), rest in any::<u64>()) {
        let last = first.saturating_add(more);
        let complete = last.saturating_add(rest);
        let line = format!("bytes {first}-{last}/{complete}");
        let expected = (last < complete).then(|| (first..last + 1, complete));
        prop_assert_eq!(parse(line.as_bytes()), expected);
    }

    #[test]
    fn places_lie_within_the_whole(range in "(bytes )?[0-9]{0,3}-[0-9]{0,3}/[0-9*]{0,3}|[^@]{0,20}", length in 0u64..2000) {
        if let Some((complete, place)) = placed(&[("Content-Range", &range), ("Content-Length", &length.to_string())]) {
            prop_assert!(place.bytes.start < place.bytes.end && place.bytes.end <= complete);
            prop_assert_eq!(place.bytes.end - place.bytes.start, length);
        }
    }
}
