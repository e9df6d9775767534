//! Values made of other values: lists, names, alternatives, `"off"`.

use super::{
    kind::Kind,
    problem::{Problem, Problems},
    tree::{Data, Node},
    value::{Placed, Value, Wrong, wrong_kind},
    written::Written,
};

impl<T: Value> Value for Vec<Placed<T>> {
    fn kind() -> Kind {
        Kind::List(Box::new(T::kind()))
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Data::List(list) = &node.data else {
            wrong_kind(node, &Self::kind(), problems);
            return None;
        };
        let read: Vec<_> = list
            .iter()
            .filter_map(|node| Some(Placed { value: T::read(node, problems)?, place: Some(node.place) }))
            .collect();
        // The good elements go on to be looked at together; a list of which nothing is left would look empty.
        (!read.is_empty() || list.is_empty()).then_some(read)
    }

    fn write(&self) -> Written {
        Written::List(self.iter().map(|placed| placed.value.write()).collect())
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OneOrMany<T>(pub(super) Vec<Placed<T>>);

impl<T: Value> Value for OneOrMany<T> {
    fn kind() -> Kind {
        Kind::OneOrMany(Box::new(T::kind()))
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        if matches!(node.data, Data::List(_)) {
            return Vec::read(node, problems).map(Self);
        }
        if !T::kind().accepts(node) {
            wrong_kind(node, &Self::kind(), problems);
            return None;
        }
        Some(Self(vec![Placed { value: T::read(node, problems)?, place: Some(node.place) }]))
    }

    fn write(&self) -> Written {
        self.0.write()
    }
}

/// Two shapes that can be told apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Either<A, B> {
    This(A),
    That(B),
}

impl<A: Value, B: Value> Value for Either<A, B> {
    fn kind() -> Kind {
        Kind::Either(Box::new(A::kind()), Box::new(B::kind()))
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        if A::kind().accepts(node) {
            return A::read(node, problems).map(Self::This);
        }
        if B::kind().accepts(node) {
            return B::read(node, problems).map(Self::That);
        }
        wrong_kind(node, &Self::kind(), problems);
        None
    }

    fn write(&self) -> Written {
        match self {
            Self::This(value) => value.write(),
            Self::That(value) => value.write(),
        }
    }
}

/// A value, or `"off"`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OrOff<T>(pub(super) Option<T>);

impl<T: Value> Value for OrOff<T> {
    fn kind() -> Kind {
        Kind::Either(Box::new(T::kind()), Box::new(Kind::Choice(vec![(OFF, "")])))
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.data {
            Data::Text { text, .. } if text == OFF => Some(Self(None)),
            _ if T::kind().accepts(node) => T::read(node, problems).map(|value| Self(Some(value))),
            _ => {
                wrong_kind(node, &Self::kind(), problems);
                None
            }
        }
    }

    fn write(&self) -> Written {
        match &self.0 {
            Some(value) => value.write(),
            None => Written::Text(OFF.to_owned()),
        }
    }
}

/// What the names of a [`Names`] stand for.
pub(super) trait Named {
    /// Plural.
    const OF: &'static str;

    /// Whether a name will do.
    fn check_name(name: &str) -> Result<(), Wrong> {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Wrong::new("the name is empty or holds control characters", "expected a name"));
        }
        Ok(())
    }
}

/// A table whose keys are names, in file order. A value that could not be read keeps its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Names<T>(pub(super) Vec<(Placed<String>, Option<T>)>);

impl<T: Value + Named> Value for Names<T> {
    fn kind() -> Kind {
        Kind::Names { of: T::OF, kind: Box::new(T::kind()) }
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Data::Table(entries) = &node.data else {
            wrong_kind(node, &Self::kind(), problems);
            return None;
        };
        let mut names = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Err(wrong) = T::check_name(&entry.key) {
                problems.push(Problem::error(entry.key_place, wrong.message).label(wrong.label));
            }
            let name = Placed { value: entry.key.clone(), place: Some(entry.key_place) };
            names.push((name, T::read(&entry.value, problems)));
        }
        Some(Self(names))
    }

    fn write(&self) -> Written {
        let values = self.0.iter().filter_map(|(name, value)| Some((name.value.clone(), value.as_ref()?.write())));
        Written::Table(values.collect())
    }
}

/// The word that switches a thing off.
pub(super) const OFF: &str = "off";
