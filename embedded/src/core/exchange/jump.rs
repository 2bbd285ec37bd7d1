//! Jump consistent hash, with the random numbers of Erlang's `exs1024`, so that a hash gets the same bucket as on RabbitMQ.
//!
//! After Lamping and Veach, <https://arxiv.org/abs/1406.2294>; `rabbit_exchange_type_consistent_hash.erl`, `jump_consistent_hash`.

/// Returns the bucket of a hash, of at least one: when a bucket is added, only keys of the new one move.
pub(super) fn jump(hash: i64, buckets: usize) -> usize {
    if buckets <= 1 {
        return 0;
    }
    let mut random = Random::new(hash);
    let (mut bucket, mut next) = (0, 0);
    while next < buckets {
        bucket = next;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "as published; all values are positive, and the largest saturates"
        )]
        {
            next = ((bucket + 1) as f64 / random.uniform()) as usize;
        }
    }
    bucket
}

/// OTP's `rand.erl`, `exs1024`: xorshift1024* by Vigna, <https://arxiv.org/abs/1402.6246>.
struct Random {
    state: [u64; 16],
    at: usize,
}

impl Random {
    /// `rand:seed_s(exs1024, {Key, Key, Key})`.
    #[expect(clippy::cast_sign_loss, reason = "Erlang masks negative integers in two's complement")]
    fn new(key: i64) -> Self {
        const MASK: u64 = (1 << 21) - 1;
        let key = key as u64 & MASK;
        let [a, b, c] = [2_097_131, 2_097_133, 2_097_143].map(|prime| ((key + 1) * prime) & MASK);
        let mut seed = (a << 43) | (b << 22) | (c << 1) | 1;
        let mut state = [0; 16];
        // The last number made is the first of the list.
        for number in state.iter_mut().rev() {
            seed ^= seed >> 12;
            seed ^= seed << 25;
            seed ^= seed >> 27;
            *number = seed.wrapping_mul(2_685_821_657_736_338_717);
        }
        Self { state, at: 0 }
    }

    /// Returns the next number below 1, which is never 0.
    #[expect(clippy::cast_precision_loss, reason = "Erlang divides integers to a float as well")]
    fn uniform(&mut self) -> f64 {
        let first = self.state[self.at];
        self.at = (self.at + 1) % 16;
        let mut second = self.state[self.at];
        second ^= second << 31;
        second ^= second >> 11;
        let next = first ^ (first >> 30) ^ second;
        self.state[self.at] = next;
        next.wrapping_mul(1_181_783_497_276_652_981) as f64 / 18_446_744_073_709_551_616.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_is_that_of_erlang() {
        assert_eq!(Random::new(7).state[..2], [4_356_584_333_155_659_769, 6_460_041_789_371_430_341]);
        assert_eq!(Random::new(7).state[15], 18_314_733_143_918_856_853);
    }

    #[test]
    fn a_new_bucket_takes_its_share_and_moves_nothing_else() {
        let keys: Vec<i64> = (0..10_000).map(|n: i64| n.wrapping_mul(7_919)).collect();
        let moved: Vec<_> = keys.iter().filter(|&&key| jump(key, 4) != jump(key, 5)).collect();
        assert!((1_700..2_300).contains(&moved.len()), "a fifth moves: {}", moved.len());
        assert!(moved.iter().all(|&&key| jump(key, 5) == 4));
    }
}
