//! When the next question is asked.
//!
//! Closed loop: when the last answer has come. Open loop: at a constant rate, whatever the answers do; a question that
//! has to wait for a free connection is late, and its latency counts from when it was meant to be asked. So a stall of
//! the gateway is seen by all the questions that it would have met (no coordinated omission).

use std::{
    cell::Cell,
    io,
    time::{Duration, Instant},
};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::{io::AsyncReadExt, net::unix::pipe, sync::Semaphore};

pub struct Pace {
    open: Option<Open>,
    /// Questions that may be asked.
    limit: u64,
    asked: Cell<u64>,
}

struct Open {
    first: Cell<Instant>,
    interval: Duration,
    due: Semaphore,
}

impl Pace {
    /// `rate` in questions a second makes it an open loop; `limit` is how many there are in all.
    pub fn new(rate: Option<u32>, limit: Option<u64>) -> Self {
        let open = rate.map(|rate| Open {
            first: Cell::new(Instant::now()),
            interval: Duration::from_secs(1) / rate,
            due: Semaphore::new(0),
        });
        Self { open, limit: limit.unwrap_or(u64::MAX), asked: Cell::new(0) }
    }

    /// Waits until a question is due, for ever if there are no more; from when its latency counts.
    pub async fn next(&self) -> Instant {
        if let Some(open) = &self.open {
            open.due.acquire().await.expect("the semaphore is never closed").forget();
        }
        let index = self.asked.replace(self.asked.get() + 1);
        if index >= self.limit {
            return std::future::pending().await;
        }
        match &self.open {
            Some(open) => open.first.get() + open.interval * index as u32,
            None => Instant::now(),
        }
    }

    /// Since when the questions are due that nobody has been free to ask.
    pub fn overdue(&self) -> Vec<Instant> {
        let Some(open) = &self.open else { return Vec::new() };
        let due = |index: u64| open.first.get() + open.interval * index as u32;
        let now = Instant::now();
        (self.asked.get()..self.limit).map(due).take_while(|due| *due < now).collect()
    }

    /// Makes questions due; never ends.
    pub async fn drive(&self) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let timer =
            rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let period = Timespec { tv_sec: 0, tv_nsec: open.interval.as_nanos() as i64 };
        let every = Itimerspec { it_interval: period, it_value: period };
        rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
        open.first.set(Instant::now() + open.interval);
        // To tokio a timer is like the reading end of a pipe: readable when it has expired, then eight bytes.
        let mut timer = pipe::Receiver::from_owned_fd_unchecked(timer)?;
        loop {
            let mut expirations = [0; 8];
            timer.read_exact(&mut expirations).await?;
            open.due.add_permits(u64::from_ne_bytes(expirations) as usize);
        }
    }
}
