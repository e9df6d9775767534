//! The rules as a whole, over generated exchanges: against an independent oracle, over time, and against plain prohibitions.

mod case;
mod oracle;
mod properties;
