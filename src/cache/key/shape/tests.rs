use proptest::prelude::*;

use super::*;

fn shape(query: QueryShape, sort_query: bool) -> KeyShape {
    KeyShape { query, sort_query, fields: Vec::new() }
}

fn ignore(names: &[&str]) -> KeyShape {
    shape(QueryShape::Ignore(names.iter().map(|name| (*name).to_owned()).collect()), false)
}

fn keep(names: &[&str]) -> KeyShape {
    shape(QueryShape::Keep(names.iter().map(|name| (*name).to_owned()).collect()), false)
}

fn shaped(target: &str, shape: &KeyShape) -> String {
    let mut out = b"kept".to_vec();
    push_target(&mut out, target, shape);
    String::from_utf8(out).unwrap().strip_prefix("kept").unwrap().to_owned()
}

#[test]
fn without_a_shape_every_byte_counts() {
    for target in ["/", "/a?", "/a?&&b=&c;d&%61", "/a?b?c", "*"] {
        assert_eq!(shaped(target, &KeyShape::default()), target);
    }
}

#[test]
fn named_parameters_are_left_out() {
    let marks = ignore(&["utm_*", "fbclid"]);
    for (sent, key) in [
        ("/a", "/a"),
        ("/a?fbclid=1", "/a"),
        ("/a?fbclid", "/a"),
        ("/a?utm_source=x&b=1&utm_=y&fbclid=&c", "/a?b=1&c"),
        ("/a?fbclids=1&xutm_a=2", "/a?fbclids=1&xutm_a=2"),
        ("/a?FBCLID=1&utm%5Fa=2", "/a?FBCLID=1&utm%5Fa=2"),
        ("/a?b=utm_x&b=fbclid", "/a?b=utm_x&b=fbclid"),
        ("/a?b&&c&", "/a?b&c"),
        ("/a?&", "/a"),
        ("/a?", "/a"),
        ("/utm_a?b=1?utm_c=2", "/utm_a?b=1?utm_c=2"),
    ] {
        assert_eq!(shaped(sent, &marks), key, "{sent}");
    }
}

#[test]
fn what_a_backend_may_read_as_another_parameter_counts() {
    assert_eq!(shaped("/a?utm_x=1;callback=evil", &ignore(&["utm_*"])), "/a?utm_x=1;callback=evil");
    let paged = keep(&["page", "by_*"]);
    for counting in ["page=2", "PAGE=2", "%70age=2", "page[]=2", "pa.ge", "pa+ge=1", "x=1;page=2", "by_name", "BY_x=1"]
    {
        assert_eq!(shaped(&format!("/a?x=1&{counting}"), &paged), format!("/a?{counting}"));
    }
    assert_eq!(shaped("/a?x=1&pages=2&y=page&_=%20", &paged), "/a");
}

#[test]
fn a_query_can_be_ignored_altogether() {
    assert_eq!(shaped("/a?b=1;c=2&%64", &keep(&[])), "/a");
    assert_eq!(shaped("/a", &keep(&[])), "/a");
}

#[test]
fn sorting_goes_by_name_and_leaves_repeated_ones_in_order() {
    let sorted = shape(QueryShape::All, true);
    for (sent, key) in [
        ("/a?b=1&a=2", "/a?a=2&b=1"),
        ("/a?a=2&B=1&a=1&_=0", "/a?_=0&a=2&a=1&B=1"),
        ("/a?a=2&b&a&a=1", "/a?a=2&a&a=1&b"),
        ("/a?ab=1&a=2", "/a?a=2&ab=1"),
        ("/a?=2&=1", "/a?=2&=1"),
        ("/a?", "/a"),
    ] {
        assert_eq!(shaped(sent, &sorted), key, "{sent}");
    }
    let KeyShape { query, .. } = ignore(&["u*"]);
    assert_eq!(shaped("/a?u&c&b&u2=1", &shape(query, true)), "/a?b&c");
}

#[test]
fn what_backends_read_differently_is_not_sorted() {
    let sorted = shape(QueryShape::All, true);
    for [one, other] in [
        ["/?%61=1&a=2", "/?a=2&%61=1"],
        ["/?b=1&A=1&a=2", "/?b=1&a=2&A=1"],
        ["/?a.b=1&a_b=2", "/?a_b=2&a.b=1"],
        ["/?a[]=1&a[0]=2", "/?a[0]=2&a[]=1"],
        ["/?a=1;b=2&b=3", "/?b=3&a=1;b=2"],
        ["/?b+=1&b=2", "/?b=2&b+=1"],
    ] {
        assert_eq!([&*shaped(one, &sorted), &*shaped(other, &sorted)], [one, other]);
    }
    let KeyShape { query, .. } = ignore(&["%*"]);
    assert_eq!(shaped("/?b=1&%61=2&a=3", &shape(query, true)), "/?a=3&b=1", "what does not count hinders nothing");
}

#[test]
fn fields_count_as_sent_and_absent_is_not_empty() {
    let shape = KeyShape { fields: vec!["x-a".to_owned(), "x-b".to_owned()], ..KeyShape::default() };
    let key = |lines: &[(&str, &str)]| {
        let mut out = Vec::new();
        push_fields(&mut out, &lines.iter().copied().collect::<Fields>(), &shape);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(key(&[("X-A", "One"), ("Other", "2")]), "\0=x-a:One\0=x-b");
    assert_eq!(key(&[("x-b", ""), ("x-a", "1"), ("X-a", "2")]), "\0=x-a:1, 2\0=x-b:");
    assert_eq!(key(&[]), "\0=x-a\0=x-b");
}

/// The rules said plainly: a list of texts, filtered, sorted, joined.
fn plainly(target: &str, shape: &KeyShape) -> String {
    if *shape == KeyShape::default() {
        return target.to_owned();
    }
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let name = |parameter: &str| parameter.split('=').next().unwrap().to_owned();
    let matches = |name: &str, pattern: &String| match pattern.split_once('*') {
        Some((front, _)) => name.starts_with(front),
        None => name == pattern,
    };
    let any = |name: &str, list: &[String]| list.iter().any(|pattern| matches(name, pattern));
    let lower = |list: &[String]| list.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
    let mut parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
    parameters.retain(|parameter| match &shape.query {
        QueryShape::All => true,
        QueryShape::Ignore(list) => parameter.contains(';') || !any(&name(parameter), list),
        QueryShape::Keep(list) if list.is_empty() => false,
        QueryShape::Keep(list) => {
            parameter.contains(';')
                || name(parameter).contains(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
                || any(&name(parameter).to_lowercase(), &lower(list))
        }
    });
    let is_plain = |parameter: &&str| {
        let is_common = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !parameter.contains(';') && name(parameter).chars().all(is_common)
    };
    let is_twin = |one: &str, other: &str| one != other && one.to_lowercase() == other.to_lowercase();
    let has_twin = |one: &&str| parameters.iter().any(|other| is_twin(&name(one), &name(other)));
    if shape.sort_query && parameters.iter().all(is_plain) && !parameters.iter().any(has_twin) {
        parameters.sort_by_key(|parameter| name(parameter).to_lowercase());
    }
    if parameters.is_empty() { path.to_owned() } else { format!("{path}?{}", parameters.join("&")) }
}

fn any_shape() -> impl Strategy<Value = KeyShape> {
    let names = || prop::collection::vec("[abAB_%]{1,2}\\*?", 0..4);
    let query =
        prop_oneof![Just(QueryShape::All), names().prop_map(QueryShape::Ignore), names().prop_map(QueryShape::Keep),];
    (query, any::<bool>()).prop_map(|(query, sort)| shape(query, sort))
}

proptest! {
    #[test]
    fn shaping_is_what_it_is_said_to_be(target in "/a?[/?]?[abAB_%=&;?.]{0,24}", shape in any_shape()) {
        prop_assert_eq!(shaped(&target, &shape), plainly(&target, &shape));
    }

    #[test]
    fn a_shaped_target_stays_as_it_is(target in "/\\?[abAB_%=&;]{0,24}", shape in any_shape()) {
        let once = shaped(&target, &shape);
        prop_assert_eq!(shaped(&once, &shape), once);
    }

    #[test]
    fn different_fields_have_different_keys(one in prop::collection::vec("[:=, a]{0,3}", 0..3), other in prop::collection::vec("[:=, a]{0,3}", 0..3)) {
        let shape = KeyShape { fields: vec!["x".to_owned(), "y".to_owned()], ..KeyShape::default() };
        let key = |values: &[String]| {
            let fields: Fields = ["x", "y"].iter().zip(values).map(|(name, value)| (*name, value.as_str())).collect();
            let mut out = Vec::new();
            push_fields(&mut out, &fields, &shape);
            out
        };
        prop_assert_eq!(key(&one) == key(&other), one.iter().take(2).eq(other.iter().take(2)));
    }
}
