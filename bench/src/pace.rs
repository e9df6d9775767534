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

pub enum Pace {
    Closed,
    Open(Open),
}

pub struct Open {
    first: Cell<Instant>,
    interval: Duration,
    due: Semaphore,
    asked: Cell<u32>,
}

impl Pace {
    /// `rate` in questions a second.
    pub fn new(rate: Option<u32>) -> Self {
        rate.map_or(Self::Closed, |rate| {
            Self::Open(Open {
                first: Cell::new(Instant::now()),
                interval: Duration::from_secs(1) / rate,
                due: Semaphore::new(0),
                asked: Cell::new(0),
            })
        })
    }

    /// Waits until a question is due; from when its latency counts.
    pub async fn next(&self) -> Instant {
        let Self::Open(open) = self else { return Instant::now() };
        open.due.acquire().await.expect("the semaphore is never closed").forget();
        let index = open.asked.replace(open.asked.get() + 1);
        open.first.get() + open.interval * index
    }

    /// Makes questions due; never ends.
    pub async fn drive(&self) -> io::Result<()> {
        let Self::Open(open) = self else { return std::future::pending().await };
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
