//! Notices when certificate files change, in a thread of its own.
//!
//! Directories are watched, not files: renames and the symlink swap of Kubernetes (`..data`) replace what a watched file
//! would be. Changes that come together are waited out, so that a certificate and its key are read as one; and every now and
//! then the files are read without being asked, for file systems that tell nothing.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};

use super::certificates::{Certificates, Reloaded};
use crate::{clock::Now, listen::metrics::Metrics};

/// The thread that keeps an eye on the files; ends soon after this is dropped. Nobody waits for it: a disk that hangs must
/// not hold the stop up.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    bell: SyncSender<()>,
}

/// One listener's certificates.
pub struct Watched {
    /// Index into `Config::listeners`.
    pub listener: usize,
    /// What to reload.
    pub certificates: Arc<Certificates>,
}

/// How patient and how anxious the watcher is.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Changes have settled when nothing more has come for this long.
    pub quiet: Duration,
    /// The files are read at least this often.
    pub poll: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { quiet: Duration::from_secs(1), poll: Duration::from_secs(30) }
    }
}

impl Watcher {
    /// Starts the thread. Where the system cannot watch, that is logged and the files are only polled.
    pub fn start(watched: Vec<Watched>, metrics: Metrics, rhythm: Rhythm) -> io::Result<Self> {
        for Watched { listener, certificates } in &watched {
            for (pair, end) in certificates.ends().into_iter().enumerate() {
                metrics.expiry_moved(*listener, pair, 0, end);
            }
        }
        // One place is enough: a second change before the first was looked at is the same news.
        let (bell, rung) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let mut patrol = Patrol { watched, metrics, rhythm, rung, stop: stop.clone(), eyes: eyes(bell.clone()) };
        thread::Builder::new().name("tidegate-certs".to_owned()).spawn(move || patrol.run())?;
        Ok(Self { stop, bell })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Full means that it is about to wake up anyway.
        let _ = self.bell.try_send(());
    }
}

/// The thread's own.
struct Patrol {
    watched: Vec<Watched>,
    metrics: Metrics,
    rhythm: Rhythm,
    rung: Receiver<()>,
    stop: Arc<AtomicBool>,
    eyes: Option<RecommendedWatcher>,
}

impl Patrol {
    fn run(&mut self) {
        let mut seen = BTreeSet::new();
        loop {
            // Again each time: a directory that was replaced is a new one to the system.
            self.open_eyes(&mut seen);
            // Also right after the start, since a file may have changed after it was loaded and before it was watched.
            for Watched { listener, certificates } in &self.watched {
                for change in certificates.reload(Now::read()) {
                    self.tell(*listener, certificates, &change);
                }
            }
            match self.rung.recv_timeout(self.rhythm.poll) {
                Ok(()) => self.settle(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.stop.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Waits until nothing more has come for a while, within bounds.
    fn settle(&self) {
        let latest = Instant::now() + self.rhythm.quiet * 10;
        while Instant::now() < latest && !self.stop.load(Ordering::Acquire) {
            if self.rung.recv_timeout(self.rhythm.quiet).is_err() {
                return;
            }
        }
    }

    fn open_eyes(&mut self, seen: &mut BTreeSet<PathBuf>) {
        let Some(eyes) = &mut self.eyes else { return };
        let directories: BTreeSet<PathBuf> =
            self.watched.iter().flat_map(|watched| watched.certificates.paths()).flat_map(directories).collect();
        for directory in directories {
            let result = eyes.watch(&directory, RecursiveMode::NonRecursive);
            // Told once: the polling goes on.
            if seen.insert(directory.clone())
                && let Err(error) = result
            {
                tracing::warn!("`{}` cannot be watched, only polled: {error}", directory.display());
            }
        }
    }

    fn tell(&self, listener: usize, certificates: &Certificates, change: &Reloaded) {
        self.metrics.reload(change.result.is_ok());
        self.metrics.expiry_moved(listener, change.pair, change.not_after.0, change.not_after.1);
        match &change.result {
            Ok(warnings) => {
                if let Some(files) = certificates.files().get(change.pair) {
                    tracing::info!("certificate `{}` was read again and is in use", files.certificate.display());
                }
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
            }
            Err(problem) => tracing::error!("{problem}; the certificate read before stays in use"),
        }
    }
}

fn eyes(bell: SyncSender<()>) -> Option<RecommendedWatcher> {
    let ring = move |event: notify::Result<notify::Event>| {
        let news = match event {
            // Reading the files is no news, and would ring for ever.
            Ok(event) => match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
                EventKind::Access(_) => false,
                // What is being written is news when it is whole. Only Linux tells that; a log in the same directory would
                // ring with every line.
                EventKind::Modify(ModifyKind::Data(_)) => cfg!(not(target_os = "linux")),
                _ => true,
            },
            Err(_) => true,
        };
        if news {
            let _ = bell.try_send(());
        }
    };
    notify::recommended_watcher(ring)
        .inspect_err(|error| tracing::warn!("certificate files cannot be watched, only polled: {error}"))
        .ok()
}

/// Where a change of this file would show: beside its name, and beside what its name leads to.
fn directories(file: &Path) -> impl Iterator<Item = PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let target = file.canonicalize().ok().map(|target| parent(&target));
    std::iter::once(parent(file)).chain(target)
}

#[cfg(test)]
mod tests;
