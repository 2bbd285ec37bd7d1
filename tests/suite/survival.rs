//! Outages drawn from a seed, under load: everything comes back, nothing confirmed is lost, no verdict is untrue.
//!
//! More of them, longer, and those that need a broker or a cluster of their own: `cargo xtask outages`.

use garenne_tests::outages::{Plan, Single, play};

#[tokio::test(flavor = "multi_thread")]
async fn twelve_outages_from_a_seed_lose_nothing_and_everything_comes_back() {
    let stage = Single::on(crate::vhost().await).await;
    let book = play(&stage, Plan { seed: 12, count: 12, short: true }, |_| {}).await;
    let without_end = book.without_end();
    assert!(without_end.is_empty(), "this did not come back within a minute: {without_end:?}");
    assert_eq!((book.lost(), book.stuck(), book.wrong()), (0, 0, 0), "lost, stuck, wrong: {book:?}");
    assert!(book.confirmed() > 0);
}
