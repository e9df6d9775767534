//! A route that fetches the whole for a range of it: once for everybody, and each client its range as it comes.

use std::sync::Arc;

use crate::{
    cache::{Begin, FollowerOutcome, Leader, Reason, Stored},
    clock::Now,
    gateway::{
        Gateway, Visit,
        ask::FILLS_TRIED,
        client::{Client, unless_gone},
        failure::Fault,
        fetch::Settled,
        settled::{Led, Why},
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
        why: Why,
    ) -> Result<Led, Fault> {
        for _ in 0..FILLS_TRIED {
            let policy = &self.policies[visit.route];
            match self.cache.begin_fill(key, visit.request, policy, visit.facts.now) {
                Begin::Leader(leader) => return self.lead_whole(client, visit, leader, why).await,
                Begin::Stored(stored) => return self.found(client, visit, &stored, why.reason).await,
                Begin::Follower(follower) => match unless_gone(client, follower.head(visit.request)).await? {
                    FollowerOutcome::Streaming(reader) if reader.is_near(visit.request) => {
                        self.share(client, visit, reader, why.reason).await?;
                        return Ok(Led::Answered);
                    }
                    FollowerOutcome::Stored(stored) => return self.found(client, visit, &stored, why.reason).await,
                    FollowerOutcome::NotMyVariant | FollowerOutcome::LeaderGone => {}
                    FollowerOutcome::Streaming(_) | FollowerOutcome::NotStorable(_) | FollowerOutcome::TooSlow(_) => {
                        return Ok(Led::Again);
                    }
                },
                Begin::Marked { .. } => return Ok(Led::Again),
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
        self.collapsed(client, visit, stored, reason).await?;
        Ok(Led::Answered)
    }

    /// The leader's part of a fetch of the whole: its head tells whether it is kept. Where it is not, the rest of the body
    /// is not wanted, and its connection is given up.
    async fn lead_whole<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        why: Why,
    ) -> Result<Led, Fault> {
        match self.fetch_with(client, visit, leader, None, None, Now::read()).await? {
            Settled::Unshared(_, head, _, _) if head.status == 200 => Ok(Led::Again),
            settled => self.deliver_part(client, visit, settled, why).await,
        }
    }
}
