//! The arithmetic against a made-up clock: single answers, and worlds of transfers that are late,
//! slow, stalled or short of bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const WINDOW: Duration = Duration::from_millis(100);
/// The copy loop's buffer.
const ROOM: u64 = 256 * 1024;

fn line(limit: u64) -> Line {
    let mut line = Line::default();
    line.set_limit(Duration::ZERO, NonZeroU64::new(limit));
    line
}

fn waits(answer: &Answer) -> Duration {
    match answer {
        Answer::Wait(duration) => *duration,
        Answer::Take(bytes) => panic!("{bytes} bytes at once"),
    }
}

#[test]
fn without_a_limit_nobody_waits() {
    let mut line = Line::default();
    let key = line.enter();
    for _ in 0..1000 {
        assert_eq!(line.ask(Duration::ZERO, key, ROOM), Answer::Take(ROOM));
    }
}

#[test]
fn a_byte_a_second() {
    let mut line = line(1);
    let key = line.enter();
    let start = Duration::from_secs(1000);
    // Idle time earns nothing here that one could take.
    let first = waits(&line.ask(start, key, ROOM));
    assert!(first > 900 * MS && first <= 1000 * MS, "{first:?}");
    assert_eq!(line.ask(start + first, key, ROOM), Answer::Take(1));
    assert_eq!(waits(&line.ask(start + first, key, ROOM)), 1000 * MS);
}

#[test]
fn who_comes_first_is_served_first_and_a_late_one_holds_nobody_up() {
    let mut line = line(1000);
    let keys = [line.enter(), line.enter()];
    let now = Duration::ZERO;
    assert_eq!(waits(&line.ask(now, keys[0], 10)), 10 * MS);
    assert_eq!(waits(&line.ask(now, keys[1], 10)), 20 * MS);
    // The second asks again before its time, and at its time, while the first sleeps on.
    assert_eq!(waits(&line.ask(now + 15 * MS, keys[1], 10)), 5 * MS);
    assert_eq!(line.ask(now + 20 * MS, keys[1], 10), Answer::Take(10));
    assert_eq!(line.ask(now + 20 * MS, keys[0], 10), Answer::Take(10));
    assert_eq!(waits(&line.ask(now + 20 * MS, keys[0], 10)), 10 * MS);
}

#[test]
fn who_leaves_makes_room_and_gives_back() {
    let mut line = line(1000);
    let keys = [line.enter(), line.enter(), line.enter()];
    let now = Duration::ZERO;
    for (at, key) in keys.iter().enumerate() {
        let wait = waits(&line.ask(now, *key, 5));
        assert_eq!(wait, MS * 5 * u32::try_from(at + 1).unwrap());
    }
    assert!(line.leave(keys[0], 0), "two are better off");
    assert_eq!(waits(&line.ask(now, keys[1], 5)), 5 * MS);
    assert_eq!(line.ask(now + 5 * MS, keys[1], 5), Answer::Take(5));
    assert_eq!(waits(&line.ask(now + 5 * MS, keys[2], 5)), 5 * MS);
    assert!(line.leave(keys[1], 3), "three of five were not taken");
    assert_eq!(waits(&line.ask(now + 5 * MS, keys[2], 5)), 2 * MS);
    assert!(!line.leave(keys[2], 0), "nobody is left");
}

#[test]
fn what_a_higher_limit_gave_is_not_given_back_under_a_lower_one() {
    let mut line = line(1_000_000);
    let keys = [line.enter(), line.enter()];
    let now = 10 * MS;
    assert_eq!(line.ask(now, keys[0], ROOM), Answer::Take(10_000));
    line.set_limit(now, NonZeroU64::new(1000));
    assert_eq!(waits(&line.ask(now, keys[1], ROOM)), 10 * MS);
    let left = line.still_given(10_000, NonZeroU64::new(1_000_000));
    assert_eq!(left, 10, "a turn of the new one");
    assert_eq!(line.still_given(10_000, line.limit()), 10_000);
    assert!(line.leave(keys[0], left));
    assert_eq!(line.ask(now, keys[1], ROOM), Answer::Take(10));
    assert_eq!(waits(&line.ask(now, keys[1], ROOM)), 10 * MS);
}

#[test]
fn a_new_limit_holds_for_those_who_wait() {
    let mut line = line(1_000_000);
    let key = line.enter();
    let now = Duration::ZERO;
    assert_eq!(waits(&line.ask(now, key, ROOM)), 10 * MS);
    line.set_limit(now, NonZeroU64::new(1000));
    // A turn of the old limit would be ten seconds of the new one.
    assert_eq!(waits(&line.ask(now, key, ROOM)), 10 * MS);
    assert_eq!(line.cut_to_a_turn(10_000), 10);
    line.set_limit(now + 5 * MS, NonZeroU64::new(10_000));
    // Half of it was earned before, and the other half comes ten times as fast.
    assert_eq!(waits(&line.ask(now + 5 * MS, key, ROOM)), MS / 2);
    line.set_limit(now + 5 * MS, None);
    assert_eq!(line.ask(now + 5 * MS, key, ROOM), Answer::Take(ROOM));
    // What time without a limit brought is not saved up.
    line.set_limit(Duration::from_secs(60), NonZeroU64::new(1000));
    assert_eq!(waits(&line.ask(Duration::from_secs(60), key, 10)), 10 * MS);
}

#[test]
fn extreme_limits_do_not_overflow() {
    let mut line = line(u64::MAX);
    let key = line.enter();
    let late = Duration::from_secs(u64::MAX / 2);
    assert_eq!(line.ask(late, key, u64::MAX), Answer::Take(u64::MAX / 100));
    line.set_limit(late, NonZeroU64::new(1));
    assert_eq!(
        line.ask(Duration::MAX, key, u64::MAX),
        Answer::Wait(970 * MS)
    );
}

/// What may go wrong in a world.
#[derive(Clone, Copy, Debug)]
struct Weather {
    limit: u64,
    transfers: usize,
    /// How late a thread wakes at the most.
    late: Duration,
    /// Reads bring less than they may, transfers pause, and now and then all stall together.
    rough: bool,
    /// The limit changes.
    changing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Change,
    Enter,
    Ask,
    Took,
}

#[derive(Clone, Copy)]
struct Transfer {
    key: u64,
    in_hand: u64,
    under: Option<NonZeroU64>,
}

struct World {
    weather: Weather,
    rng: Rng,
    line: Line,
    transfers: Vec<Transfer>,
    agenda: BinaryHeap<Reverse<(Duration, usize, Happening)>>,
    /// While the sources stall, reads end at this time.
    stalled_until: Duration,
    /// What arrived, and when.
    taken: Vec<(Duration, u64)>,
    /// What arrived in all, by transfer.
    shares: Vec<u64>,
    limits: Vec<(Duration, u64)>,
}

impl World {
    fn new(weather: Weather, seed: u64) -> Self {
        let nobody = Transfer {
            key: 0,
            in_hand: 0,
            under: None,
        };
        let mut world = World {
            weather,
            rng: Rng::with_seed(seed),
            line: line(weather.limit),
            transfers: vec![nobody; weather.transfers],
            agenda: BinaryHeap::new(),
            stalled_until: Duration::ZERO,
            taken: Vec::new(),
            shares: vec![0; weather.transfers],
            limits: vec![(Duration::ZERO, weather.limit)],
        };
        for who in 0..weather.transfers {
            let at = if weather.rough { 3000 * MS } else { MS };
            let at = world.up_to(at);
            world.put(at, who, Happening::Enter);
        }
        if weather.changing {
            world.put(300 * MS, 0, Happening::Change);
        }
        world
    }

    fn put(&mut self, at: Duration, who: usize, what: Happening) {
        self.agenda.push(Reverse((at, who, what)));
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.rng.f64())
    }

    fn run(mut self, span: Duration) -> Self {
        while let Some(Reverse((now, who, what))) = self.agenda.pop() {
            if now > span {
                break;
            }
            match what {
                Happening::Change => self.change(now),
                Happening::Enter => {
                    self.transfers[who].key = self.line.enter();
                    self.put(now, who, Happening::Ask);
                }
                Happening::Ask => self.ask(now, who),
                Happening::Took => self.took(now, who),
            }
        }
        self
    }

    fn change(&mut self, now: Duration) {
        let limit = log_uniform(self.rng.f64());
        self.line.set_limit(now, NonZeroU64::new(limit));
        self.limits.push((now, limit));
        let next = now + self.up_to(600 * MS);
        self.put(next, 0, Happening::Change);
    }

    fn ask(&mut self, now: Duration, who: usize) {
        let Transfer {
            key,
            in_hand,
            under,
        } = self.transfers[who];
        let in_hand = self.line.still_given(in_hand, under);
        self.transfers[who].in_hand = in_hand;
        self.transfers[who].under = self.line.limit();
        if in_hand == 0 {
            match self.line.ask(now, key, ROOM) {
                Answer::Take(bytes) => self.transfers[who].in_hand = bytes,
                Answer::Wait(duration) => {
                    let late = self.weather.late;
                    let again = now + duration + self.up_to(late);
                    return self.put(again, who, Happening::Ask);
                }
            }
        }
        if self.weather.rough && now > self.stalled_until && self.rng.u32(..2000) == 0 {
            self.stalled_until = now + self.up_to(500 * MS);
        }
        let done = now + self.up_to(Duration::from_micros(30));
        self.put(done.max(self.stalled_until), who, Happening::Took);
    }

    fn took(&mut self, now: Duration, who: usize) {
        let mut bytes = self.transfers[who].in_hand;
        let mut next = now;
        if self.weather.rough {
            bytes = self.rng.u64(1..=bytes);
            if self.rng.u32(..500) == 0 {
                next += self.up_to(300 * MS);
            }
        }
        self.transfers[who].in_hand -= bytes;
        self.taken.push((now, bytes));
        self.shares[who] += bytes;
        self.put(next, who, Happening::Ask);
    }

    /// The fullest window, as a share of what the limit allows in it. Where the limit changes, the
    /// highest one counts that held in it, or while a read was under way that ended in it.
    fn fullest_window(&self) -> f64 {
        let (mut fullest, mut first, mut sum) = (0.0_f64, 0, 0);
        for (at, bytes) in &self.taken {
            sum += bytes;
            while self.taken[first].0 + WINDOW <= *at {
                sum -= self.taken[first].1;
                first += 1;
            }
            let from = at.saturating_sub(WINDOW + MS);
            let ended = self.limits.iter().rposition(|(since, _)| *since <= from);
            let limits = self.limits[ended.unwrap_or(0)..].iter();
            let in_force = limits.filter(|(since, _)| since <= at);
            let limit = in_force.map(|(_, limit)| *limit).max().unwrap();
            #[allow(clippy::cast_precision_loss, reason = "shares of a few million bytes")]
            let share = sum as f64 / (limit as f64 * WINDOW.as_secs_f64());
            fullest = fullest.max(share);
        }
        fullest
    }

    fn total(&self) -> u64 {
        self.shares.iter().sum()
    }
}

/// From 10 kB/s to 1 GB/s, each power of ten as often as the others.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is in range"
)]
fn log_uniform(share: f64) -> u64 {
    10_f64.powf(4.0 + 5.0 * share) as u64
}

fn weather(rough: bool, changing: bool) -> impl Strategy<Value = Weather> {
    let limit = (0.0..=1.0).prop_map(log_uniform);
    (limit, 1..=64_usize, 0..3000_u64).prop_map(move |(limit, transfers, late)| Weather {
        limit,
        transfers,
        late: Duration::from_micros(late),
        rough,
        changing,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn exact_over_ten_seconds(weather in weather(false, false), seed: u64) {
        let world = World::new(weather, seed).run(Duration::from_secs(10));
        let (total, due) = (world.total(), weather.limit * 10);
        prop_assert!(total.abs_diff(due) <= due / 20, "{total} of {due} bytes");
        prop_assert!(world.fullest_window() <= 2.0, "{}", world.fullest_window());
    }

    #[test]
    fn smooth_whatever_happens(weather in weather(true, false), seed: u64) {
        let world = World::new(weather, seed).run(Duration::from_secs(6));
        prop_assert!(world.fullest_window() <= 2.0, "{}", world.fullest_window());
    }

    #[test]
    fn smooth_while_the_limit_changes(mut weather in weather(false, true), seed: u64) {
        weather.late = weather.late.min(MS);
        let world = World::new(weather, seed).run(Duration::from_secs(4));
        prop_assert!(world.fullest_window() <= 2.0, "{}", world.fullest_window());
    }

    #[test]
    fn everybody_gets_the_same(weather in weather(false, false), seed: u64) {
        let world = World::new(weather, seed).run(Duration::from_secs(2));
        let (least, most) = (world.shares.iter().min().unwrap(), world.shares.iter().max().unwrap());
        // Whoever came first had its first turn to itself.
        prop_assert!(least * 10 / 9 + weather.limit / 100 >= *most, "{:?}", world.shares);
    }
}
