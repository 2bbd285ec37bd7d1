use std::time::Duration;

use garenne_shared::{ExchangeName, QueueName};
use proptest::prelude::*;

use crate::{
    ClassicOverflow, DeadLetterStrategy, Exchange, HeadersMatch, Overflow, ProblemKind, Queue, Topology,
    WarningKind,
};

const MINUTE: Duration = Duration::from_secs(60);

fn orders() -> Topology {
    Topology::new()
        .exchange(Exchange::topic("orders"))
        .queue(Queue::quorum("billing").bind("orders", "order.placed.*").dead_letter())
}

#[track_caller]
fn check(topology: &Topology, expected: &[WarningKind]) {
    let warnings = topology.validate().unwrap_or_else(|error| panic!("it is valid, but: {error}"));
    let kinds: Vec<_> = warnings.iter().map(crate::Warning::kind).collect();
    assert_eq!(kinds, expected, "{warnings:?}");
}

/// The topology has exactly this problem, about this object.
#[track_caller]
fn check_fails(topology: &Topology, kind: ProblemKind, object: &str) {
    let error = topology.validate().expect_err("it is not valid");
    let found: Vec<_> = error.problems().iter().map(|problem| (problem.kind(), problem.object())).collect();
    assert_eq!(found, [(kind, object)], "{error}");
    let message = error.to_string();
    assert!(
        message.contains(&format!("`{object}`")) && message.contains("; "),
        "object and remedy: {message}"
    );
    assert!(!message.ends_with('.') && !message.contains("  "), "{message}");
}

#[test]
fn a_usual_topology_is_valid_without_warnings() {
    check(&Topology::new(), &[]);
    check(&orders(), &[]);
}

#[test]
fn a_quorum_queue_without_dead_letter_queue_is_warned_of_unless_it_says_so() {
    check(&orders().queue(Queue::quorum("q")), &[WarningKind::NoDeadLetter]);
    check(&orders().queue(Queue::quorum("q").without_dead_letter()), &[]);
    check(&orders().queue(Queue::classic("q")), &[]);
}

#[test]
fn an_exchange_that_nobody_is_bound_to_is_warned_of_unless_it_says_so() {
    check(&orders().exchange(Exchange::fanout("x")), &[WarningKind::UnboundExchange]);
    check(&orders().exchange(Exchange::fanout("x").bound_elsewhere()), &[]);
    check(&orders().exchange(Exchange::fanout("x").alternate("orders")), &[]);
    check(&orders().exchange(Exchange::fanout("x").bind("orders", "#")), &[WarningKind::UnboundExchange]);
}

#[test]
fn unknown_names_are_problems() {
    let unknown = ProblemKind::UnknownName;
    let q = || Queue::quorum("q").without_dead_letter();
    check_fails(&orders().queue(q().bind("nobody", "")), unknown, "q");
    check_fails(&orders().queue(q().dead_letter_to("nobody", "")), unknown, "q");
    check_fails(&orders().queue(q().dead_letter_to("", "nobody")), unknown, "q");
    check_fails(&orders().exchange(Exchange::topic("x").alternate("nobody")), unknown, "x");
    check_fails(&orders().exchange(Exchange::topic("x").bound_elsewhere().bind("nobody", "")), unknown, "x");
}

#[test]
fn external_and_predefined_names_are_known() {
    let topology = orders()
        .external_exchange("theirs")
        .external_queue("their-dlq")
        .queue(Queue::quorum("a").bind("theirs", "#").bind("amq.topic", "#").dead_letter_to("", "their-dlq"))
        .queue(Queue::classic("b").dead_letter_through("theirs"));
    check(&topology, &[]);
}

#[test]
fn one_name_stands_for_one_object() {
    let twice = ProblemKind::Duplicate;
    check_fails(&orders().exchange(Exchange::fanout("orders")), twice, "orders");
    check_fails(&orders().queue(Queue::classic("billing")), twice, "billing");
    check_fails(&orders().external_queue("billing"), twice, "billing");
    check_fails(&orders().external_exchange("orders"), twice, "orders");
    check(&orders().exchange(Exchange::topic("orders")), &[]);
}

#[test]
fn names_that_belong_to_the_broker_are_refused() {
    let invalid = ProblemKind::InvalidName;
    check_fails(&orders().exchange(Exchange::topic("amq.mine").bound_elsewhere()), invalid, "amq.mine");
    check_fails(&orders().queue(Queue::classic("amq.mine")), invalid, "amq.mine");
    check_fails(&orders().exchange(Exchange::topic("").bound_elsewhere()), invalid, "");
    let long = QueueName::try_from("q".repeat(252)).expect("252 bytes are allowed");
    check_fails(&orders().queue(Queue::quorum(&long).dead_letter()), invalid, long.as_str());
}

#[test]
fn bindings_must_fit_their_exchange() {
    let invalid = ProblemKind::InvalidBinding;
    let q = || Queue::classic("q");
    let hash = || Topology::new().exchange(Exchange::consistent_hash("h"));
    let headers = || Topology::new().exchange(Exchange::headers("h"));
    check_fails(&orders().queue(q().bind(ExchangeName::DEFAULT, "q")), invalid, "q");
    check_fails(&orders().queue(q().bind_headers("orders", HeadersMatch::all().present("a"))), invalid, "q");
    check_fails(&headers().queue(q().bind("h", "key")), invalid, "q");
    check_fails(&headers().queue(q().bind_headers("h", HeadersMatch::all())), invalid, "q");
    check_fails(&headers().queue(q().bind_headers("h", HeadersMatch::all().present("x-a"))), invalid, "q");
    check(&headers().queue(q().bind_headers("h", HeadersMatch::any().present("x-a").with_x())), &[]);
    check_fails(&hash().queue(q().bind("h", "")), invalid, "q");
    check_fails(&hash().queue(q().bind("h", "0")), invalid, "q");
    check(&hash().queue(q().bind("h", "10")), &[]);
}

#[test]
fn arguments_that_exclude_each_other_are_problems() {
    let conflict = ProblemKind::Conflict;
    let quorum = || Queue::quorum("q").without_dead_letter();
    let classic = || Queue::classic("q");
    check_fails(
        &orders().queue(quorum().dead_letter().overflow(Overflow::DropHead).max_length(1)),
        conflict,
        "q",
    );
    check_fails(&orders().queue(quorum().overflow(Overflow::RejectPublish)), conflict, "q");
    check_fails(
        &orders().queue(quorum().dead_letter_strategy(DeadLetterStrategy::AtMostOnce)),
        conflict,
        "q",
    );
    check_fails(&orders().queue(quorum().message_ttl(2 * MINUTE).expires(MINUTE)), conflict, "q");
    check_fails(&orders().queue(classic().overflow(Overflow::DropHead)), conflict, "q");
    let dlx = ClassicOverflow::RejectPublishDlx;
    check_fails(&orders().queue(classic().overflow(dlx).max_length(1)), conflict, "q");
    check_fails(&orders().queue(classic().exclusive().single_active_consumer()), conflict, "q");
    check_fails(
        &orders().queue(Queue::stream("q").max_length_bytes(1).max_segment_size_bytes(2)),
        conflict,
        "q",
    );
    check_fails(&orders().exchange(Exchange::topic("x").alternate("x")), conflict, "x");
    check(&orders().queue(quorum().dead_letter().overflow(Overflow::RejectPublish)), &[]);
    let at_most_once = quorum().dead_letter().dead_letter_strategy(DeadLetterStrategy::AtMostOnce);
    check(&orders().queue(at_most_once.overflow(Overflow::DropHead).max_length(1)), &[]);
}

#[test]
fn values_out_of_range_are_problems() {
    let range = ProblemKind::OutOfRange;
    let quorum = || Queue::quorum("q").without_dead_letter();
    check_fails(&orders().queue(quorum().message_ttl(Duration::from_micros(1))), range, "q");
    check_fails(&orders().queue(quorum().message_ttl(Duration::from_secs(3651 * 86400))), range, "q");
    check_fails(&orders().queue(quorum().expires(Duration::ZERO)), range, "q");
    check_fails(&orders().queue(quorum().max_length(u64::MAX)), range, "q");
    check_fails(&orders().queue(quorum().initial_group_size(0)), range, "q");
    check_fails(&orders().queue(Queue::classic("q").max_priority(0)), range, "q");
    check_fails(&orders().queue(Queue::stream("q").max_age(Duration::from_millis(1500))), range, "q");
    check_fails(&orders().queue(Queue::stream("q").max_segment_size_bytes(3_000_000_001)), range, "q");
    check(&orders().queue(quorum().message_ttl(Duration::ZERO)), &[]);
}

#[test]
fn an_exclusive_queue_is_warned_of() {
    check(&orders().queue(Queue::classic("q").exclusive()), &[WarningKind::ExclusiveQueue]);
    check(&orders().queue(Queue::classic("q").auto_delete()), &[WarningKind::AutoDeleteQueue]);
}

#[test]
fn a_cycle_that_no_consumer_has_a_part_in_is_a_problem() {
    let wait = |name: &'static str| Queue::quorum(name).message_ttl(MINUTE);
    let to_itself = Topology::new().queue(wait("a").dead_letter_to("", "a"));
    check_fails(&to_itself, ProblemKind::DeadLetterCycle, "a");
    let by_topic = Topology::new()
        .exchange(Exchange::topic("retry"))
        .exchange(Exchange::fanout("back").bind("retry", "wait.#"))
        .queue(wait("a").dead_letter_to("retry", "wait.1"))
        .queue(wait("b").bind("back", "").dead_letter_to("", "a"));
    check_fails(&by_topic, ProblemKind::DeadLetterCycle, "a");
    let by_length = Topology::new().queue(Queue::classic("a").max_length(1).dead_letter_to("", "a"));
    check_fails(&by_length, ProblemKind::DeadLetterCycle, "a");
}

#[test]
fn a_retry_after_a_delay_is_no_problem_but_for_its_delivery_limit() {
    let wait = || Queue::quorum("wait").message_ttl(MINUTE).dead_letter_to("", "work");
    let work = || Queue::quorum("work").dead_letter_to("", "wait");
    check(&Topology::new().queue(work()).queue(wait()), &[WarningKind::DroppedInCycle]);
    check(&Topology::new().queue(work().without_delivery_limit()).queue(wait()), &[]);
    check(&Topology::new().queue(Queue::classic("work").dead_letter_to("", "wait")).queue(wait()), &[]);
}

#[test]
fn dead_letters_that_reach_no_queue_are_warned_of() {
    let q = |key: &'static str| Queue::quorum("q").dead_letter_to("dead", key);
    let topology = || {
        Topology::new()
            .exchange(Exchange::direct("dead"))
            .queue(Queue::quorum("dead").bind("dead", "letters").without_dead_letter())
    };
    check(&topology().queue(q("letters")), &[]);
    check(&topology().queue(q("other")), &[WarningKind::DeadLetterUnrouted]);
}

#[test]
fn all_problems_come_in_one_error() {
    let topology = orders()
        .queue(Queue::quorum("a").bind("nobody", "").dead_letter())
        .queue(Queue::quorum("b").expires(Duration::ZERO).dead_letter());
    let error = topology.validate().expect_err("it is not valid");
    assert_eq!(error.kind(), ProblemKind::UnknownName);
    let expected = "2 problems:\n\
        - queue `a` is bound to exchange `nobody`, which nobody declares; define it, correct the name, or name it as external \
        if somebody else declares it\n\
        - `expires` of queue `b` is 0s, but it must be 1 ms at least; correct it";
    assert_eq!(error.to_string(), expected);
}

proptest! {
    /// Whatever refers to whatever: neither checking nor ordering runs for ever, and each object is declared once.
    #[test]
    fn any_wiring_is_checked_and_ordered(wires in prop::collection::vec((0..4_usize, 0..4_usize, 0..6_u8), 0..12)) {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let mut topology = Topology::new();
        for (from, to, what) in wires {
            let (from, to) = (NAMES[from], NAMES[to]);
            topology = match what {
                0 => topology.exchange(Exchange::fanout(from).alternate(to)),
                1 => topology.exchange(Exchange::topic(from).bind(to, "#")),
                2 => topology.queue(Queue::quorum(from).dead_letter_through(to)),
                3 => topology.queue(Queue::quorum(from).bind(to, "#").message_ttl(MINUTE).dead_letter_to("", to)),
                4 => topology.queue(Queue::classic(from).bind(to, "#").dead_letter()),
                _ => topology.external_queue(from),
            };
        }
        let _ = topology.validate();
        let declarations = topology.declarations();
        for (at, declaration) in declarations.iter().enumerate() {
            prop_assert!(!declarations[..at].contains(declaration));
        }
    }
}
