//! A route that fetches the whole for a range of it: once for everybody, and each client its range as it comes.

use std::sync::Arc;

use crate::{
    cache::{Begin, CacheStatus, Exchange, FollowerOutcome, Leader, Reader, Reason, Stored},
    clock::Now,
    gateway::{
        Gateway, Visit,
        answer::collapsed,
        ask::{FILLS_TRIED, Led, pump},
        client::{Client, flush, unless_gone},
        facts::CacheWord,
        failure::Fault,
        transfer::Sending,
    },
};

impl Gateway {
    /// Fetches the whole for everybody, as the route says, and sends the client its range as it comes. `Again`: the whole
    /// can't be kept, or the range lies too far ahead; it is to be asked for by itself.
    pub(super) async fn whole<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        key: &[u8],
        reason: Reason,
    ) -> Result<Led, Fault> {
        for _ in 0..FILLS_TRIED {
            let policy = &self.policies[visit.route];
            match self.cache.begin_fill(key, visit.request, policy, visit.facts.now) {
                Begin::Leader(leader) => return self.lead_whole(client, visit, leader, reason).await,
                Begin::Stored(stored) => return self.found(client, visit, &stored, reason).await,
                Begin::Follower(follower) => match unless_gone(client, follower.head(visit.request)).await? {
                    FollowerOutcome::Streaming(reader) => {
                        visit.facts.cache = CacheWord::Collapsed;
                        return self.cut_near(client, visit, reader, collapsed(reason)).await;
                    }
                    FollowerOutcome::Stored(stored) => return self.found(client, visit, &stored, reason).await,
                    FollowerOutcome::NotStorable(_) | FollowerOutcome::TooSlow => return Ok(Led::Again),
                    FollowerOutcome::NotMyVariant | FollowerOutcome::LeaderGone => {}
                },
                Begin::Pass(_) => return Ok(Led::Again),
            }
        }
        Ok(Led::Again)
    }

    /// Answers from what another's fetch has brought.
    async fn found<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Arc<Stored>,
        reason: Reason,
    ) -> Result<Led, Fault> {
        if !stored.can_answer(visit.request) {
            return Ok(Led::Again);
        }
        visit.facts.cache = CacheWord::Collapsed;
        self.answer_range(client, visit, stored, stored.answer.age(Now::read()), collapsed(reason));
        flush(client).await?;
        Ok(Led::Answered)
    }

    async fn cut_near<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        reader: Reader,
        status: CacheStatus,
    ) -> Result<Led, Fault> {
        if !reader.is_near(visit.request) {
            return Ok(Led::Again);
        }
        self.read_part(client, visit, reader, status).await?;
        Ok(Led::Answered)
    }

    /// The leader's part of a fetch of the whole: its head tells whether it can be kept.
    async fn lead_whole<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        reason: Reason,
    ) -> Result<Led, Fault> {
        visit.facts.cache = CacheWord::Miss;
        let outgoing = self.fill_request(visit, client, None);
        let requested = Now::read();
        let (transfer, head) = self.open(client, visit, &outgoing, Sending::Repeatable).await?;
        let answered = Now::read();
        let policy = &self.policies[visit.route];
        let exchange = Exchange { request: visit.request, policy, requested, answered };
        let weighed = self.cache.storable(&exchange, &head);
        if head.status != 200 {
            self.keep_or_pass(client, visit, leader, weighed, (transfer, head), reason, answered).await?;
            return Ok(Led::Answered);
        }
        let weighed = weighed.and_then(|plan| match plan.answer().length {
            Some(_) => Ok(plan),
            // For all that is known it won't fit.
            None => Err(Reason::TooLarge),
        });
        match weighed {
            Ok(plan) => match leader.begin(self.edited(visit, plan)) {
                Ok((fill, reader)) => {
                    tokio::spawn(pump(transfer, fill));
                    self.cut_near(client, visit, reader, cut_of_whole(reason)).await
                }
                Err(_) => Ok(Led::Again),
            },
            Err(detail) => {
                // The rest of the body is not wanted: the connection goes with the transfer.
                leader.pass(detail, head.status, answered);
                Ok(Led::Again)
            }
        }
    }
}

/// What Cache-Status says of a range that was cut out of a fetch of the whole.
pub(super) fn cut_of_whole(reason: Reason) -> CacheStatus {
    CacheStatus::Forwarded { reason, status: Some(200), stored: true, collapsed: false, detail: None }
}
