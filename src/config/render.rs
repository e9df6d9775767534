//! Problems as text for people and as JSON for programs.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::problem::{Place, Problem, Problems, Severity};

/// Each problem with its source line and a caret, a blank line between two.
pub(super) fn text(problems: &Problems, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH);
    let blocks: Vec<String> =
        problems.list().into_iter().map(|problem| renderer.render(&[group(problems, problem)])).collect();
    blocks.join("\n\n")
}

/// A list of objects, one for each problem.
pub(super) fn json(problems: &Problems) -> Value {
    problems.list().into_iter().map(|problem| object(problems, problem)).collect()
}

fn group<'p>(problems: &'p Problems, problem: &'p Problem) -> Group<'p> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(problem.message.as_str()));
    for snippet in snippets(problems, problem) {
        group = group.element(snippet);
    }
    match &problem.hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(hint.as_str())),
        None => group,
    }
}

/// One snippet for each file that has a part in the problem.
fn snippets<'p>(problems: &'p Problems, problem: &'p Problem) -> Vec<Snippet<'p, Annotation<'p>>> {
    let mut snippets = Vec::new();
    let mut related = problem.related.as_ref().map(|(place, label)| (*place, label.as_str()));
    if let Some(place) = problem.place
        && let Some(mut snippet) = snippet(problems, place, AnnotationKind::Primary, &problem.label)
    {
        if let Some((other, label)) = related
            && other.source == place.source
        {
            snippet = snippet.annotation(AnnotationKind::Context.span(other.start..other.end).label(label));
            related = None;
        }
        snippets.push(snippet);
    }
    if let Some((place, label)) = related {
        snippets.extend(snippet(problems, place, AnnotationKind::Context, label));
    }
    snippets
}

fn snippet<'p>(
    problems: &'p Problems,
    place: Place,
    kind: AnnotationKind,
    label: &'p str,
) -> Option<Snippet<'p, Annotation<'p>>> {
    let source = problems.source(place.source)?;
    let annotation = kind.span(place.start..place.end);
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    Some(Snippet::source(source.text.as_str()).path(source.name.as_str()).annotation(annotation))
}

fn object(problems: &Problems, problem: &Problem) -> Value {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut object = json!({ "severity": severity, "message": problem.message });
    if let Some(place) = problem.place {
        merge(&mut object, position(problems, place));
    }
    if !problem.label.is_empty() {
        object["label"] = json!(problem.label);
    }
    if let Some(hint) = &problem.hint {
        object["hint"] = json!(hint);
    }
    if let Some((place, label)) = &problem.related {
        let mut related = position(problems, *place);
        related["label"] = json!(label);
        object["related"] = related;
    }
    object
}

fn position(problems: &Problems, place: Place) -> Value {
    let (line, column) = problems.position(place);
    let (end_line, end_column) = problems.position(Place { start: place.end, ..place });
    let file = problems.source(place.source).map(|source| source.name.as_str());
    json!({ "file": file, "line": line, "column": column, "end_line": end_line, "end_column": end_column })
}

fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// Columns that a rendered line may take; longer source lines are cut around the caret.
const WIDTH: usize = 140;
