//! What holds for every exchange, whatever it says.

use std::time::Duration;

use proptest::prelude::*;

use super::case::{Case, cases};
use crate::{
    cache::policy::{
        Exchange, Plan, Policy, Reuse, Wants, reuse, storable,
        testing::{Clock, guessing, response},
    },
    wire::ResponseHead,
};

fn head(case: &Case) -> ResponseHead {
    ResponseHead { fields: case.answer_fields(), ..response(case.status, &[]) }
}

fn plan(case: &Case, clock: Clock, head: &ResponseHead) -> Option<Plan> {
    let policy = Policy { default_ttl: Some(Duration::from_secs(70)), store_set_cookie: true, ..guessing() };
    let request = case.request();
    let exchange = Exchange { request: &request, policy: &policy, requested: clock.at(0), answered: clock.at(0) };
    storable(&exchange, head).ok()
}

/// The prohibitions of RFC 9111 §3 and §4.1, said as plainly as can be.
fn is_forbidden(case: &Case) -> bool {
    let asked = |line: &(&str, &str)| case.asked.contains(line);
    let shared = ["public", "must-revalidate", "s-maxage"].iter().any(|word| case.says(word));
    let identified = case.asked.iter().any(|(name, _)| *name == "Authorization");
    let understood = !matches!(case.status, 299);
    let whole = |word: &str| case.control.contains(&word);
    matches!(case.status, 304)
        || whole("private")
        || (whole("no-store") && !case.says("must-understand"))
        || (case.says("must-understand") && !understood)
        || case.fields.iter().any(|(name, value)| *name == "Vary" && value.contains('*'))
        || (identified && !shared)
        || asked(&("Cache-Control", "no-store"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_any_rule_forbids_is_never_stored(case in cases()) {
        let kept = plan(&case, Clock::new(), &head(&case)).is_some();
        prop_assert!(!(kept && is_forbidden(&case)), "{case:?}");
    }

    #[test]
    fn a_targeted_prohibition_is_never_overruled(case in cases(), word in prop::sample::select(vec!["no-store", "private"])) {
        let mut head = head(&case);
        head.fields.push("CDN-Cache-Control", format!("max-age=1000, {word}, public, s-maxage=5"));
        prop_assert!(plan(&case, Clock::new(), &head).is_none());
    }

    #[test]
    fn age_and_freshness_never_go_back(case in cases(), mut times: Vec<u16>) {
        let clock = Clock::new();
        let Some(plan) = plan(&case, clock, &head(&case)) else { return Ok(()) };
        times.sort_unstable();
        let answer = &plan.answer;
        let later = case.later_request();
        let directives = Wants::of(&later.fields).directives(&later, true);
        let mut before: Option<(u64, i64, bool)> = None;
        for time in times {
            let age = answer.age(clock.at(u64::from(time)));
            let now = (age, answer.ttl(age), reuse(answer, &directives, &guessing(), age) == Reuse::Usable);
            if let Some((age, ttl, usable)) = before {
                prop_assert!(age <= now.0 && ttl >= now.1 && (usable || !now.2), "{case:?} at {time}: {before:?} {now:?}");
            }
            before = Some(now);
        }
    }

    #[test]
    fn an_answer_is_never_fresh_for_longer_than_it_says(case in cases()) {
        let Some(plan) = plan(&case, Clock::new(), &head(&case)) else { return Ok(()) };
        let most = case.control.iter().filter_map(|word| word.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
        let Some(most) = most.max().filter(|_| !case.says("s-maxage")) else { return Ok(()) };
        prop_assert!(plan.answer.lifetime <= most, "{case:?}: {}", plan.answer.lifetime);
    }
}
