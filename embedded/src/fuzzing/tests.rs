//! The corpus and a bounded number of fresh mutations of it, on any toolchain.

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

/// The same mutations in every run.
const SEED: u64 = 4;
/// Longer than any input takes, by far, also in a debug build on a busy machine.
const TOO_LONG: Duration = Duration::from_secs(20);

#[test]
fn no_bytes_break_the_broker() {
    check("frames", super::frames, 2000);
}

#[test]
fn no_sequence_of_methods_breaks_the_broker() {
    check("methods", super::methods, 600);
}

/// Runs the corpus of a target and mutations of it. Set `GARENNE_FUZZ_SECONDS` when compiling to go on for so long.
fn check(target: &str, run: fn(&[u8]), mutations: usize) {
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "no corpus for {target}");
    for (name, input) in &corpus {
        check_one(name, run, input);
    }
    let seconds = option_env!("GARENNE_FUZZ_SECONDS").map_or(0, |seconds| seconds.parse().expect("a number"));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut rng = fastrand::Rng::with_seed(if seconds > 0 { fastrand::u64(..) } else { SEED });
    let mut done = 0;
    while done < mutations || Instant::now() < end {
        let seed = rng.u64(..);
        let input = mutate(&mut fastrand::Rng::with_seed(seed), &corpus);
        check_one(&format!("seed {seed}"), run, &input);
        done += 1;
    }
}

fn check_one(name: &str, run: fn(&[u8]), input: &[u8]) {
    let begin = Instant::now();
    if catch_unwind(|| run(input)).is_err() {
        panic!("{name} breaks the broker: {}", input.escape_ascii());
    }
    assert!(begin.elapsed() < TOO_LONG, "{name} takes {:?}: {}", begin.elapsed(), input.escape_ascii());
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut corpus: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.expect("the corpus is readable").path();
            (path.display().to_string(), std::fs::read(&path).expect("the corpus is readable"))
        })
        .collect();
    corpus.sort();
    corpus
}

/// Copies an input and spoils it: bytes, numbers, pieces of it and of others.
fn mutate(rng: &mut fastrand::Rng, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut input = corpus[rng.usize(..corpus.len())].1.clone();
    for _ in 0..rng.usize(1..8) {
        let at = rng.usize(..=input.len());
        let end = input.len().min(at + rng.usize(..32));
        match rng.u8(..8) {
            0 => _ = input.drain(at..end),
            1 => input.insert(at, rng.u8(..)),
            2 => {
                let piece = input[at..end].to_vec();
                let to = rng.usize(..=input.len());
                input.splice(to..to, piece);
            }
            3 => {
                let other = &corpus[rng.usize(..corpus.len())].1;
                let from = rng.usize(..=other.len());
                let to = other.len().min(from + rng.usize(..256));
                input.splice(at..at, other[from..to].iter().copied());
            }
            4 => input.extend((0..rng.usize(..64)).map(|_| rng.u8(..))),
            5 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xff, 206][rng.usize(..6)],
            6 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
            _ if at < input.len() => input[at] = rng.u8(..),
            _ => {}
        }
    }
    input.truncate(8 << 10);
    input
}
