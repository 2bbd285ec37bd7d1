//! The coalescer against a broker that refuses as RabbitMQ does.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

const INTERVAL: Duration = Duration::from_millis(5);

/// A channel of RabbitMQ, as far as acknowledgements go.
#[derive(Default)]
struct Broker {
    unsettled: Vec<u64>,
    settled: BTreeMap<u64, Settlement>,
    frames: usize,
}

impl Broker {
    fn take(&mut self, frame: Frame) {
        self.frames += 1;
        let (tag, multiple, settlement) = match frame {
            Frame::Ack { tag, multiple, .. } => (tag, multiple, Settlement::Ack),
            Frame::Reject { tag, requeue: false } => (tag, false, Settlement::Reject),
            Frame::Reject { tag, requeue: true } => (tag, false, Settlement::Requeue),
            Frame::Nack { tag } => (tag, false, Settlement::Release),
        };
        assert!(self.unsettled.contains(&tag), "406: unknown delivery tag {tag}");
        let (settled, rest) =
            self.unsettled.iter().partition(|&&other| other == tag || (multiple && other < tag));
        let settled: Vec<u64> = settled;
        self.unsettled = rest;
        assert_eq!(settled.len(), frame.covers(), "{frame:?} settles {settled:?}");
        for tag in settled {
            assert!(self.settled.insert(tag, settlement).is_none(), "tag {tag} was settled twice");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Deliver(u8),
    Settle(Index, Settlement),
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let settlement = prop_oneof![
        12 => Just(Settlement::Ack),
        1 => Just(Settlement::Reject),
        1 => Just(Settlement::Requeue),
        1 => Just(Settlement::Release),
    ];
    let step = prop_oneof![
        3 => (1_u8..8).prop_map(Step::Deliver),
        12 => (any::<Index>(), settlement).prop_map(|(index, settlement)| Step::Settle(index, settlement)),
        1 => Just(Step::Tick),
    ];
    vec(step, 0..400)
}

proptest! {
    #[test]
    fn every_delivery_is_settled_once_with_its_outcome_in_any_order(
        steps in steps(),
        prefetch in 1_u16..40,
        flush_count in 0_u16..30,
    ) {
        let limits = Limits::new(prefetch, flush_count, INTERVAL);
        let mut coalescer = Coalescer::new(limits);
        let mut broker = Broker::default();
        let mut wanted = BTreeMap::new();
        let mut in_flight = Vec::new();
        let mut frames = Vec::new();
        let mut tag = 0;
        let mut now = Instant::now();
        for step in steps {
            match step {
                Step::Deliver(n) => {
                    let room = usize::from(prefetch) - broker.unsettled.len();
                    for _ in 0..usize::from(n).min(room) {
                        tag += 1;
                        broker.unsettled.push(tag);
                        in_flight.push(tag);
                        coalescer.delivered(tag, None);
                    }
                }
                Step::Settle(index, settlement) if !in_flight.is_empty() => {
                    let tag = in_flight.swap_remove(index.index(in_flight.len()));
                    wanted.insert(tag, settlement);
                    coalescer.settle(tag, settlement, || now, &mut frames);
                }
                Step::Settle(..) => {}
                Step::Tick => {
                    now += INTERVAL;
                    coalescer.tick(now, &mut frames);
                }
            }
            frames.drain(..).for_each(|frame| broker.take(frame));
            prop_assert_eq!(coalescer.in_flight(), in_flight.len());
            prop_assert_eq!(coalescer.waiting(), broker.unsettled.len() - in_flight.len());
            // The broker always has room to send, or everything is in the handlers' hands.
            prop_assert!(coalescer.waiting() < limits.window);
        }
        coalescer.flush(now, &mut frames);
        frames.drain(..).for_each(|frame| broker.take(frame));
        prop_assert_eq!(&broker.settled, &wanted);
        prop_assert_eq!(broker.unsettled.len(), in_flight.len());
    }

    #[test]
    fn acks_in_order_take_one_frame_per_flush_count(n in 1_u64..2000, flush_count in 1_u16..60) {
        let mut coalescer = Coalescer::new(Limits::new(200, flush_count, INTERVAL));
        let mut broker = Broker::default();
        let mut frames = Vec::new();
        let now = Instant::now();
        // One is always delivered ahead, as on a busy queue.
        coalescer.delivered(1, None);
        broker.unsettled.push(1);
        for tag in 1..=n {
            coalescer.delivered(tag + 1, None);
            broker.unsettled.push(tag + 1);
            coalescer.settle(tag, Settlement::Ack, || now, &mut frames);
        }
        coalescer.flush(now, &mut frames);
        frames.drain(..).for_each(|frame| broker.take(frame));
        prop_assert_eq!(broker.settled.len() as u64, n);
        prop_assert_eq!(broker.frames as u64, n.div_ceil(u64::from(flush_count)));
    }

    #[test]
    fn acks_of_concurrent_handlers_still_share_frames(order in vec(any::<Index>(), 2000)) {
        // Sixteen handlers without memory finish in random order, the worst case: still far from one frame a message.
        let mut coalescer = Coalescer::new(Limits::new(200, 50, INTERVAL));
        let mut broker = Broker::default();
        let mut running: Vec<u64> = (1..=16).collect();
        let mut frames = Vec::new();
        let now = Instant::now();
        for &tag in &running {
            coalescer.delivered(tag, None);
            broker.unsettled.push(tag);
        }
        for (next, index) in (17..).zip(order) {
            coalescer.delivered(next, None);
            broker.unsettled.push(next);
            let tag = std::mem::replace(&mut running[index.index(16)], next);
            coalescer.settle(tag, Settlement::Ack, || now, &mut frames);
            frames.drain(..).for_each(|frame| broker.take(frame));
        }
        prop_assert!(broker.frames < 1000, "{} frames for 2000 acks", broker.frames);
    }
}

#[test]
fn a_lone_ack_goes_out_at_once_when_the_last_frame_is_old() {
    let mut coalescer = Coalescer::new(Limits::new(100, 50, INTERVAL));
    let start = Instant::now();
    let mut frames = Vec::new();
    coalescer.delivered(1, None);
    coalescer.settle(1, Settlement::Ack, || start, &mut frames);
    assert_eq!(frames, [Frame::Ack { tag: 1, multiple: false, covers: 1 }]);

    frames.clear();
    coalescer.delivered(2, None);
    coalescer.settle(2, Settlement::Ack, || start + INTERVAL / 2, &mut frames);
    assert_eq!(frames, [], "a frame has just been sent: the next ack waits for company");
    coalescer.tick(start + INTERVAL, &mut frames);
    assert_eq!(frames, [Frame::Ack { tag: 2, multiple: false, covers: 1 }]);
}

#[test]
fn what_overtook_a_slow_neighbour_waits_for_it_one_tick_and_then_goes_alone() {
    let mut coalescer = Coalescer::new(Limits::new(100, 50, INTERVAL));
    let start = Instant::now();
    let mut frames = Vec::new();
    for tag in 1..=3 {
        coalescer.delivered(tag, None);
    }
    coalescer.settle(2, Settlement::Ack, || start, &mut frames);
    coalescer.tick(start, &mut frames);
    assert_eq!(frames, []);
    coalescer.tick(start + INTERVAL, &mut frames);
    assert_eq!(frames, [Frame::Ack { tag: 2, multiple: false, covers: 1 }]);

    frames.clear();
    coalescer.settle(1, Settlement::Ack, || start + INTERVAL, &mut frames);
    coalescer.settle(3, Settlement::Ack, || start + INTERVAL, &mut frames);
    coalescer.flush(start + INTERVAL, &mut frames);
    assert_eq!(frames, [Frame::Ack { tag: 3, multiple: true, covers: 2 }], "tag 2 is skipped over");
}

#[test]
fn a_reject_between_acks_is_not_swallowed_by_multiple() {
    let mut coalescer = Coalescer::new(Limits::new(100, 50, INTERVAL));
    let now = Instant::now();
    let mut frames = Vec::new();
    for tag in 1..=4 {
        coalescer.delivered(tag, None);
    }
    coalescer.settle(1, Settlement::Ack, || now, &mut frames);
    coalescer.settle(3, Settlement::Ack, || now, &mut frames);
    coalescer.settle(2, Settlement::Reject, || now, &mut frames);
    coalescer.flush(now, &mut frames);
    assert_eq!(
        frames,
        [Frame::Reject { tag: 2, requeue: false }, Frame::Ack { tag: 3, multiple: true, covers: 2 }],
    );
}

#[test]
fn settling_twice_sends_nothing() {
    let mut coalescer = Coalescer::new(Limits::new(10, 1, INTERVAL));
    let now = Instant::now();
    let mut frames = Vec::new();
    coalescer.delivered(1, None);
    coalescer.settle(1, Settlement::Ack, || now, &mut frames);
    coalescer.settle(1, Settlement::Reject, || now, &mut frames);
    assert_eq!(frames.len(), 1);
}

#[test]
fn a_stream_goes_on_at_the_first_delivery_that_is_not_done() {
    let mut coalescer = Coalescer::new(Limits::new(10, 5, INTERVAL));
    let now = Instant::now();
    let mut frames = Vec::new();
    assert_eq!(coalescer.resume_offset(), None);
    for tag in 1..=3 {
        coalescer.delivered(tag, Some(40 + tag));
    }
    coalescer.settle(1, Settlement::Ack, || now, &mut frames);
    coalescer.settle(3, Settlement::Ack, || now, &mut frames);
    assert_eq!(coalescer.resume_offset(), Some(42));
    coalescer.settle(2, Settlement::Ack, || now, &mut frames);
    assert_eq!(coalescer.resume_offset(), Some(44));
}
