//! Verdicts on a model of the worst broker that the specification allows.

use proptest::{collection::vec, prelude::*};

use super::*;

/// What the model broker does with a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Route,
    Return,
    Nack,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    vec(prop_oneof![4 => Just(Fate::Route), 1 => Just(Fate::Return), 1 => Just(Fate::Nack)], 1..60)
}

fn verdict(fate: Fate) -> Verdict {
    match fate {
        Fate::Route => Verdict::Taken,
        Fate::Return => Verdict::Returned,
        Fate::Nack => Verdict::Nacked,
    }
}

/// Publishes and confirms in random order: returns anywhere before their confirm, confirms single or `multiple`.
fn play(fates: &[Fate], seed: u64) -> Vec<(usize, Verdict)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut confirms = Confirms::new();
    let mut told = Vec::new();
    // Sent and neither confirmed nor returned; sent and not confirmed.
    let (mut sent, mut unreturned, mut unconfirmed) = (0, Vec::new(), Vec::new());
    while sent < fates.len() || !unconfirmed.is_empty() {
        match random.u8(..3) {
            0 if sent < fates.len() => {
                confirms.push(Some(Identity(sent as u64)), sent);
                if fates[sent] == Fate::Return {
                    unreturned.push(sent);
                }
                unconfirmed.push(sent);
                sent += 1;
            }
            1 if !unreturned.is_empty() => {
                let at = random.usize(..unreturned.len());
                assert!(confirms.returned(Identity(unreturned.swap_remove(at) as u64)));
            }
            2 if !unconfirmed.is_empty() => {
                let at = random.usize(..unconfirmed.len());
                let (number, nacked) = (unconfirmed[at], fates[unconfirmed[at]] == Fate::Nack);
                let all = &unconfirmed[..=at];
                let alike = |n: &usize| (fates[*n] == Fate::Nack) == nacked && !unreturned.contains(n);
                let multiple = all.iter().all(alike) && random.bool();
                if !multiple && unreturned.contains(&number) {
                    continue;
                }
                let confirm = Confirm { number: number as u64 + 1, multiple, nacked };
                confirms.confirmed(confirm, |publish, verdict| told.push((publish, verdict)));
                if multiple {
                    unconfirmed.drain(..=at);
                } else {
                    unconfirmed.remove(at);
                }
            }
            _ => {}
        }
    }
    assert_eq!((confirms.open(), confirms.take().count()), (0, 0));
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_publish_gets_its_own_verdict_once_in_any_order(fates in fates(), seed in any::<u64>()) {
        let mut told = play(&fates, seed);
        told.sort_unstable_by_key(|(publish, _)| *publish);
        let wanted: Vec<_> = fates.iter().map(|fate| verdict(*fate)).enumerate().collect();
        prop_assert_eq!(told, wanted);
    }

    #[test]
    fn no_confirm_of_a_confused_broker_hurts(
        confirms in vec((any::<u64>().prop_map(|n| n % 12), any::<bool>(), any::<bool>()), 0..30)
    ) {
        let mut known = Confirms::new();
        for n in 0..5 {
            known.push(None, n);
        }
        let mut told = Vec::new();
        for (number, multiple, nacked) in confirms {
            known.confirmed(Confirm { number, multiple, nacked }, |publish, _| told.push(publish));
        }
        told.extend(known.take());
        told.sort_unstable();
        prop_assert_eq!(told, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn an_identity_is_free_again_when_its_publish_is_confirmed() {
    let mut confirms = Confirms::new();
    let identity = Some(Identity(7));
    confirms.push(identity, "first");
    assert_eq!((confirms.get(identity), confirms.get(None)), (Some(&"first"), None));
    confirms.confirmed(Confirm { number: 1, multiple: false, nacked: false }, |_, _| {});
    assert_eq!(confirms.get(identity), None);
    assert!(!confirms.returned(Identity(7)), "a return of nothing that is under way is told");
}

#[test]
fn what_is_left_is_seen_in_order_from_any_number() {
    let mut confirms = Confirms::new();
    for n in 1..=5 {
        confirms.push(None, n);
    }
    confirms.confirmed(Confirm { number: 3, multiple: false, nacked: false }, |_, _| {});
    confirms.confirmed(Confirm { number: 1, multiple: false, nacked: false }, |_, _| {});
    let left = |confirms: &mut Confirms<i32>, from| {
        confirms.from(from).map(|(number, publish)| (number, *publish)).collect::<Vec<_>>()
    };
    assert_eq!(left(&mut confirms, 0), [(2, 2), (4, 4), (5, 5)]);
    assert_eq!(left(&mut confirms, 5), [(5, 5)]);
    assert_eq!(left(&mut confirms, 99), []);
}
