//! Which route a request takes.
//!
//! Pure: the table is built once from the settled routes and asked with the parts of a request. The most specific host
//! wins (exact, then the longest wildcard, then none), then the longest path prefix, then the route with more
//! conditions, then the one that stands first in the file.

mod table;

pub use table::{RouteTable, Verdict};
