//! Schedulers that only tests have: they prove that order by key and batches fit where the parallel one stands.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use garenne_embedded::Broker;
use garenne_producer::Publisher;
use garenne_shared::{Incoming, Outgoing};
use garenne_topology::{Queue, Topology};
use garenne_transport::{Client, Delivery, Settlement, Subscriber};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::Dispatch;
use crate::{Consumer, Context, Service, work::Work};

/// Reads the key of a message.
pub(crate) type Key = fn(&Incoming) -> String;

/// How long a batch waits to be filled.
const FILL: Duration = Duration::from_millis(50);

/// The messages of one key in order, those of different keys at once.
pub(crate) struct Keyed {
    work: Arc<Work>,
    key: Key,
    /// The keys under way, each with what waits behind it.
    lanes: HashMap<String, VecDeque<Delivery>>,
    tasks: JoinSet<()>,
    ended: (Sender<String>, Receiver<String>),
}

/// Several messages together: one task handles a batch and settles all of it at its end.
pub(crate) struct Batch {
    work: Arc<Work>,
    size: usize,
    waiting: Vec<Delivery>,
    due: Option<Instant>,
    tasks: JoinSet<()>,
}

// === impl Keyed ===

impl Keyed {
    pub(super) fn new(work: &Arc<Work>, key: Key) -> Self {
        // Room for every key under way: more deliveries than the prefetch there are not.
        let ended = channel(usize::from(u16::MAX));
        Self { work: Arc::clone(work), key, lanes: HashMap::new(), tasks: JoinSet::new(), ended }
    }

    pub(super) async fn next(&mut self, subscriber: &mut Subscriber) -> Option<Delivery> {
        loop {
            tokio::select! {
                biased;
                Some(key) = self.ended.1.recv() => self.go_on(key),
                delivery = subscriber.next() => return delivery,
            }
        }
    }

    pub(super) fn begin(&mut self, delivery: Delivery) {
        let key = (self.key)(&delivery.message);
        match self.lanes.get_mut(&key) {
            Some(lane) => lane.push_back(delivery),
            None => {
                self.lanes.insert(key.clone(), VecDeque::new());
                self.spawn(key, delivery);
            }
        }
    }

    fn go_on(&mut self, key: String) {
        match self.lanes.get_mut(&key).and_then(VecDeque::pop_front) {
            Some(delivery) => self.spawn(key, delivery),
            None => {
                self.lanes.remove(&key);
            }
        }
    }

    fn spawn(&mut self, key: String, delivery: Delivery) {
        let (work, ended) = (Arc::clone(&self.work), self.ended.0.clone());
        self.tasks.spawn(async move {
            if let Some(handled) = work.handle(delivery).await {
                work.settle(handled).await;
            }
            let _ = ended.send(key).await;
        });
    }

    pub(super) fn hand_back(&mut self) {
        for delivery in self.lanes.drain().flat_map(|(_, lane)| lane) {
            delivery.unsettled.settle(Settlement::Release);
        }
    }

    pub(super) const fn tasks(&mut self) -> &mut JoinSet<()> {
        &mut self.tasks
    }
}

// === impl Batch ===

impl Batch {
    pub(super) fn new(work: &Arc<Work>, size: usize) -> Self {
        Self { work: Arc::clone(work), size, waiting: Vec::new(), due: None, tasks: JoinSet::new() }
    }

    pub(super) async fn next(&mut self, subscriber: &mut Subscriber) -> Option<Delivery> {
        loop {
            let due = self.due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                biased;
                () = sleep_until(due), if self.due.is_some() => self.start(),
                delivery = subscriber.next() => return delivery,
            }
        }
    }

    pub(super) fn begin(&mut self, delivery: Delivery) {
        self.waiting.push(delivery);
        self.due.get_or_insert_with(|| Instant::now() + FILL);
        if self.waiting.len() >= self.size {
            self.start();
        }
    }

    fn start(&mut self) {
        self.due = None;
        let (work, batch) = (Arc::clone(&self.work), std::mem::take(&mut self.waiting));
        self.tasks.spawn(async move {
            let mut handled = Vec::new();
            for delivery in batch {
                handled.extend(work.handle(delivery).await);
            }
            for handled in handled {
                work.settle(handled).await;
            }
        });
    }

    pub(super) fn hand_back(&mut self) {
        for delivery in self.waiting.drain(..) {
            delivery.unsettled.settle(Settlement::Release);
        }
    }

    pub(super) const fn tasks(&mut self) -> &mut JoinSet<()> {
        &mut self.tasks
    }
}

/// Publishes `0..count`, with the remainder by three as routing header, and handles them by this dispatch until all were handled.
async fn handled(dispatch: Dispatch, count: u32) -> Vec<u32> {
    let broker = Broker::start().await.expect("the broker starts");
    let client = Client::connect(broker.url()).await.expect("it answers");
    let queue = Queue::quorum("work").dead_letter();
    client.apply(&Topology::new().queue(queue.clone())).await.expect("the topology is applied");
    let publisher = Publisher::new(&client);
    for number in 0..count {
        let mut message = Outgoing::new("", "work", number.to_string());
        message.metadata.headers.insert("key", (number % 3).to_string());
        publisher.publish_raw(message).await.expect("it is confirmed");
    }
    let done: Arc<Mutex<Vec<u32>>> = Arc::default();
    let noting = Arc::clone(&done);
    let mut consumer = Consumer::of(&queue).handle_raw(move |cx: Context| {
        let noting = Arc::clone(&noting);
        async move {
            // Others get a turn, so that order is not an accident.
            tokio::task::yield_now().await;
            let number = std::str::from_utf8(&cx.incoming().body).expect("text").parse().expect("a number");
            noting.lock().expect("nobody panicked").push(number);
            Ok(())
        }
    });
    consumer.dispatch = dispatch;
    let all = async {
        // What is acknowledged is gone: nothing ready, nothing delivered and not settled.
        broker.wait_until(|state| state.queue("work").is_some_and(|work| work.depth() == 0)).await;
    };
    let service = Service::new(&client).consume(consumer).run_until(all);
    timeout(Duration::from_secs(60), service).await.expect("it ends").expect("in order");
    client.close().await;
    broker.stop().await;
    std::mem::take(&mut *done.lock().expect("nobody panicked"))
}

#[tokio::test(flavor = "multi_thread")]
async fn keyed_dispatch_keeps_the_order_of_each_key() {
    let done = handled(
        Dispatch::Keyed(|message| message.metadata.headers.text("key").unwrap_or_default().to_owned()),
        60,
    )
    .await;
    for key in 0..3 {
        let of_key: Vec<_> = done.iter().copied().filter(|number| number % 3 == key).collect();
        assert_eq!(of_key, (0..60).filter(|number| number % 3 == key).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_settle_together_and_the_last_one_is_not_full() {
    let mut done = handled(Dispatch::Batch(8), 60).await;
    done.sort_unstable();
    assert_eq!(done, (0..60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_dispatch_handles_everything() {
    let mut done = handled(Dispatch::Parallel, 60).await;
    done.sort_unstable();
    assert_eq!(done, (0..60).collect::<Vec<_>>());
}
