//! A failed message on its way to a retry tier: a copy that is confirmed before the message is acknowledged.

use std::time::{Duration, SystemTime};

use garenne_topology::RetryTier;
use garenne_transport::{Settlement, Unsettled};

use super::copies;
use crate::{Context, report::Report, work::Work};

/// What became of the copy.
pub(super) enum Waiting {
    /// It waits in the tier; this is how to settle the message, `None` if that went stale.
    There(Option<Settlement>),
    /// The tier did not take it.
    Refused,
}

/// Returns the tier for a delay: the one that is nearest, or, if the delay is to be kept, the longest that is not longer.
pub(super) fn choose(tiers: &[RetryTier], delay: Duration, exactly: bool) -> Option<RetryTier> {
    if exactly {
        return tiers.iter().rev().find(|tier| tier.delay() <= delay).copied();
    }
    let nearest = tiers.iter().min_by_key(|tier| tier.delay().abs_diff(delay));
    nearest.copied().filter(|_| delay >= Duration::from_secs(1))
}

/// Publishes a copy to a tier, as [`copies::for_tier`] makes it.
pub(super) async fn send(
    work: &Work,
    cx: &Context,
    report: &Report,
    failed: u32,
    (tier, due): (RetryTier, Option<SystemTime>),
    unsettled: &Unsettled,
) -> Waiting {
    let (queue, id) = (cx.queue(), cx.message_id());
    let copy = match copies::for_tier(cx, report, failed, (tier, due)) {
        Ok(copy) => copy,
        Err(error) => {
            tracing::warn!(%queue, id, %error, "message is held, because its copy cannot be addressed");
            return Waiting::Refused;
        }
    };
    tokio::select! {
        biased;
        published = work.environment.copies.publish_raw(copy) => match published {
            Ok(_) => Waiting::There(Some(Settlement::Ack)),
            Err(error) => {
                tracing::warn!(
                    %queue, id, tier = %tier.exchange(), %error,
                    "message is held for its delay, because it cannot wait in the retry tier; apply the topology, if the tier is missing"
                );
                Waiting::Refused
            }
        },
        () = unsettled.stale() => {
            tracing::info!(%queue, id, "message went stale on its way to a retry tier: it comes again by itself");
            work.metrics.stale();
            Waiting::There(None)
        }
        () = work.ending.cut().cancelled() => {
            work.ending.cut_short();
            Waiting::There(Some(Settlement::Release))
        }
    }
}
