//! One exchange, and a later request for the same thing; generated from words that occur and words that are wrong.

use proptest::{prelude::*, sample::select};

use crate::{
    cache::policy::{
        Exchange, Policy, Reuse, Wants, reuse, storable,
        testing::{Clock, get, guessing, lines, response},
    },
    wire::{Fields, RequestHead},
};

type Line = (&'static str, &'static str);

/// What was asked, what came, and what is asked again after a while.
#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    pub(super) status: u16,
    pub(super) asked: Vec<Line>,
    pub(super) fields: Vec<Line>,
    /// Of the answer; one line.
    pub(super) control: Vec<&'static str>,
    pub(super) again: Vec<Line>,
    /// Of the later request; one line.
    pub(super) again_control: Vec<&'static str>,
    /// Seconds between the answer and the later request.
    pub(super) elapsed: u64,
}

impl Case {
    pub(super) fn request(&self) -> RequestHead {
        get(&self.asked)
    }

    pub(super) fn later_request(&self) -> RequestHead {
        RequestHead { fields: with_control(&self.again, &self.again_control), ..get(&[]) }
    }

    pub(super) fn answer_fields(&self) -> Fields {
        with_control(&self.fields, &self.control)
    }

    /// Whether the later request is given the answer without a word to the backend.
    pub(super) fn is_reused(&self) -> bool {
        let clock = Clock::new();
        let (first, later) = (self.request(), self.later_request());
        let policy = Policy { heuristic: Some(std::time::Duration::MAX), ..guessing() };
        let exchange = Exchange { request: &first, policy: &policy, requested: clock.at(0), answered: clock.at(0) };
        let mut head = response(self.status, &[]);
        head.fields = self.answer_fields();
        let Ok(plan) = storable(&exchange, &head) else { return false };
        let wants = Wants::of(&later.fields);
        let may_share = !wants.authorization || plan.answer.shared_with_authorization;
        let age = plan.answer.age(clock.at(self.elapsed));
        let reuse = reuse(&plan.answer, &wants.directives(&later, true), &policy, age);
        plan.answer.vary.matches(&later.fields) && may_share && reuse == Reuse::Usable
    }

    /// A directive of the answer begins like this.
    pub(super) fn says(&self, word: &str) -> bool {
        self.control.iter().any(|directive| directive.starts_with(word))
    }

    /// A directive of the later request begins like this.
    pub(super) fn asks(&self, word: &str) -> bool {
        self.again_control.iter().any(|directive| directive.starts_with(word))
    }

    /// The answer has this line.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(own, _)| *own == name)
    }
}

/// Exchanges of all kinds, most of them nearly sound.
pub(super) fn cases() -> impl Strategy<Value = Case> {
    let some = |pool: &'static [&'static str], most| prop::collection::vec(select(pool), 0..=most);
    let (asked, again) = (picked(ASKED), picked(AGAIN));
    let answer = (select(STATUSES), some(CONTROL, 3), picked(FIELDS));
    (answer, asked, again, some(AGAIN_CONTROL, 2), select(ELAPSED)).prop_map(
        |((status, control, fields), asked, again, again_control, elapsed)| Case {
            status,
            asked,
            fields,
            control,
            again,
            again_control,
            elapsed,
        },
    )
}

/// At most one line of each name, each absent as often as not.
fn picked(pool: &'static [(&'static str, &'static [&'static str])]) -> impl Strategy<Value = Vec<Line>> {
    let choices: Vec<_> = pool.iter().map(|(name, values)| prop::option::of((Just(*name), select(*values)))).collect();
    choices.prop_map(|lines| lines.into_iter().flatten().collect())
}

fn with_control(fields: &[Line], control: &[&str]) -> Fields {
    let mut fields = lines(fields);
    if !control.is_empty() {
        fields.push("Cache-Control", control.join(", "));
    }
    fields
}

const STATUSES: &[u16] = &[200, 200, 200, 200, 203, 204, 206, 299, 301, 302, 304, 307, 404, 410, 500, 503];
const ELAPSED: &[u64] = &[0, 1, 49, 50, 51, 99, 100, 101, 149, 150, 1000, 10_000_000];
const CONTROL: &[&str] = &[
    "max-age=100",
    "max-age=100",
    "max-age=0",
    "max-age=50",
    "max-age=\"100\"",
    "max-age=100a",
    "max-age=-100",
    "max-age",
    "Max-Age=100",
    "max-age=99999999999999999999",
    "s-maxage=50",
    "s-maxage=200",
    "public",
    "private",
    "private=\"x\"",
    "no-store",
    "no-cache",
    "no-cache=\"x\"",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "x=\"max-age=0\"",
    "x=\"a, no-store, b\"",
    "x",
];
const FIELDS: &[(&str, &[&str])] = &[
    ("Date", &["@0", "@0", "@-40", "@40", "yesterday"]),
    ("Expires", &["@100", "@40", "@0", "@-100", "0", "Sunday, 06-Nov-44 08:49:37 GMT"]),
    ("Last-Modified", &["@-1005", "@-5", "@100", "yesterday"]),
    ("ETag", &["\"a\"", "W/\"a\""]),
    ("Age", &["0", "30", "500", "x", "30, 60"]),
    ("Vary", &["X", "x, Y", "*", "X, *", "Accept-Language"]),
    ("Pragma", &["no-cache"]),
    ("Set-Cookie", &["a=b"]),
];
const ASKED: &[(&str, &[&str])] = &[
    ("X", &["1"]),
    ("Authorization", &["Basic eA=="]),
    ("Cookie", &["a=b"]),
    ("Cache-Control", &["no-store", "max-age=0"]),
    ("Accept-Language", &["de, en"]),
];
const AGAIN: &[(&str, &[&str])] = &[
    ("X", &["1", "2"]),
    ("Authorization", &["Basic eQ=="]),
    ("Pragma", &["no-cache", "x"]),
    ("Accept-Language", &["de, en", "en,DE"]),
];
const AGAIN_CONTROL: &[&str] =
    &["no-cache", "max-age=60", "max-age=x", "min-fresh=20", "max-stale", "max-stale=50", "max-stale=1000", "x"];
