//! The conversations of the Autobahn suite (its groups are its own), held with a strict echo: directly, and through a
//! gateway that observes and sets every term, by each kind of listener and backend. Both ends must hear the same.

mod deflate;
mod frames;
mod judge;
mod table;
mod texts;
mod volumes;
mod ways;

use futures_util::{StreamExt, stream};

use self::{
    table::Conversation,
    ways::{End, House, THROUGH, Way},
};
use crate::support::show;

#[tokio::test]
async fn framing() {
    verdicts(&frames::framing()).await;
}

#[tokio::test]
async fn pings_and_pongs() {
    verdicts(&frames::pings()).await;
}

#[tokio::test]
async fn reserved_bits_and_opcodes() {
    verdicts(&frames::reserved()).await;
}

#[tokio::test]
async fn messages_in_pieces() {
    verdicts(&frames::pieces()).await;
}

#[tokio::test]
async fn utf8() {
    verdicts(&texts::texts()).await;
}

#[tokio::test]
async fn closes() {
    verdicts(&frames::closes()).await;
}

#[tokio::test]
async fn volumes() {
    verdicts(&volumes::volumes()).await;
}

#[tokio::test]
async fn compression() {
    verdicts(&volumes::deflated()).await;
}

/// Holds each conversation in every way, some at the same time.
async fn verdicts(conversations: &[Conversation]) {
    let house = House::new().await;
    let held = stream::iter(conversations).map(|conversation| verdict(&house, conversation)).buffer_unordered(2);
    let differences: Vec<String> = held.flat_map(stream::iter).collect().await;
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// What differs from what is to be heard, or from the direct way.
async fn verdict(house: &House, conversation: &Conversation) -> Vec<String> {
    let number = &conversation.number;
    let mut differences = Vec::new();
    let mut differs = |way: Way, what: &str, was: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
        differences.push(format!("{number} {way:?}, {what}:\n{was}\nbut\n{is}"));
    };
    let direct = house.hold(conversation, Way::Direct).await;
    if direct.0.bytes != conversation.hears {
        differs(Way::Direct, "the echo itself", &show(&conversation.hears), &show(&direct.0.bytes));
    }
    assert_eq!(direct.0.end, End::Finished, "{number}");
    let held = futures_util::future::join_all(THROUGH.map(|way| house.hold(conversation, way))).await;
    for (way, held) in THROUGH.into_iter().zip(held) {
        for (end, was, is) in [("the client", &direct.0, &held.0), ("the backend", &direct.1, &held.1)] {
            if was.bytes != is.bytes {
                differs(way, &format!("{end} hears"), &show(&was.bytes), &show(&is.bytes));
            }
            if was.end != is.end {
                differs(way, &format!("{end}'s end"), &format!("{:?}", was.end), &format!("{:?}", is.end));
            }
        }
    }
    differences
}
