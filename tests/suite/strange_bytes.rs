//! Whatever bytes a peer writes and the broker takes: they never stop a consumer, and never cost a neighbour anything.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use garenne::{Consumer, Context, Exchange, Queue, Service, Topology};
use garenne_tests::wire::raw::{long, short};
use garenne_tests::wire::{Confirm, Wire};
use garenne_tests::{SECONDS, eventually};

use crate::workshop::Workshop;

/// How many strange messages.
const STRANGE: u32 = 10_000;
/// A good neighbour comes after so many.
const EVERY: u32 = 5;
/// How many publishes are under way.
const BATCH: u32 = 500;
/// Short strings whose bytes are free: not `expiration` and `user-id`, which the broker reads.
const TEXTS: [u16; 8] = [15, 14, 10, 9, 7, 5, 3, 2];
const HEADERS: u16 = 13;
const DELIVERY_MODE: u16 = 12;
const PRIORITY: u16 = 11;
const TIMESTAMP: u16 = 6;

/// What was handled, by the text of the body.
type Handled = Arc<Mutex<BTreeSet<String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_that_the_broker_takes_never_stop_a_consumer() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let queue = Queue::quorum("work").bind("in", "").delivery_limit(3).dead_letter();
    client
        .apply(&Topology::new().exchange(Exchange::fanout("in")).queue(queue))
        .await
        .expect("it is applied");
    let handled = Handled::default();
    let running = Workshop::serve(Service::new(&client).consume(consumer(&handled)));

    publish(&vhost.url(), 2026).await;

    let wanted = STRANGE / EVERY;
    eventually(180 * SECONDS, "every good neighbour is handled", async || match count(&handled, "good") {
        found if found == wanted => Ok(()),
        found => Err((found, client.health())),
    })
    .await;
    eventually(180 * SECONDS, "every strange message is handled or set aside", async || {
        let (strange, aside) = (count(&handled, "strange"), vhost.depth("work.dlq").await);
        if u64::from(strange) + aside >= u64::from(STRANGE) { Ok(()) } else { Err((strange, aside)) }
    })
    .await;
    running.stop().await.expect("a clean stop");
    client.close().await;
}

fn consumer(handled: &Handled) -> Consumer {
    let handled = Arc::clone(handled);
    Consumer::new("work").concurrency(16).handle_raw(move |cx: Context| {
        let body = String::from_utf8_lossy(&cx.incoming().body).into_owned();
        handled.lock().expect("no panic while locked").insert(body);
        std::future::ready(Ok(()))
    })
}

fn count(handled: &Handled, kind: &str) -> u32 {
    let handled = handled.lock().expect("no panic while locked");
    u32::try_from(handled.iter().filter(|body| body.starts_with(kind)).count()).expect("thousands")
}

/// Publishes strange messages and their neighbours; the broker confirms every one.
async fn publish(url: &str, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut wire = Wire::connect(url).await;
    wire.open_channel(1).await;
    wire.confirm_select(1).await;
    let (mut sent, mut first) = (0_u64, 1_u64);
    for number in 0..STRANGE {
        let (key, properties) = strange(number, &mut rng);
        let body = format!("strange {number}");
        wire.publish_raw(1, (b"in", &key), false, &properties, body.as_bytes()).await;
        sent += 1;
        if number % EVERY == 0 {
            let body = format!("good {number}");
            wire.publish_raw(1, (b"in", b""), false, &[0, 0], body.as_bytes()).await;
            sent += 1;
        }
        if number % BATCH == BATCH - 1 {
            let verdicts = wire.expect_confirms_from(1, first, sent + 1 - first).await;
            assert!(verdicts.iter().all(|verdict| *verdict == Confirm::Ack), "the broker takes them");
            first = sent + 1;
        }
    }
    wire.close().await;
}

/// A routing key, and some of the properties, of random bytes.
fn strange(number: u32, rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
    let (mut flags, mut values) = (0_u16, Vec::new());
    for bit in (0..16_u16).rev().filter(|_| rng.bool()).collect::<Vec<_>>() {
        match bit {
            HEADERS => {
                let headers = if number % 1000 == 7 { large(rng) } else { table(rng, 3) };
                values.extend(long(&headers));
            }
            DELIVERY_MODE => values.push(rng.u8(1..=2)),
            PRIORITY => values.push(rng.u8(..)),
            TIMESTAMP => values.extend(rng.u64(..).to_be_bytes()),
            text if TEXTS.contains(&text) => values.extend(short(&bytes(rng, 255))),
            _ => continue,
        }
        flags |= 1 << bit;
    }
    (bytes(rng, 255), [flags.to_be_bytes().as_slice(), &values].concat())
}

/// Text, or bytes of any kind.
fn bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    let length = if rng.u8(..) == 0 { most } else { rng.usize(0..=most.min(20)) };
    let is_text = rng.bool();
    (0..length).map(|_| if is_text { rng.alphanumeric() as u8 } else { rng.u8(..) }).collect()
}

fn table(rng: &mut Rng, depth: u32) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..rng.usize(0..5) {
        table.extend(short(&bytes(rng, 255)));
        value(&mut table, rng, depth);
    }
    table
}

/// Headers that fill a frame almost to its end: what the broker adds no longer fits.
fn large(rng: &mut Rng) -> Vec<u8> {
    [short(b"large").as_slice(), b"x", &long(&vec![rng.u8(..); 126_000])].concat()
}

/// Appends a value of any type, with its tag.
fn value(to: &mut Vec<u8>, rng: &mut Rng, depth: u32) {
    let tags: &[u8] = if depth == 0 { b"tbBsuIildfDTVSx" } else { b"tbBsuIildfDTVSxFA" };
    let tag = tags[rng.usize(..tags.len())];
    to.push(tag);
    match tag {
        b't' | b'b' | b'B' => to.push(rng.u8(..)),
        b's' | b'u' => to.extend(rng.u16(..).to_be_bytes()),
        b'I' | b'i' => to.extend(rng.u32(..).to_be_bytes()),
        b'l' | b'T' => to.extend(rng.u64(..).to_be_bytes()),
        // Erlang has no infinity and no NaN: the broker closes the connection of who writes them.
        b'f' => to.extend(finite(|| f32::from_bits(rng.u32(..)), |f| f.is_finite()).to_be_bytes()),
        b'd' => to.extend(finite(|| f64::from_bits(rng.u64(..)), |d| d.is_finite()).to_be_bytes()),
        b'D' => {
            to.push(rng.u8(..));
            to.extend(rng.u32(..).to_be_bytes());
        }
        b'S' | b'x' => to.extend(long(&bytes(rng, 1000))),
        b'F' => to.extend(long(&table(rng, depth - 1))),
        b'A' => {
            let mut array = Vec::new();
            (0..rng.usize(0..4)).for_each(|_| value(&mut array, rng, depth - 1));
            to.extend(long(&array));
        }
        _ => {}
    }
}

/// Draws until the number is finite.
fn finite<F>(mut draw: impl FnMut() -> F, is_finite: impl Fn(&F) -> bool) -> F {
    loop {
        let drawn = draw();
        if is_finite(&drawn) {
            return drawn;
        }
    }
}
