//! Which bytes of a representation are held, by position.

use std::ops::Range;

/// Ranges that are held: ascending, apart from each other, none of them empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs(Box<[Range<u64>]>);

impl Runs {
    /// The sum of ranges in any order; what touches or overlaps becomes one.
    pub(crate) fn of(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut ranges: Vec<Range<u64>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut runs: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match runs.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => runs.push(range),
            }
        }
        Self(runs.into())
    }

    /// The runs, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes held in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.iter().map(|run| run.end - run.start).sum()
    }

    /// Whether every byte of `wanted`, which is not empty, is held.
    pub(crate) fn cover(&self, wanted: &Range<u64>) -> bool {
        self.iter().any(|run| run.start <= wanted.start && wanted.end <= run.end)
    }

    /// What of `within` is not held, in order.
    pub(crate) fn gaps<'r>(&'r self, within: &Range<u64>) -> impl Iterator<Item = Range<u64>> + 'r {
        let Range { start, end } = *within;
        let mut from = start;
        let runs = self.0.iter().filter(move |run| run.end > start && run.start < end);
        let bounds = runs.map(|run| (run.start, run.end)).chain([(end, end)]);
        bounds.filter_map(move |(held_from, held_to)| {
            let gap = from..held_from.min(end);
            from = from.max(held_to);
            (!gap.is_empty()).then_some(gap)
        })
    }

    /// The one range that has everything of `within` that is not held; `None` if all is.
    pub(crate) fn missing(&self, within: &Range<u64>) -> Option<Range<u64>> {
        let mut gaps = self.gaps(within);
        let first = gaps.next()?;
        let end = gaps.last().map_or(first.end, |last| last.end);
        Some(first.start..end)
    }

    /// Where these bytes lie when the runs stand one behind the other; `None` if not all of them are held.
    pub(crate) fn place(&self, wanted: &Range<u64>) -> Option<Range<u64>> {
        let mut before = 0;
        for run in self.iter() {
            if run.start <= wanted.start && wanted.end <= run.end {
                let start = before + (wanted.start - run.start);
                return Some(start..start + (wanted.end - wanted.start));
            }
            before += run.end - run.start;
        }
        None
    }

    /// Without this run.
    pub(crate) fn without(&self, gone: &Range<u64>) -> Self {
        Self(self.iter().filter(|run| *run != gone).cloned().collect())
    }
}
