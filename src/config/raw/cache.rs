//! The cache: `[cache]` for all of it, and `cache` of a route.

use std::time::Duration;

use super::gateway::MEMORY_MAX;
use crate::config::{
    shape::{Either, OneOrMany},
    text::{FilePath, KeyField, Network, ParameterName, TargetedField},
    value::{Period, Size, Whole},
};

settings! {
    /// The cache of answers, in memory.
    pub(super) struct Cache {
        /// `false` stores nothing and answers nothing from memory.
        enabled: bool = { true },
        /// Memory for stored answers, of which 4 MiB, and 2 MiB for each worker thread, are the allocator's; `0` is the same as `enabled = false`.
        capacity: Size<0, MEMORY_MAX> = { Size(256 << 20) },
        /// Largest body that is stored. An eighth of the capacity by default, at most 64 MiB; never more than half of what is there for answers.
        max_object: Size<0, MEMORY_MAX> = optional,
        /// Variants of one URL, where `Vary` tells them apart, that are stored side by side; past it the oldest goes.
        max_variants: Whole<1, 1024> = { Whole(64) },
        /// Stretches of one answer, known by ranges alone, that are stored side by side; past it the shortest goes.
        max_parts: Whole<1, 1024> = { Whole(32) },
        /// `Cache-Status` (RFC 9211) on answers: whether and why the cache had it.
        status_field: bool = { true },
        /// Fields that tell this cache alone what `Cache-Control` tells every cache (RFC 9213): one or a list. The first that
        /// an answer has counts, and then neither `Cache-Control` nor `Expires` does. `CDN-Cache-Control` is always looked for
        /// behind them.
        targeted_fields: OneOrMany<TargetedField> = { OneOrMany(Vec::new()) },
        /// A file that hands the hottest answers on to the next process: written at a graceful stop, read at the start. The
        /// path alone, or a table. None by default.
        snapshot: SnapshotText = optional,
    }
}

/// A snapshot in either way of writing.
pub(in crate::config) type SnapshotText = Either<FilePath, Snapshot>;

table! {
    /// The hottest answers, handed on from one process to the next.
    pub(super) struct Snapshot {
        /// The file. It holds answers as they were given, so whoever may read it may read them.
        path: FilePath = required,
        /// Bytes that are written at most, the hottest answers first.
        bytes: Size<{ 64 << 10 }, MEMORY_MAX> = { SNAPSHOT_BYTES },
        /// How long the stop may take for it.
        time: Period<false> = { SNAPSHOT_TIME },
    }
}

/// The size of a snapshot where only its path is given.
pub(in crate::config) const SNAPSHOT_BYTES: Size<{ 64 << 10 }, MEMORY_MAX> = Size(64 << 20);

/// The time of a snapshot where only its path is given.
pub(in crate::config) const SNAPSHOT_TIME: Period<false> = Period(Duration::from_secs(5));

settings! {
    /// The cache for a route's requests.
    pub(super) struct RouteCache {
        /// `false` keeps these answers out of the cache.
        enabled: bool = { true },
        /// Guess a lifetime from `Last-Modified` where the answer gives none (RFC 9111 §4.2.2): `false`, or the longest. Nothing
        /// is guessed where a request has cookies: it may be about its sender.
        heuristic: Either<bool, Period<false>> = { Either::This(true) },
        /// How long after its lifetime an answer may stand in for a backend's 500, 502, 503 or 504 (RFC 5861 §4).
        stale_if_error: Period<true> = { Period(Duration::ZERO) },
        /// How long after its lifetime an answer is still given at once, and renewed meanwhile (RFC 5861 §3), where the answer
        /// itself does not say.
        stale_while_revalidate: Period<true> = { Period(Duration::ZERO) },
        /// Lifetime of a 200 that says nothing about caching: neither `Cache-Control` nor `Expires`. Only for backends that
        /// are known to give everybody the same. `0` gives none.
        default_ttl: Period<true> = { Period(Duration::ZERO) },
        /// Answers with `Set-Cookie` that say neither `public` nor `s-maxage`. One that does is given to everybody, its cookie too.
        set_cookie: SetCookie = { SetCookie::Refuse },
        /// `Cache-Control` of requests (RFC 9111 §5.2.1).
        client_cache_control: ClientCacheControl = { ClientCacheControl::Honour },
        /// What makes two requests the same to the cache.
        key: Key = { Key::default() },
        /// A `Range` request for something that is not stored.
        range_fill: RangeFill = { RangeFill::Part },
        /// Networks of clients whose `PURGE` takes the answers of its URL out of the cache: one or a list. Other clients get
        /// 403. Without any, `PURGE` goes to the backend like every method.
        purge_from: OneOrMany<Network> = { OneOrMany(Vec::new()) },
    }
}

settings! {
    /// What makes two requests the same to the cache, beside scheme, host and path. The backend sees requests unchanged.
    pub(super) struct Key {
        /// Which parameters of the query count: a word, or a table with `ignore` or `keep`.
        query: Query = { Either::This(QueryWord::All) },
        /// `true` lets the order of different parameters not count, where all their names are plain words that no backend
        /// takes for one another.
        sort_query: bool = { false },
        /// Request fields whose values count too: one or a list. For answers that differ by them and don't say so in `Vary`.
        fields: OneOrMany<KeyField> = { OneOrMany(Vec::new()) },
    }
}

/// Which parameters count, in either way of writing.
pub(in crate::config) type Query = Either<QueryWord, QueryTable>;

/// A rule for parameters that needs no names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum QueryWord {
    All,
    None,
}

choice! {
    /// Which parameters count.
    QueryWord {
        "all" => QueryWord::All: "every parameter counts, byte for byte",
        "none" => QueryWord::None: "the whole query is ignored",
    }
}

settings! {
    /// Parameters by name, of which `utm_*` stands for all that begin like it: one of the two.
    pub(super) struct QueryTable {
        /// These don't count: one or a list. One that holds `;` counts nevertheless, as some backends read a second parameter
        /// there.
        ignore: OneOrMany<ParameterName> = optional,
        /// Only these count: one or a list, in upper or lower case. So do others that a backend might take for one of them, as
        /// they hold something else than letters, digits, `-` and `_`.
        keep: OneOrMany<ParameterName> = optional,
    }
}

/// What becomes of answers with `Set-Cookie`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum SetCookie {
    Store,
    Refuse,
}

choice! {
    /// What becomes of answers with `Set-Cookie`.
    SetCookie {
        "refuse" => SetCookie::Refuse: "not stored",
        "store" => SetCookie::Store: "stored as RFC 9111 allows: the cookie is given to everybody",
    }
}

/// Whether a client may ask the cache for something fresher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum ClientCacheControl {
    Honour,
    Ignore,
}

choice! {
    /// Whether a client may ask the cache for something fresher.
    ClientCacheControl {
        "honour" => ClientCacheControl::Honour: "a reload reaches the backend",
        "ignore" => ClientCacheControl::Ignore: "only the answers' lifetime counts",
    }
}

/// What a `Range` request fetches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum RangeFill {
    Part,
    Whole,
}

choice! {
    /// What a `Range` request fetches.
    RangeFill {
        "part" => RangeFill::Part: "the backend is asked for that part only",
        "whole" => RangeFill::Whole: "the whole is fetched once for everybody, if its size allows to store it; what lies more than 1 MiB ahead of it is asked for beside",
    }
}
