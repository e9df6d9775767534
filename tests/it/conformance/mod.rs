//! Somebody else's examiner: the caching rules as the RFCs tell them, case by case, with the verdicts in
//! `tests/conformance`, so that a change of any shows as a diff. One gateway and one backend for all cases at once.

mod ask;
mod backend;
mod case;
mod dates;
mod outcome;
mod way;

use std::time::Duration;

use ask::Ask;
use backend::Stage;
use case::Case;
use futures_util::{StreamExt, stream};
use outcome::Outcome;
use way::{Doors, Way};

use crate::support::*;

/// The first segment of a case's path chooses one.
const ROUTES: &str = r#"
upstream = "main"

DOORS

[cache]
targeted_fields = "Tidegate-Cache-Control"

[upstreams.main]
servers = "ORIGIN"
answer_timeout = "1s"

[[routes]]
match.path = "/cookies"
cache.set_cookie = "store"

[[routes]]
match.path = "/whole"
cache.range_fill = "whole"

[[routes]]
match.path = "/ignore"
cache.client_cache_control = "ignore"

[[routes]]
match.path = "/error"
cache.stale_if_error = "1h"

[[routes]]
match.path = "/refresh"
cache.stale_while_revalidate = "1h"

[[routes]]
match.path = "/default"
cache.default_ttl = "1h"

[[routes]]
match.path = "/unguessed"
cache.heuristic = false

[[routes]]
match.path = "/capped"
cache.heuristic = "1m"

[[routes]]
match.path = "/shaped"
cache.key = { query = { ignore = ["utm_*"] }, sort_query = true, fields = ["X-Country"] }
"#;

/// Cases at a time.
const CASES_AT_A_TIME: usize = 24;

#[tokio::test]
async fn every_case_has_its_verdict() {
    let stage = Stage::default();
    let origin = Origin::new().otherwise(stage.script()).start().await;
    let doors = Doors::open(&ROUTES.replace("ORIGIN", &origin.address)).await;
    let cases = case::all();
    assert!(cases.len() > 250, "only {} cases", cases.len());
    // Each on every way, on a path of its own.
    let all: Vec<_> = Way::ALL.iter().flat_map(|way| cases.iter().map(|case| (case.on(*way), *way))).collect();
    let examined = stream::iter(&all).map(|(case, way)| examine(&doors, *way, &stage, case));
    let examined = examined.buffered(CASES_AT_A_TIME);
    let differences = examined.collect::<Vec<_>>().await.concat();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Plays one case and tells what was not as it stands there.
async fn examine(doors: &Doors, way: Way, stage: &Stage, case: &Case) -> Vec<String> {
    let now = dates::now();
    let (scheme, port) = way.scheme();
    let in_place = |text: &str| {
        let text = dates::filled(text, now).replace("{path}", &case.path);
        text.replace("{scheme}", scheme).replace("{port}", port)
    };
    // Before this step.
    let mut given: Vec<String> = Vec::new();
    let mut differences = Vec::new();
    for (index, step) in case.steps.iter().enumerate() {
        if let Some(wait) = step.wait_ms {
            // The pace.
            tokio::time::sleep(Duration::from_millis(wait)).await;
            continue;
        }
        if !step.backend.is_empty() {
            stage.of(&case.path, |scene| scene.says = step.backend.iter().map(|line| in_place(line)).collect());
        }
        let before = stage.of(&case.path, |scene| scene.seen.len());
        let ask = Ask::of(&in_place(&step.ask), &case.path);
        let foretold = ask.foretold(&doors.gateway, scheme).await;
        let (interim, answer) = ask.send(doors, way).await;
        if step.outcome.starts_with("refreshed") {
            eventually(&case.title, async || stage.of(&case.path, |s| (s.seen.len() > before).then_some(()))).await;
        }
        let scene = stage.of(&case.path, |scene| scene.clone());
        let outcome = Outcome { ask: &ask, foretold, interim, answer, reached: &scene.seen[before..], given: &given };
        let wrong = outcome.differences(step, in_place);
        differences.extend(wrong.into_iter().map(|what| format!("{}: step {}: {what}", case.title, index + 1)));
        given = scene.given;
    }
    differences
}
