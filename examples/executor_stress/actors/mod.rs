//! Who may be in a world.
//!
//! An actor ends by itself, whatever the others do, or is left to the driver as a
//! [`Stayer`](crate::scene::Stayer). Where it blocks a worker, it has leave to
//! ([`let_block`](crate::stage::Stage::let_block)), and waits only for what the other workers can bring about.

mod blocks;
mod cancels;
mod drops;
mod exits;
mod jobs;
mod meetings;
mod operations;
mod panics;
pub(crate) mod parts;
mod pools;
mod sleeps;
mod spawns;
mod wakes;

use super::scene::Scene;

/// One kind of actor.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Sets one up.
    pub(crate) enter: fn(&mut Scene<'_>),
}

const fn kind(name: &'static str, enter: fn(&mut Scene<'_>)) -> Kind {
    Kind { name, enter }
}

pub(crate) const KINDS: &[Kind] = &[
    kind("yielding", wakes::yielding),
    kind("ping-pong", wakes::ping_pong),
    kind("woken", wakes::woken),
    kind("answering", wakes::answering),
    kind("chain", spawns::chain),
    kind("family", spawns::family),
    kind("bursts", spawns::bursts),
    kind("spawned-outside", spawns::outside),
    kind("blocked-on-children", blocks::on_children),
    kind("blocked-after-long-poll", blocks::after_a_long_poll),
    kind("blocked-on-answer", blocks::on_an_answer),
    kind("nested", blocks::nested),
    kind("meeting", meetings::meeting),
    kind("bystanders", meetings::bystanders),
    kind("cancelled", cancels::cancelled),
    kind("cancelled-by-itself", cancels::by_itself),
    kind("panicking", panics::panicking_future),
    kind("bad-wakers", panics::bad_wakers),
    kind("last-words", drops::last_words),
    kind("operation", operations::awaited),
    kind("operation-given-up", operations::dropped),
    kind("jobs", jobs::awaited),
    kind("jobs-that-wait", jobs::that_wait),
    kind("bounds", jobs::bounds),
    kind("moving-bound", pools::moving_bound),
    kind("leaving-threads", pools::leaving_threads),
    kind("slow-drops", pools::slow_drops),
    kind("sleeping", sleeps::sleeping),
    kind("sleep-dropped", sleeps::dropped),
    kind("thread-exit", exits::outside),
    kind("worker-exit", exits::of_a_worker),
    kind("pool-thread-exit", exits::of_a_pool_thread),
];
