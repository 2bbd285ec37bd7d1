//! The messages of the demo, and a generator of realistic orders.

use garenne::prelude::*;
use serde::{Deserialize, Serialize};

/// An order that a customer placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1", exchange = "orders", key = "order.placed.{region}")]
pub(crate) struct OrderPlaced {
    /// Counts from 0.
    pub(crate) id: u32,
    /// Where it was placed.
    pub(crate) region: String,
    /// Who placed it.
    pub(crate) customer: String,
    /// What was ordered.
    pub(crate) lines: Vec<Line>,
    /// What it costs, in cents.
    pub(crate) cents: u64,
    /// How its payment will go.
    pub(crate) payment: Payment,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The article.
    pub(crate) sku: String,
    /// How many.
    pub(crate) quantity: u32,
    /// The price of one, in cents.
    pub(crate) cents: u64,
}

/// How the payment of an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Payment {
    /// It goes through.
    Accepted,
    /// The bank does not answer the first time: billing tries again.
    SlowBank,
    /// The card is declined: billing gives up, the order goes to `billing.dlq`.
    Declined,
}

/// What becomes of an order on its way to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An order as it should be.
    Sound,
    /// A body that is no order at all: every queue dead-letters it.
    Poison,
    /// A key that no queue is bound to: the publish must be reported as unroutable.
    Unroutable,
}

const REGIONS: [&str; 5] = ["eu", "us", "apac", "latam", "mea"];
const ARTICLES: [(&str, u64); 6] = [
    ("carrot-seeds", 349),
    ("hay-bale", 1_299),
    ("hutch-oak", 24_900),
    ("water-bottle", 899),
    ("burrow-light", 2_450),
    ("clover-mix", 525),
];

/// Returns the shape of an order: one in 500 is poison, one in 400 is unroutable, and the first 100 hold both.
pub(crate) const fn shape(id: u32) -> Shape {
    if id % 500 == 17 {
        Shape::Poison
    } else if id % 400 == 23 {
        Shape::Unroutable
    } else {
        Shape::Sound
    }
}

/// Makes order number `id`; the same number gives the same order.
pub(crate) fn order(id: u32) -> OrderPlaced {
    let mut random = fastrand::Rng::with_seed(u64::from(id));
    let lines: Vec<Line> = (0..random.u32(1..=4))
        .map(|_| {
            let (sku, cents) = ARTICLES[random.usize(..ARTICLES.len())];
            Line { sku: sku.to_owned(), quantity: random.u32(1..=5), cents }
        })
        .collect();
    OrderPlaced {
        id,
        region: REGIONS[random.usize(..REGIONS.len())].to_owned(),
        customer: format!("customer-{:05}", random.u32(..50_000)),
        cents: lines.iter().map(|line| u64::from(line.quantity) * line.cents).sum(),
        lines,
        payment: match id % 1000 {
            41 | 541 => Payment::Declined,
            77 => Payment::SlowBank,
            _ => Payment::Accepted,
        },
    }
}
