//! Upper bounds of histogram buckets, in base units.
//!
//! Shared, so that one question can be asked of several metrics; each list is short, because every bound is a series
//! for each label set.

/// Most bounds that one histogram may have.
pub const BUCKETS_MAX: usize = 24;

/// Requests and the steps of a request, in seconds: OpenTelemetry's bounds for HTTP (5 ms to 10 s), with finer ones
/// below for answers from the cache and coarser ones above for long polls.
pub const DURATION_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
];

/// How long a tunnel was open, in seconds: one second to 24 hours.
pub const TUNNEL_SECONDS: &[f64] =
    &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 43200.0, 86400.0];

/// Sizes of bodies and messages, in bytes: 256 B to 1 GiB.
pub const BYTES: &[f64] = &[
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262144.0,
    1048576.0,
    4194304.0,
    16777216.0,
    67108864.0,
    268435456.0,
    1073741824.0,
];
