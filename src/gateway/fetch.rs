//! A fetch that serves everybody who asks for the same thing: the backend asked, its answer weighed, kept and shared.
//!
//! A `Fetch` owns what it needs. While its first client is there it is polled with it, at no cost of its own; when that
//! client goes, it becomes a task (`background`) and comes to the same end, as those who wait depend on it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{
    Gateway, Visit,
    client::BodyLength,
    failure::Fault,
    fields::Lane,
    opening::{Opened, Opening, Sending},
    ranged::gap,
    transfer::Transfer,
};
use crate::{
    cache::{self, BackendFailure, Fill, Gap, Leader, Plan, Reader, Reason, Stored},
    clock::Now,
    net::ClientInfo,
    upstream::{Chosen, Outgoing},
    wire::{RequestHead, ResponseHead},
};

/// A body that fits into this and has arrived with its head is stored at once, without a task of its own.
const WHOLE_MAX: usize = 64 * 1024;

/// One fetch for everybody.
pub(super) struct Fetch {
    pub(super) opening: Opening,
    pub(super) upstream: usize,
    pub(super) aim: Aim,
}

/// What a fetch is for.
pub(super) struct Aim {
    pub(super) leader: Leader,
    /// What is validated by it.
    stored: Option<Arc<Stored>>,
    /// What is completed by it.
    gap: Option<Gap>,
    route: usize,
    requested: Now,
}

/// What a fetch came to: the cache and all who wait have been told.
pub(super) enum Settled {
    /// The backend failed, and a stored answer stands in (RFC 9111 §4.2.4).
    StoodIn(Arc<Stored>, Trouble),
    /// 304: the stored answer is fresh again; with the reason why it is kept no longer, if so.
    Validated(Arc<Stored>, Option<Reason>),
    /// What came was about something else than what is stored: once more, without conditions (RFC 9111 §4.3.3).
    Again,
    /// All of it is here.
    Whole(Whole),
    /// The body is arriving; [`Growing::pump`] brings it into the store.
    Growing(Growing),
    /// Not to be kept: for one client, as it comes. What of its body is here already stands beside it.
    Unshared(Transfer, ResponseHead, Vec<Bytes>, Reason),
    Failed(Fault),
}

/// An answer whose whole body has come with its head.
pub(super) struct Whole {
    /// As the backend sent it.
    pub(super) head: ResponseHead,
    pub(super) body: Bytes,
    pub(super) length: BodyLength,
    pub(super) chosen: Chosen,
    pub(super) kept: Result<Arc<Stored>, Reason>,
}

/// An answer whose body is still arriving.
pub(super) struct Growing {
    /// As the backend sent it.
    pub(super) head: ResponseHead,
    pub(super) transfer: Transfer,
    pub(super) reader: Reader,
    pub(super) fill: Fill,
    /// The transfer brings only what is missing here.
    pub(super) gap: Option<Gap>,
}

/// How the backend failed, for Cache-Status and the log.
pub(super) struct Trouble {
    /// The status that it gave, if it gave one.
    pub(super) status: Option<u16>,
    /// The failure's word, if it gave none.
    pub(super) label: &'static str,
}

impl Gateway {
    /// A fetch for everybody, on behalf of this visit: with its fields, without its conditions; of what is missing alone,
    /// if a gap says so. It begins `now`.
    pub(super) fn fetch(
        &self,
        visit: &mut Visit<'_>,
        info: &ClientInfo,
        mut leader: Leader,
        stored: Option<Arc<Stored>>,
        gap: Option<Gap>,
        now: Now,
    ) -> Fetch {
        if stored.is_some() {
            leader.validates();
        }
        let mut outgoing = self.fetch_request(visit, info, stored.as_deref());
        for (name, value) in gap.iter().flat_map(Gap::fields) {
            outgoing.fields.push(name, value);
        }
        let opening = self.opening(visit, outgoing, Sending::Repeatable, now);
        Fetch {
            opening,
            upstream: visit.upstream,
            aim: Aim { leader, stored, gap, route: visit.route, requested: now },
        }
    }

    /// The request as it serves everybody: without this client's conditions and range, with the store's (RFC 9111 §4.3.1).
    fn fetch_request(&self, visit: &mut Visit<'_>, info: &ClientInfo, stored: Option<&Stored>) -> Outgoing {
        let mut outgoing = self.outgoing(visit, info, Lane::Ask);
        for condition in CONDITIONS {
            outgoing.fields.remove(condition);
        }
        for (name, value) in stored.into_iter().flat_map(|stored| cache::policy::validation_fields(&stored.answer)) {
            outgoing.fields.push(name, value);
        }
        outgoing
    }

    /// Decides what becomes of the answer to a fetch, and tells the cache. `request` is the one that it was made for.
    pub(super) fn settle(&self, aim: Aim, request: &RequestHead, opened: Opened<Fault>) -> Settled {
        let Aim { leader, stored, gap, route, requested } = aim;
        if let Some(stored) = &stored
            && self.may_stand_in(request, route, stored, &opened)
        {
            leader.resolve_stale(stored);
            return Settled::StoodIn(stored.clone(), Trouble::of(opened));
        }
        let (transfer, head) = match opened {
            Ok(opened) => opened,
            Err(fault) => return Settled::Failed(fault),
        };
        let policy = &self.policies[route];
        let exchange = cache::Exchange { request, policy, requested, answered: transfer.answered };
        if let (304, Some(stored)) = (head.status, &stored) {
            transfer.finish_unread();
            let edit = |merged: &mut ResponseHead| self.answer_fields(merged, &self.config.routes[route]);
            return match leader.freshen(&exchange, stored, &head, edit) {
                Ok((stored, refused)) => Settled::Validated(stored, refused),
                Err(_) => Settled::Again,
            };
        }
        if let Some(gap) = gap {
            match head.status {
                206 | 416 => return self.settle_gap(leader, gap, &exchange, route, (transfer, head)),
                // RFC 9110 §13.1.5: that of another representation, and all of it.
                200 => leader.forget(&gap.stored),
                _ => {}
            }
        }
        // RFC 9111 §4.3.3: an error says nothing about what is stored, however long it calls itself fresh.
        let is_validation_error = stored.is_some() && head.status >= 500;
        let weighed = match self.cache.storable(&exchange, &head) {
            _ if is_validation_error => Err(Reason::ServerError),
            // Of a whole that is fetched for a range of it, it must be known that it fits.
            Ok(plan) if plan.answer().length.is_none() && request.fields.contains("range") => Err(Reason::TooLarge),
            weighed => weighed,
        };
        self.weighed(leader, weighed, (transfer, head), route)
    }

    /// Keeps an answer that may be kept, and lets go of the fetch of any other.
    pub(super) fn weighed(
        &self,
        leader: Leader,
        weighed: Result<Plan, Reason>,
        (transfer, head): (Transfer, ResponseHead),
        route: usize,
    ) -> Settled {
        match weighed {
            Ok(plan) => keep(leader, plan.edit(self.edits(route)), transfer, head),
            Err(reason) => {
                leader.pass(reason, head.status, transfer.answered);
                Settled::Unshared(transfer, head, Vec::new(), reason)
            }
        }
    }

    /// Whether the stored answer may be sent in place of what came.
    pub(super) fn may_stand_in(
        &self,
        request: &RequestHead,
        route: usize,
        stored: &Stored,
        opened: &Opened<Fault>,
    ) -> bool {
        let failure = match opened {
            Ok((_, head)) if head.status >= 500 => BackendFailure::Status(head.status),
            Err(Fault::Backend(_)) => BackendFailure::Unreachable,
            _ => return false,
        };
        self.cache.stale_usable(request, &stored.answer, failure, &self.policies[route], Now::read())
    }

    /// What the route changes in an answer, if anything. A stored answer carries it, so that a hit need not do it again.
    pub(super) fn edits(&self, route: usize) -> Option<impl FnOnce(&mut ResponseHead)> {
        let route = &self.config.routes[route];
        let changes = self.config.forward.via || !route.response_fields.is_empty();
        changes.then_some(|head: &mut ResponseHead| self.answer_fields(head, route))
    }
}

/// Keeps an answer: at once if it is small and here, else as it comes.
pub(super) fn keep(leader: Leader, plan: Plan, mut transfer: Transfer, head: ResponseHead) -> Settled {
    let (pieces, ended) = match transfer.take_ready(WHOLE_MAX) {
        Ok(ready) => ready,
        Err(failure) => return Settled::Failed(failure.into()),
    };
    if ended {
        let body = joined(pieces);
        let kept = leader.store_whole(plan, &body);
        let length = match transfer.length {
            BodyLength::None => BodyLength::None,
            _ => BodyLength::Exact(body.len() as u64),
        };
        return Settled::Whole(Whole { head, body, length, chosen: transfer.finish_unread(), kept });
    }
    match leader.begin(plan) {
        Ok((mut fill, reader)) => {
            pieces.into_iter().for_each(|piece| fill.push(piece));
            Settled::Growing(Growing { head, transfer, reader, fill, gap: None })
        }
        Err(reason) => Settled::Unshared(transfer, head, pieces, reason),
    }
}

impl Growing {
    /// Brings the body into the store, by a task that goes on whatever happens to its readers; gives one of these.
    pub(super) fn pump(self) -> Reader {
        match self.gap {
            None => tokio::spawn(pump(self.transfer, self.fill)),
            Some(gap) => tokio::spawn(gap::join(self.transfer, self.fill, gap)),
        };
        self.reader
    }
}

impl Settled {
    /// The word for metrics, from a closed list.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Validated(_, None) => "validated",
            Self::Whole(Whole { kept: Ok(_), .. }) | Self::Growing(_) => "stored",
            Self::Validated(_, Some(_)) | Self::Whole(_) | Self::Unshared(..) => "not_stored",
            Self::StoodIn(..) | Self::Again | Self::Failed(_) => "failed",
        }
    }
}

impl Trouble {
    /// Lets go of what came.
    pub(super) fn of(opened: Opened<Fault>) -> Self {
        match opened {
            Ok((transfer, head)) => {
                transfer.finish_unread();
                Self { status: Some(head.status), label: "" }
            }
            Err(fault) => Self { status: None, label: fault.label() },
        }
    }
}

/// Goes at the pace of the backend; the client that asked first may have gone.
async fn pump(mut transfer: Transfer, mut fill: Fill) {
    if bring(&mut transfer, &mut fill, u64::MAX).await.is_some() {
        transfer.finish_unread();
        fill.finish();
    }
}

/// Brings at most `most` bytes of the body into a fill, and says how many were left when it ended. `None`: nobody is served
/// by going on, or the body broke off or was longer; then the fill is to be dropped, which tells its readers.
pub(super) async fn bring(transfer: &mut Transfer, fill: &mut Fill, most: u64) -> Option<u64> {
    let mut left = most;
    while left > 0 {
        fill.ready().await;
        if !fill.is_wanted() {
            return None;
        }
        // The reason is counted with the exchange.
        let Some(piece) = transfer.next_piece().await.inspect_err(|failure| transfer.broke_off(failure)).ok()? else {
            break;
        };
        left = left.checked_sub(piece.len() as u64)?;
        fill.push(piece);
    }
    Some(left)
}

/// What a request asks of its own answer alone (RFC 9110 §13.1, §14.2).
const CONDITIONS: [&str; 4] = ["if-none-match", "if-modified-since", "range", "if-range"];

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() <= 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}
