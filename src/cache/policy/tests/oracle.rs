//! The rules against the crate `http-cache-semantics`, which reads RFC 7234 and was written by others.
//!
//! Both say whether a later request may be given a stored answer. They must agree wherever both speak; where they do not,
//! [`DIFFERENCES`] names the case and the sentence that decides it. Each difference has an example in which nothing else
//! differs, so that none stays in the list without need.

use std::time::{Duration, SystemTime};

use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use proptest::prelude::*;

use super::case::{Case, cases};
use crate::{cache::testing::PRESENT, wire::Fields};

/// Where the two may part.
struct Difference {
    name: &'static str,
    /// Why ours is right, or may be as it is.
    decided_by: &'static str,
    ours: Ours,
    applies: fn(&Case) -> bool,
    example: fn() -> Case,
}

/// What ours does beside theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ours {
    /// It asks the backend in some of these cases, and never reuses where theirs asks.
    Asks,
    /// It reuses in some of these cases, and never asks where theirs reuses.
    Reuses,
    /// Either.
    Differs,
}

fn fresh() -> Case {
    Case { status: 200, control: vec!["max-age=100"], ..Case::default() }
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "any final status with explicit freshness is stored",
        decided_by: "RFC 9111 §3: \"the response status code is final\"; being understood is asked for with must-understand only",
        ours: Ours::Reuses,
        applies: |case| matches!(case.status, 299 | 500 | 503),
        example: || fresh().but(|case| case.status = 299),
    },
    Difference {
        name: "must-understand is known",
        decided_by: "RFC 9111 §5.2.2.3: it lifts no-store for a status whose requirements are understood, and else forbids to store",
        ours: Ours::Differs,
        applies: |case| case.says("must-understand"),
        example: || fresh().but(|case| case.control.extend(["no-store", "must-understand"])),
    },
    Difference {
        name: "names of directives have no case",
        decided_by: "RFC 9111 §5.2: \"Cache directives are identified by a token, to be compared case-insensitively\"",
        ours: Ours::Differs,
        applies: |case| case.says("Max-Age"),
        example: || fresh().but(|case| case.control = vec!["Max-Age=100"]),
    },
    Difference {
        name: "a comma in a quoted string divides nothing",
        decided_by: "RFC 9111 §5.2: a directive's argument may be a quoted-string (RFC 9110 §5.6.4)",
        ours: Ours::Reuses,
        applies: |case| case.says("x=\"a, no-store, b\""),
        example: || fresh().but(|case| case.control.push("x=\"a, no-store, b\"")),
    },
    Difference {
        name: "of two values the smaller counts",
        decided_by: "RFC 9111 §4.2.1: \"either the first occurrence should be used or the response should be considered stale\"; ours is \
                     never longer than the first",
        ours: Ours::Differs,
        applies: |case| {
            let count = |word: &str| case.control.iter().filter(|directive| directive.starts_with(word)).count();
            ["max-age", "s-maxage", "no-cache", "private", "x"].iter().any(|word| count(word) > 1)
        },
        example: || fresh().but(|case| case.control.push("max-age=50")).but(|case| case.elapsed = 50),
    },
    Difference {
        name: "max-age without a number is stale",
        decided_by: "RFC 9111 §4.2.1: \"Caches are encouraged to consider responses that have invalid freshness information … to be stale\"",
        ours: Ours::Asks,
        applies: |case| case.control.contains(&"max-age"),
        example: || fresh().but(|case| (case.control, case.fields) = (vec!["max-age"], vec![("Expires", "@100")])),
    },
    Difference {
        name: "a number that is too large is the largest",
        decided_by: "RFC 9111 §1.2.2: \"the cache MUST consider the value to be 2147483648 … or the greatest positive integer\"",
        ours: Ours::Reuses,
        applies: |case| case.says("max-age=9999"),
        example: || fresh().but(|case| case.control = vec!["max-age=99999999999999999999"]),
    },
    Difference {
        name: "a qualified no-cache or private is about some fields only",
        decided_by: "RFC 9111 §5.2.2.4, §5.2.2.7: the qualified form limits the directive to the listed fields",
        ours: Ours::Reuses,
        applies: |case| case.says("no-cache=") || case.says("private="),
        example: || fresh().but(|case| case.control.push("no-cache=\"x\"")),
    },
    Difference {
        name: "proxy-revalidate forbids the stale only",
        decided_by: "RFC 9111 §5.2.2.8: \"once the response has become stale\"",
        ours: Ours::Differs,
        applies: |case| case.says("proxy-revalidate"),
        example: || fresh().but(|case| case.control.push("proxy-revalidate")),
    },
    Difference {
        name: "s-maxage and no-cache forbid the stale",
        decided_by: "RFC 9111 §5.2.2.10: s-maxage \"incorporates the semantics of the proxy-revalidate response directive\"; §5.2.2.4",
        ours: Ours::Asks,
        applies: |case| case.asks("max-stale") && (case.says("s-maxage") || case.says("no-cache")),
        example: || {
            fresh().but(|case| case.control.push("no-cache")).but(|case| case.again_control = vec!["max-stale"])
        },
    },
    Difference {
        name: "max-stale is reached with equality",
        decided_by: "RFC 9111 §5.2.1.2: \"exceeded its freshness lifetime by no more than the specified number of seconds\"",
        ours: Ours::Reuses,
        applies: |case| case.asks("max-stale="),
        example: || fresh().but(|case| case.again_control = vec!["max-stale=50"]).but(|case| case.elapsed = 150),
    },
    Difference {
        name: "of two values of max-stale the smaller counts",
        decided_by: "RFC 9111 §5.2.1.2 and §4.2.1: what the request says twice is taken in the careful sense",
        ours: Ours::Differs,
        applies: |case| case.again_control.iter().filter(|word| word.starts_with("max-stale")).count() > 1,
        example: || {
            fresh().but(|case| case.again_control = vec!["max-stale", "max-stale=50"]).but(|case| case.elapsed = 1000)
        },
    },
    Difference {
        name: "what never was fresh is neither stored nor given for the sake of max-stale",
        decided_by: "RFC 9111 §3: storing is never required; an answer that says nothing of its freshness has no staleness to count",
        ours: Ours::Asks,
        applies: |case| {
            let says_a_lifetime = case.says("max-age") || case.says("s-maxage") || case.has("Expires");
            let has_validator = case.has("ETag") || case.has("Last-Modified");
            case.asks("max-stale") && !(says_a_lifetime && has_validator)
        },
        example: || Case { status: 200, again_control: vec!["max-stale"], ..Case::default() },
    },
    Difference {
        name: "Date tells an age",
        decided_by: "RFC 9111 §4.2.3: \"apparent_age = max(0, response_time - date_value)\"",
        ours: Ours::Asks,
        applies: |case| case.fields.contains(&("Date", "@-40")),
        example: || fresh().but(|case| case.fields = vec![("Date", "@-40")]).but(|case| case.elapsed = 99),
    },
    Difference {
        name: "the first member of a list of ages counts",
        decided_by: "RFC 9111 §5.1: \"the first value should be used\"",
        ours: Ours::Asks,
        applies: |case| case.fields.contains(&("Age", "30, 60")),
        example: || fresh().but(|case| case.fields = vec![("Age", "30, 60")]).but(|case| case.elapsed = 99),
    },
    Difference {
        name: "the obsolete layouts of dates are read",
        decided_by: "RFC 9110 §5.6.7: \"MUST accept all three HTTP-date formats\"",
        ours: Ours::Reuses,
        applies: |case| case.fields.iter().any(|(_, value)| value.contains("06-Nov-44")),
        example: || Case {
            status: 200,
            fields: vec![("Expires", "Sunday, 06-Nov-44 08:49:37 GMT")],
            ..Case::default()
        },
    },
    Difference {
        name: "Pragma in an answer means nothing",
        decided_by: "RFC 9111 §5.4: \"Because the meaning of \\\"Pragma: no-cache\\\" in responses was never specified\"",
        ours: Ours::Reuses,
        applies: |case| case.has("Pragma") && case.control.is_empty(),
        example: || Case { status: 200, fields: vec![("Pragma", "no-cache"), ("Expires", "@100")], ..Case::default() },
    },
    Difference {
        name: "Pragma in a request counts without Cache-Control only",
        decided_by: "RFC 9111 §5.4: \"when Cache-Control is also present in a request, Pragma is ignored\"",
        ours: Ours::Reuses,
        applies: |case| case.again.contains(&("Pragma", "no-cache")) && !case.again_control.is_empty(),
        example: || fresh().but(|case| (case.again, case.again_control) = (vec![("Pragma", "no-cache")], vec!["x"])),
    },
    Difference {
        name: "an identified client gets what may be shared with identified clients",
        decided_by: "RFC 9111 §3.5 speaks of storing the answer to such a request; ours holds it for giving one, too",
        ours: Ours::Asks,
        applies: |case| case.again.iter().any(|(name, _)| *name == "Authorization"),
        example: || fresh().but(|case| case.again = vec![("Authorization", "Basic eQ==")]),
    },
    Difference {
        name: "nothing is guessed where a request has cookies",
        decided_by: "RFC 9111 §4.2.2: a cache \"MAY assign a heuristic expiration time\"",
        ours: Ours::Asks,
        applies: |case| {
            case.asked.iter().chain(&case.again).any(|(name, _)| *name == "Cookie") && case.has("Last-Modified")
        },
        example: || Case {
            status: 200,
            asked: vec![("Cookie", "a=b")],
            fields: vec![("Last-Modified", "@-1005")],
            ..Case::default()
        },
    },
    Difference {
        name: "Set-Cookie does not forbid by itself",
        decided_by: "RFC 9111 §7.3: it \"does not inhibit caching\"; the route's own switch is not the RFC's",
        ours: Ours::Reuses,
        applies: |case| case.has("Set-Cookie"),
        example: || fresh().but(|case| case.fields = vec![("Set-Cookie", "a=b")]),
    },
    Difference {
        name: "Accept-Language is compared by its meaning",
        decided_by: "RFC 9111 §4.1: fields match where they can be normalised \"in ways that are known to have identical semantics\"",
        ours: Ours::Reuses,
        applies: |case| case.fields.contains(&("Vary", "Accept-Language")),
        example: || {
            fresh().but(|case| {
                case.fields = vec![("Vary", "Accept-Language")];
                case.asked = vec![("Accept-Language", "de, en")];
                case.again = vec![("Accept-Language", "en,DE")];
            })
        },
    },
];

impl Case {
    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// What the oracle says.
    fn is_reused_by_the_oracle(&self) -> bool {
        let headers = |fields: &Fields| {
            let line = |(name, value): (&[u8], &[u8])| {
                let name = http::HeaderName::from_bytes(name).unwrap();
                (name, http::HeaderValue::from_bytes(value).unwrap())
            };
            fields.iter().map(line).collect::<http::HeaderMap>()
        };
        let request = |fields: &Fields| {
            let mut request = http::Request::get("http://example.com/").body(()).unwrap();
            *request.headers_mut() = headers(fields);
            request
        };
        let mut response = http::Response::builder().status(self.status).body(()).unwrap();
        *response.headers_mut() = headers(&self.answer_fields());
        let answered = SystemTime::UNIX_EPOCH + Duration::from_secs(PRESENT);
        let options = CacheOptions { immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
        let policy = CachePolicy::new_options(&request(&self.request().fields), &response, answered, options);
        let later = request(&self.later_request().fields);
        let decided = policy.before_request(&later, answered + Duration::from_secs(self.elapsed));
        policy.is_storable() && matches!(decided, BeforeRequest::Fresh(_))
    }

    fn differences(&self) -> impl Iterator<Item = &'static Difference> {
        DIFFERENCES.iter().filter(|difference| (difference.applies)(self))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn ours_and_the_oracle_agree_but_for_the_named_differences(case in cases()) {
        let (ours, theirs) = (case.is_reused(), case.is_reused_by_the_oracle());
        let may = |which| case.differences().any(|known| known.ours == which || known.ours == Ours::Differs);
        prop_assert!(!ours || theirs || may(Ours::Reuses), "ours reuses, the oracle asks: {case:?}");
        prop_assert!(ours || !theirs || may(Ours::Asks), "ours asks, the oracle reuses: {case:?}");
    }
}

#[test]
fn every_difference_is_real_and_stands_alone() {
    for difference in DIFFERENCES {
        let case = (difference.example)();
        let others: Vec<_> = case.differences().map(|known| known.name).collect();
        assert!(others.contains(&difference.name), "{}: the example is another's: {others:?}", difference.name);
        let (ours, theirs) = (case.is_reused(), case.is_reused_by_the_oracle());
        assert_ne!(ours, theirs, "{} ({}): {case:?}", difference.name, difference.decided_by);
        let expected = if ours { Ours::Reuses } else { Ours::Asks };
        assert!(difference.ours == expected || difference.ours == Ours::Differs, "{}", difference.name);
    }
}
