//! The settled configuration: what the gateway runs on.
//!
//! Every reference is resolved, every default filled in, every value in its unit; nothing here can be invalid.
//! `raw` is the file as written, `resolve` the only bridge between the two.
//!
//! The way of a file: `tree` (values with their places) ← `expand` (variables, `file:`), `merge` (`conf.d`), `raw` (typed,
//! by the one declaration of all keys), `resolve` (references, overlaps), `lint` (warnings). The way back: `effective`,
//! `written`. From the declaration alone: `schema`, `reference`, `suggest`.

#[macro_use]
mod table;

mod effective;
mod expand;
mod kind;
mod lint;
mod load;
mod machine;
mod merge;
mod problem;
mod raw;
mod reference;
mod render;
mod resolve;
mod schema;
mod settled;
mod shape;
mod suggest;
mod text;
mod tree;
mod value;
mod written;

pub use effective::{effective, effective_json};
pub use expand::Outside;
pub use load::{Loaded, address, from_text, from_texts, load, minimal, minimal_with_admin};
pub use problem::{Place, Problem, Problems, Severity, Source};
pub use reference::reference;
pub use schema::schema;
pub use settled::*;

#[cfg(test)]
mod tests;
