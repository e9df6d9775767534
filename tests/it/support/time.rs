//! Every wait has an end, and says what it waited for.

use std::{fmt::Display, future::Future, panic::Location, time::Duration};

/// How long a story waits for something that must happen; long, as the machine may be busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, or fails the story with the name of what never came.
#[track_caller]
pub fn within<F: Future>(what: impl Display, future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{place}: waited {:?} for {what}", PATIENCE),
        }
    }
}

/// Asks again and again until the answer is some; for what no event tells of.
#[track_caller]
pub fn eventually<T>(what: impl Display, mut ask: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    within(what, async move {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
}

/// Waits for `future`; `None` when it took too long.
pub(super) async fn in_time<F: Future>(future: F) -> Option<F::Output> {
    tokio::time::timeout(PATIENCE, future).await.ok()
}
