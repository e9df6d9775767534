//! What came of a step, and what of it is not as the case has it.

use super::{
    ask::Ask,
    case::{Step, words},
};
use crate::support::*;

/// What came of a step.
pub struct Outcome<'a> {
    pub ask: &'a Ask,
    /// What `explain` said before.
    pub foretold: Option<String>,
    /// The statuses of interim answers, if they could be seen.
    pub interim: Option<Vec<u16>>,
    /// The final one, unless it was cut.
    pub answer: Option<Answer>,
    /// What the backend got.
    pub reached: &'a [Request],
    /// The bodies that it had given before.
    pub given: &'a [String],
}

impl Outcome<'_> {
    pub fn differences(&self, step: &Step, in_place: impl Fn(&str) -> String) -> Vec<String> {
        let wanted = words(&in_place(&step.outcome));
        let (verdict, status) = wanted[0].split_once(' ').unwrap_or((&wanted[0], ""));
        let Some(answer) = &self.answer else {
            return if verdict == "cut" { vec![] } else { vec![format!("wanted {}: it was cut", step.outcome)] };
        };
        let mut wrong = self.verdict(verdict, answer);
        let status = if status.is_empty() && self.comes_from_store(verdict) { "200" } else { status };
        if !status.is_empty() && status != answer.status.to_string() {
            wrong.push(format!("status {}", answer.status));
        }
        for word in &wanted[1..] {
            wrong.extend(self.detail(word, answer));
        }
        if let Some(last) = self.reached.last() {
            let seen = step.seen.iter().filter_map(|word| field_differs(&in_place(word), &last.fields));
            wrong.extend(seen.map(|what| format!("the backend got {what}")));
        } else if !step.seen.is_empty() {
            wrong.push("the backend got nothing".into());
        }
        let told = format!("wanted {:?}; {}", step.outcome, answer.cache_status());
        wrong.into_iter().map(|what| format!("{what} ({told})")).collect()
    }

    fn comes_from_store(&self, verdict: &str) -> bool {
        matches!(verdict, "hit" | "stale" | "refreshed")
    }

    /// What the backend saw of this step decides, not what the gateway says of itself; then both have to agree.
    fn verdict(&self, verdict: &str, answer: &Answer) -> Vec<String> {
        let asked = !self.reached.is_empty();
        let own = |request: &Request, name: &str| request.has(name) && !self.ask.names(name);
        let conditional =
            self.reached.iter().any(|request| own(request, "if-none-match") || own(request, "if-modified-since"));
        let mut wrong = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        match verdict {
            "hit" | "unasked" => must(!asked, "the backend was asked"),
            "miss" => must(asked && !conditional, "the backend was not asked for the whole"),
            "validated" => must(conditional, "the backend was not asked with a condition"),
            "asked" | "stale" | "refreshed" => must(asked, "the backend was not asked"),
            "cut" => must(false, "it was whole"),
            other => panic!("{other:?} is no verdict"),
        }
        if self.comes_from_store(verdict) && answer.status == 200 && self.ask.is_plain() {
            must(self.given.contains(&answer.text()), "its body was never given before");
        }
        let said = answer.cache_status();
        // RFC 9211 §2: answers of the gateway's own and those that pass beside the cache have none.
        let members = sfv::Parser::parse_list(said.as_bytes()).map_or(0, |list| list.len());
        must(members == 1 || said.is_empty(), "Cache-Status is not one member of a list");
        must(answer.is_hit() == matches!(verdict, "hit" | "refreshed") || verdict == "unasked", "Cache-Status differs");
        // A reason has one word everywhere.
        if let (Some(foretold), Some(word)) = (&self.foretold, said.split("; ").nth(1)) {
            must(foretold == word, &format!("explain foretold {foretold}"));
        }
        wrong
    }

    fn detail(&self, word: &str, answer: &Answer) -> Option<String> {
        let (name, value) = word.split_once(' ').unwrap_or((word, ""));
        let got = match name {
            ":body" => answer.text(),
            ":size" => answer.body.len().to_string(),
            ":interim" => format!("{:?}", self.interim.as_ref()?),
            ":trailer" => answer.trailers.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
            _ => return field_differs(word, &answer.fields),
        };
        (got != value).then(|| format!("{name} {got:?}"))
    }
}

/// `Name: value`, where the value may be `*` or end with it, or be `>=number`; `-Name` for one that must not be there.
fn field_differs(word: &str, fields: &[(String, String)]) -> Option<String> {
    let all = |name: &str| {
        let same = fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1.as_str());
        same.collect::<Vec<_>>()
    };
    if let Some(name) = word.strip_prefix('-') {
        return (!all(name).is_empty()).then(|| format!("{name}: {}", all(name).join(", ")));
    }
    let (name, value) = word.split_once(':').unwrap_or_else(|| panic!("{word:?} is no field"));
    let (value, got) = (value.trim(), all(name).join(", "));
    let holds = match (value.strip_suffix('*'), value.strip_prefix(">=")) {
        (Some(start), _) => !all(name).is_empty() && got.starts_with(start),
        (_, Some(least)) => got.parse::<u64>().is_ok_and(|got| got >= least.parse().unwrap()),
        _ => !all(name).is_empty() && got == value,
    };
    (!holds).then(|| format!("{name}: {got:?}, not {value}"))
}
