//! The hottest answers, handed on from one process to the next in a file.
//!
//! What is read is as old as the time that has passed by the clock on the wall, under its own key and for the same values of
//! the nominated fields; nothing is decided anew. A file is read once: it is taken away before the first answer of it is
//! given, as an older process's answers would bring back what was purged since. One that was written under another
//! configuration is not used, as its keys may mean something else. Of answers of which only parts are held, those are handed
//! on.

mod file;
mod record;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    file::{Found, Header, Records, Writer},
    record::Record,
};
use super::{
    Cache, Parts, Stored, blocks,
    stored::{Body, Resource},
};
use crate::{clock::Now, config};

/// What became of a snapshot's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Answers that are in the store now.
    pub answers: u64,
    /// Answers that would only have been in the way: stale, and nothing to validate them by.
    pub expired: u64,
    /// Answers that could not be read, or places of the file where it could not be told how many.
    pub damaged: u64,
    /// It was not read to its end, for want of room or time.
    pub cut_short: bool,
}

impl Cache {
    /// Writes the hottest answers to the file, within its bytes and its time. `fingerprint`: of the configuration by which
    /// keys are made. To be called when nothing is served any more.
    pub fn write_snapshot(&self, snapshot: &config::Snapshot, fingerprint: u32, now: Now) {
        let path = &snapshot.path;
        match self.write_file(snapshot, fingerprint, now) {
            Ok(answers) => tracing::info!("{answers} stored answers are handed on in `{}`", path.display()),
            Err(error) => tracing::warn!("the cache's snapshot `{}` could not be written: {error}", path.display()),
        }
    }

    /// Reads the file, within its time, and takes it away. To be called before anything is served.
    pub fn read_snapshot(&self, snapshot: &config::Snapshot, fingerprint: u32, now: Now) {
        let path = snapshot.path.display();
        let deadline = now.instant + snapshot.time;
        match take_away(&snapshot.path).and_then(|file| self.restore(file, fingerprint, now, deadline)) {
            Ok(Some(Restored { answers, expired, damaged, cut_short })) => {
                tracing::info!("{answers} stored answers were taken over from `{path}`; {expired} had expired");
                if damaged > 0 {
                    tracing::warn!(
                        "the cache's snapshot `{path}` is damaged in {damaged} places; what lay there is left out"
                    );
                }
                if cut_short {
                    tracing::warn!("the cache's snapshot `{path}` was not read to its end, for want of room or time");
                }
            }
            Ok(None) => {
                tracing::warn!("`{path}` is no snapshot of this version and configuration; the cache begins empty")
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("the cache's snapshot `{path}` could not be read: {error}"),
        }
    }

    /// Takes answers over from what [`Cache::write_snapshot`] wrote; `None` if this is no such thing, or was written under
    /// another configuration.
    ///
    /// # Errors
    /// What the input says, other than that it has ended.
    pub fn restore(
        &self,
        input: impl Read + Seek,
        fingerprint: u32,
        now: Now,
        deadline: Instant,
    ) -> io::Result<Option<Restored>> {
        let Some((mut records, header)) = Records::open(input)?.filter(|(_, header)| header.fingerprint == fingerprint)
        else {
            return Ok(None);
        };
        let since = now.unix.checked_sub(Duration::from_nanos(header.written));
        let (mut restored, mut keys) = (Restored::default(), Vec::new());
        while let Some(found) = records.next()? {
            if Instant::now() >= deadline {
                restored.cut_short = true;
                break;
            }
            match self.restore_one(&mut records, &found, since, now)? {
                One::Taken(key) => keys.push(key),
                One::Expired => restored.expired += 1,
                One::Damaged => restored.damaged += 1,
                One::NoRoom => {
                    restored.cut_short = true;
                    break;
                }
            }
        }
        // The hottest came first and should be the last to go.
        keys.iter().rev().for_each(|key| self.store.touch(key));
        (restored.answers, restored.damaged) = (keys.len() as u64, restored.damaged + records.damaged);
        Ok(Some(restored))
    }

    fn restore_one(
        &self,
        records: &mut Records<impl Read + Seek>,
        found: &Found,
        since: Option<Duration>,
        now: Now,
    ) -> io::Result<One> {
        let Some(Record { key, given, parts, mut answer }) = record::decode(&found.answer, found.body_length, now)
        else {
            return Ok(One::Damaged);
        };
        match since {
            Some(passed) => answer.initial_age = answer.initial_age.saturating_add(passed),
            // The clock has been set back, so nobody knows how much time has passed: it is to be validated.
            None => answer.end_freshness(answer.initial_age.as_secs()),
        }
        let has_outgrown = found.body_length > self.max_object
            || parts.as_ref().is_some_and(|parts| parts.runs.len() > self.max_parts);
        if has_outgrown || !is_worth_keeping(&answer, now) {
            return Ok(One::Expired);
        }
        // No block lies in two runs.
        let runs: Vec<u64> = match &parts {
            Some(parts) => parts.runs.iter().map(|run| run.end - run.start).collect(),
            None => vec![found.body_length],
        };
        let blocks = runs.iter().map(|&length| blocks::count(length)).sum();
        let body_cost = Body::cost_of(found.body_length, blocks) + parts.as_ref().map_or(0, Parts::memory);
        let cost = Stored::head_cost(&answer, &key) + body_cost;
        let Some(mut charge) = self.account.charge(cost).filter(|_| self.store.has_room(cost)) else {
            return Ok(One::NoRoom);
        };
        let Some(chunks) = records.body(found, &runs)? else { return Ok(One::Damaged) };
        let body = Body::new(chunks, charge.split(body_cost));
        let request = answer.vary.request();
        let stored = Stored::given(Arc::new(answer), body, parts.map(Arc::new), charge, given);
        self.flights.locked(&key, || self.store.put(&key, &stored, &request, || false));
        Ok(One::Taken(key))
    }

    fn write_file(&self, snapshot: &config::Snapshot, fingerprint: u32, now: Now) -> io::Result<u64> {
        let mut unfinished = snapshot.path.clone().into_os_string();
        unfinished.push(".new");
        let unfinished = Path::new(&unfinished);
        match fs::remove_file(unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Answers are nobody else's to read, and nobody else's file is written to.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
        let out = BufWriter::with_capacity(1 << 16, file);
        let written = self.save(out, fingerprint, snapshot.bytes, now, now.instant + snapshot.time);
        let renamed = written.and_then(|(_, answers)| fs::rename(unfinished, &snapshot.path).map(|()| answers));
        if renamed.is_err() {
            // It is of no use to anybody; the next stop takes it away otherwise.
            let _ = fs::remove_file(unfinished);
        }
        renamed
    }

    /// Writes the hottest answers, until `bytes` are full or the deadline has come; says how many.
    fn save<W: Write>(
        &self,
        out: W,
        fingerprint: u32,
        bytes: u64,
        now: Now,
        deadline: Instant,
    ) -> io::Result<(W, u64)> {
        let written = u64::try_from(now.unix.as_nanos()).unwrap_or(u64::MAX);
        let mut writer = Writer::new(out, Header { fingerprint, written })?;
        let (mut left, mut answers) = (bytes, 0);
        for (resource, stored) in self.hottest(now) {
            if Instant::now() >= deadline {
                break;
            }
            let answer = record::encode(resource.key(), &stored, now);
            // A smaller one may still fit in.
            let Some(rest) = Writer::<W>::length(&answer, &stored.body).and_then(|length| left.checked_sub(length))
            else {
                continue;
            };
            writer.write(&answer, &stored.body)?;
            (left, answers) = (rest, answers + 1);
        }
        Ok((writer.finish()?, answers))
    }

    /// All answers that can be handed on, the most often given first.
    fn hottest(&self, now: Now) -> Vec<(Arc<Resource>, Arc<Stored>)> {
        let mut all = Vec::new();
        for resource in self.store.resources() {
            let kept = |stored: &&Arc<Stored>| !stored.is_struck() && is_worth_keeping(&stored.answer, now);
            all.extend(resource.variants().iter().filter(kept).map(|stored| (resource.clone(), stored.clone())));
        }
        all.sort_by_key(|(_, stored)| std::cmp::Reverse(stored.hits()));
        all
    }
}

/// A number for a configuration: another one for another configuration, the same in every process.
pub fn fingerprint(configuration: &impl std::fmt::Debug) -> u32 {
    crc32fast::hash(format!("{configuration:?}").as_bytes())
}

/// What became of one record.
enum One {
    Taken(Vec<u8>),
    Expired,
    Damaged,
    NoRoom,
}

/// Whether an answer can be given yet, or validated.
fn is_worth_keeping(answer: &super::Answer, now: Now) -> bool {
    answer.ttl(answer.age(now)) > 0 || answer.has_validator()
}

/// Opens the file and takes it out of its directory, so that nobody reads it a second time.
fn take_away(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
