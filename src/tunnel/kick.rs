//! An operator's order to end a tunnel, with a word for both sides.

use std::fmt;

use tokio::time::Instant;

use super::{
    close::CloseReason,
    orders::{Order, Source},
    wire::Farewell,
};

/// Why a Close frame can't say this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFarewell {
    /// No Close frame may carry this code, or it has no meaning (RFC 6455 §7.4).
    Code(u16),
    /// More than fits beside the code (RFC 6455 §5.5).
    TooLong,
}

/// Ends a tunnel at once, as [`CloseReason::Kicked`]. Without a farewell it is told its route's code.
///
/// # Errors
/// A code or a text that a Close frame can't carry.
pub fn kick(farewell: Option<(u16, &str)>) -> Result<Order, BadFarewell> {
    let farewell = farewell.map(|(code, text)| checked(code, text)).transpose()?;
    Ok(Order { source: Source::Lasting, reason: CloseReason::Kicked, farewell, at: Instant::now(), cut_at: None })
}

fn checked(code: u16, text: &str) -> Result<Farewell, BadFarewell> {
    if !may_be_sent(code) {
        return Err(BadFarewell::Code(code));
    }
    let farewell = Farewell::new(code, text);
    if farewell.text.len() < text.len() { Err(BadFarewell::TooLong) } else { Ok(farewell) }
}

/// RFC 6455 §7.4.1 and §7.4.2, and the registry that §11.7 founded: 1004 has no meaning yet, 1005, 1006 and 1015 stand for
/// what no frame said, and 1016 to 2999 wait for other documents.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

impl fmt::Display for BadFarewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => {
                write!(f, "{code} can't be sent in a Close frame; expected 1000 to 1003, 1007 to 1014 or 3000 to 4999")
            }
            Self::TooLong => f.write_str("a reason of more than 123 bytes does not fit into a Close frame"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_be_sent_are() {
        for code in [1000, 1001, 1003, 1007, 1012, 1014, 3000, 4999] {
            let order = kick(Some((code, "bye"))).unwrap();
            assert_eq!((order.reason, order.farewell), (CloseReason::Kicked, Some(Farewell::new(code, "bye"))));
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(kick(Some((code, ""))), Err(BadFarewell::Code(code)));
        }
        assert_eq!(kick(None).unwrap().farewell, None);
    }

    #[test]
    fn a_reason_that_does_not_fit_is_refused() {
        assert!(kick(Some((1000, &"ä".repeat(61)))).is_ok());
        assert_eq!(kick(Some((1000, &"ä".repeat(62)))), Err(BadFarewell::TooLong));
    }
}
