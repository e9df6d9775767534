//! The body of the request at hand: its framing taken off, counted, held to its limits. A request without one has none of
//! this, nor has a connection that waits for its first.

use crate::{
    config::Limits,
    gateway::body_meter::BodyMeter,
    wire::{BodyDecoder, Framing},
};

/// A body on its way in.
pub(super) struct RequestBody {
    pub(super) decoder: BodyDecoder,
    pub(super) meter: BodyMeter,
}

impl RequestBody {
    /// A new request begins, with a body or without. What the last one had of the connection's is used again.
    pub(super) fn begin(body: &mut Option<Box<Self>>, framing: Framing, limits: &Limits) {
        let decoder = match framing {
            Framing::None | Framing::Length(0) => return *body = None,
            framing => BodyDecoder::for_request(framing),
        };
        match body {
            Some(body) => {
                body.decoder = decoder;
                body.meter.begin();
            }
            None => *body = Some(Box::new(Self { decoder, meter: BodyMeter::new(limits) })),
        }
    }
}
