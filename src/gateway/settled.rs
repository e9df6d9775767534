//! What a fetch came to, on its way to the client that it was begun for.

use super::{
    Gateway, Visit,
    client::{Client, flush},
    facts::CacheWord,
    failure::Fault,
    fetch::{Growing, Settled, Trouble, Whole},
};
use crate::{
    cache::{
        CacheStatus, Reason, Stored,
        conditional::{self, Condition},
    },
    clock::Now,
};

impl Gateway {
    /// Sends what a fetch came to.
    pub(super) async fn answer_settled<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        settled: Settled,
        why: Why,
    ) -> Result<Led, Fault> {
        match settled {
            Settled::StoodIn(stored, trouble) => {
                self.answer_stale(client, visit, &stored, &trouble, why.reason).await?
            }
            Settled::Validated(stored, refused) => self.answer_validated(client, visit, &stored, refused, why).await?,
            Settled::Again => return Ok(Led::Again),
            Settled::Whole(whole) => {
                self.answer_whole(client, visit, whole, why);
                flush(client).await?;
            }
            Settled::Growing(growing) => Box::pin(self.answer_growing(client, visit, growing, why)).await?,
            Settled::Unshared(transfer, head, pieces, detail) => {
                let status = why.forwarded(false, Some(detail));
                self.stream(client, visit, transfer, head, Some(status), pieces).await?;
            }
            Settled::Failed(fault) => return Err(fault),
        }
        Ok(Led::Answered)
    }

    /// Sends what a 304 has made fresh again; `refused` says why it is kept no longer, if so.
    pub(super) async fn answer_validated<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Stored,
        refused: Option<Reason>,
        why: Why,
    ) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::Revalidated;
        self.cache.count_kept(stored, visit.request);
        let status = why.told(304, refused.is_none(), refused);
        self.answer_range(client, visit, stored, stored.answer.age(Now::read()), status);
        Ok(flush(client).await?)
    }

    /// Sends a stored answer although it is stale, as the backend failed (RFC 9111 §4.2.4).
    pub(super) async fn answer_stale<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Stored,
        trouble: &Trouble,
        reason: Reason,
    ) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::Stale;
        visit.facts.failure = trouble.label;
        self.cache.count_kept(stored, visit.request);
        let age = stored.answer.age(Now::read());
        let status = CacheStatus::StaleHit { ttl: stored.answer.ttl(age), status: trouble.status, reason };
        self.answer_range(client, visit, stored, age, status);
        Ok(flush(client).await?)
    }

    /// Queues an answer that is here as a whole.
    fn answer_whole<C: Client>(&self, client: &mut C, visit: &mut Visit<'_>, whole: Whole, why: Why) {
        let Whole { head, body, length, chosen, kept } = whole;
        let status = why.forwarded(kept.is_ok(), kept.as_ref().err().copied());
        if let Ok(stored) = &kept
            && conditional::evaluate(visit.request, &stored.answer) == Condition::NotModified
        {
            return self.answer_stored(client, visit, stored, stored.answer.age(Now::read()), status);
        }
        // What passes through is what the backend sent, Age and all.
        self.start(client, visit, head, length, Some(&chosen), Some(status));
        client.push(body);
        client.finish(None);
    }

    /// Sends an answer whose body is still arriving.
    async fn answer_growing<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        mut growing: Growing,
        why: Why,
    ) -> Result<(), Fault> {
        let status = why.forwarded(true, None);
        if growing.gap.is_some() {
            // What the backend sent is only a part of what the client gets.
            return self.read(client, visit, growing.pump(), why.told(206, true, None)).await;
        }
        if conditional::evaluate(visit.request, growing.reader.answer()) == Condition::NotModified {
            return self.read(client, visit, growing.pump(), status).await;
        }
        let head = std::mem::take(&mut growing.head);
        let transfer = &growing.transfer;
        self.start(client, visit, head, transfer.length, Some(&transfer.chosen), Some(status));
        self.read_on(client, growing.pump()).await
    }
}

/// Why a request went to the backend.
#[derive(Clone, Copy)]
pub(super) struct Why {
    pub(super) reason: Reason,
    /// What the reason does not tell.
    pub(super) detail: Option<Reason>,
}

/// What leading came to.
#[derive(PartialEq, Eq)]
pub(super) enum Led {
    Answered,
    /// What came was about something else than what is stored: fetch again.
    Again,
}

impl Why {
    /// What Cache-Status says when the answer is stored, or not and why.
    pub(super) fn forwarded(self, stored: bool, detail: Option<Reason>) -> CacheStatus {
        self.status(None, stored, detail)
    }

    /// The same where the backend gave the answer with another status than the client gets.
    pub(super) fn told(self, status: u16, stored: bool, detail: Option<Reason>) -> CacheStatus {
        self.status(Some(status), stored, detail)
    }

    fn status(self, status: Option<u16>, stored: bool, detail: Option<Reason>) -> CacheStatus {
        CacheStatus::Forwarded { reason: self.reason, status, stored, collapsed: false, detail: detail.or(self.detail) }
    }
}
