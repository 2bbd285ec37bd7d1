//! Handlers that block their thread: the health names them while they do.

use std::sync::{Arc, Condvar, Mutex};

use garenne::{Client, Consumer, Context};
use garenne_tests::{SECONDS, eventually};

use crate::workshop::{Diary, Job, Workshop};

/// Something to block on.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().expect("nobody panics while it is locked") = true;
        self.changed.notify_all();
    }

    fn block(&self) {
        let open = self.open.lock().expect("nobody panics while it is locked");
        let open = self.changed.wait_while(open, |open| !*open);
        drop(open.expect("nobody panics while it is locked"));
    }
}

async fn problems(client: &Client, blocked: bool) {
    eventually(30 * SECONDS, "the health tells", async || {
        let health = client.health();
        let told = health.problems.iter().any(|text| text.contains("`work` blocks its thread"));
        if told == blocked && health.is_ready() != blocked { Ok(()) } else { Err(health) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_its_thread_is_named_while_it_does() {
    for concurrency in [1, 4] {
        let workshop = Workshop::new(5).await;
        let (diary, gate) = (Diary::default(), Arc::new(Gate::default()));
        let blocking = {
            let (diary, gate) = (diary.clone(), Arc::clone(&gate));
            move |_: Job, _: Context| {
                let (diary, gate) = (diary.clone(), Arc::clone(&gate));
                async move {
                    diary.note("begun");
                    gate.block();
                    Ok(())
                }
            }
        };
        let running = workshop.run(Consumer::new("work").concurrency(concurrency).handle(blocking));
        workshop.jobs(0..1).await;
        diary.reaches(1).await;
        problems(&workshop.client, true).await;
        gate.open();
        problems(&workshop.client, false).await;
        running.stop().await.unwrap();
        workshop.holds("work", 0).await;
    }
}

/// The stop does not wait for what cannot be stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_its_thread_does_not_keep_the_service_from_ending() {
    for concurrency in [1, 4] {
        let workshop = Workshop::new(5).await;
        let (diary, gate) = (Diary::default(), Arc::new(Gate::default()));
        let blocking = {
            let (diary, gate) = (diary.clone(), Arc::clone(&gate));
            move |_: Job, _: Context| {
                diary.note("begun");
                gate.block();
                std::future::ready(Ok(()))
            }
        };
        let consumer = Consumer::new("work").concurrency(concurrency).handle(blocking);
        let service = garenne::Service::new(&workshop.client).consume(consumer);
        let running = Workshop::serve(service.drain_timeout(SECONDS / 10));
        workshop.jobs(0..1).await;
        diary.reaches(1).await;
        let ended = tokio::time::timeout(60 * SECONDS, running.stop()).await.expect("it ends");
        assert_eq!(ended.map_err(|error| error.kind()), Err(garenne::ErrorKind::HandedBack));
        gate.open();
    }
}
