//! What is easier to see by itself than in the simulator.

use super::*;

#[test]
fn backoff_grows_to_its_cap_and_is_spread() {
    let mut backoff = Backoff {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(10),
        rng: fastrand::Rng::with_seed(7),
    };
    let longest = backoff.longest;
    for (failures, cap_ms) in [
        (1, 100),
        (2, 200),
        (5, 1600),
        (40, 10_000),
        (u32::MAX, 10_000),
    ] {
        let draws: Vec<Duration> = (0..200).map(|_| backoff.retry(failures)).collect();
        let cap = Duration::from_millis(cap_ms);
        assert!(draws.iter().all(|draw| *draw <= cap && *draw <= longest));
        assert!(
            draws.iter().any(|draw| *draw > cap / 2) && draws.iter().any(|draw| *draw < cap / 2)
        );
    }
}
