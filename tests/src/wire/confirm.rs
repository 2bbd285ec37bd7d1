//! Publisher confirms.

use std::collections::BTreeMap;

use amq_protocol::protocol::{basic, confirm};

use crate::wire::{AMQPClass, Draft, Event, Wire};

/// What became of a publish: `basic.ack` or `basic.nack`.
#[expect(missing_docs, reason = "named as the methods")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    Ack,
    Nack,
}

impl Wire {
    /// Asks for confirms on a channel.
    #[track_caller]
    pub fn confirm_select(&mut self, channel: u16) -> impl Future<Output = ()> {
        self.here();
        async move {
            self.request(channel, confirm::Select { nowait: false }).await;
        }
    }

    /// Waits until the publishes numbered `1..=count` of a channel are confirmed, and returns their verdicts in that order.
    ///
    /// A verdict on a number that has one already, or on none that is asked for, fails the test.
    #[track_caller]
    pub fn expect_confirms(&mut self, channel: u16, count: u64) -> impl Future<Output = Vec<Confirm>> {
        self.expect_confirms_from(channel, 1, count)
    }

    /// As [`expect_confirms`](Self::expect_confirms), for the numbers from `first` on.
    #[track_caller]
    pub fn expect_confirms_from(
        &mut self,
        channel: u16,
        first: u64,
        count: u64,
    ) -> impl Future<Output = Vec<Confirm>> {
        self.here();
        async move { self.confirms(channel, first, count).await }
    }

    /// Publishes a message as the publish of this number, and waits for its confirm: `basic.ack`, or the test fails.
    #[track_caller]
    pub fn publish_confirmed(&mut self, channel: u16, number: u64, draft: Draft) -> impl Future<Output = ()> {
        self.here();
        async move {
            self.publish_draft(channel, draft).await;
            let verdicts = self.confirms(channel, number, 1).await;
            if verdicts != [Confirm::Ack] {
                self.fail(&format!("publish {number} was refused"));
            }
        }
    }

    async fn confirms(&mut self, channel: u16, first: u64, count: u64) -> Vec<Confirm> {
        let mut verdicts = BTreeMap::new();
        while (verdicts.len() as u64) < count {
            let wanted = |number: u16, event: &Event| number == channel && verdict(event).is_some();
            let what = format!("{count} confirms from {first} on; so far {verdicts:?}");
            let (_, event) = self.take(channel, &what, wanted).await;
            let (tag, multiple, confirm) = verdict(&event).expect("only that is taken");
            let tags = if multiple { first..=tag } else { tag..=tag };
            let mut new = 0;
            for tag in tags {
                let known = verdicts.contains_key(&tag);
                if !multiple && (known || tag < first || tag >= first + count) {
                    self.fail(&format!("{confirm:?} of {tag}, which nobody waits for"));
                }
                if !known {
                    verdicts.insert(tag, confirm);
                    new += 1;
                }
            }
            if new == 0 {
                self.fail(&format!("{confirm:?} up to {tag} confirms nothing"));
            }
        }
        verdicts.into_values().collect()
    }
}

/// Returns number, `multiple` and verdict of a confirm.
fn verdict(event: &Event) -> Option<(u64, bool, Confirm)> {
    match event {
        Event::Method(AMQPClass::Basic(basic::AMQPMethod::Ack(ack))) => {
            Some((ack.delivery_tag, ack.multiple, Confirm::Ack))
        }
        Event::Method(AMQPClass::Basic(basic::AMQPMethod::Nack(nack))) => {
            Some((nack.delivery_tag, nack.multiple, Confirm::Nack))
        }
        _ => None,
    }
}
