//! How long a request waits for the head of another's fetch, and how those who wait stop waiting: not all at once.
//!
//! A head that does not come within [`FOLLOW_MAX`] belongs to a long-poll, to a slow page or to a backend that hangs, and
//! nobody can tell which. If all who wait went on alone, the slow page would have its backend overrun; if none did, the
//! others would be served one after another. So they go in doubling numbers: one at first, all after eleven seconds, and
//! whatever one of them brings that others may have is theirs too.

use std::time::Duration;

/// How old a fetch without a head gets before any of those who wait for it goes on alone. Backends that take longer are
/// rare for what can be stored, and the rule for long-polls.
pub const FOLLOW_MAX: Duration = Duration::from_secs(5);

/// From one number of those who may go to the next, which is about twice as large.
pub(super) const STEP: Duration = Duration::from_secs(1);

/// How many of those who wait may have gone on alone, when a fetch has been without a head for so long; `None`: all.
pub(super) fn let_go(waited: Duration) -> Option<usize> {
    let Some(over) = waited.checked_sub(FOLLOW_MAX) else { return Some(0) };
    let doublings = over.as_secs() / STEP.as_secs();
    (doublings < DOUBLINGS).then(|| (2 << doublings) - 1)
}

/// Then all may go: 63 have gone before.
const DOUBLINGS: u64 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_first_nobody_goes_then_a_few_then_all() {
        let at = |millis| let_go(Duration::from_millis(millis));
        let gone: Vec<_> = (4..12).map(|seconds| at(seconds * 1000)).collect();
        assert_eq!(
            gone,
            [Some(0), Some(1), Some(3), Some(7), Some(15), Some(31), Some(63), None],
            "by whole seconds from the fourth"
        );
        assert_eq!((at(4999), at(5999), at(10_999)), (Some(0), Some(1), Some(63)));
        assert_eq!(let_go(Duration::MAX), None);
    }
}
