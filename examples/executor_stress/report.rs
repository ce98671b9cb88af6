//! What is said, and the ways out when something did not hold.

use crate::options::Options;
use crate::world::World;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, set_hook, take_hook};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread::{self, panicking};
use std::time::Duration;

/// Ends with this if a promise was broken.
const VIOLATED: i32 = 1;
/// Ends with this if a world hung.
const HUNG: i32 = 2;

/// How long the executor's own description may take: a lock of it may be what hangs.
const DESCRIPTION: Duration = Duration::from_secs(2);

/// What makes the run what it is.
static RUN: OnceLock<(u64, Option<usize>)> = OnceLock::new();
static WORLD: AtomicU64 = AtomicU64::new(0);
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Held by whoever ends the program, so that there is one last word.
static LAST_WORD: Mutex<()> = Mutex::new(());

/// Every so many-th payload panics when it is dropped by anybody but its receiver.
const EXPLOSIVE: u64 = 7;

/// The payload of every panic that is made on purpose. The hook is silent on these.
pub(crate) struct OnPurpose {
    explosive: bool,
}

impl OnPurpose {
    /// It arrived: it is dropped without a panic.
    pub(crate) fn receive(mut self) {
        self.explosive = false;
    }
}

impl Drop for OnPurpose {
    fn drop(&mut self) {
        if self.explosive && !panicking() {
            panic_any(OnPurpose { explosive: false });
        }
    }
}

/// Panics, as a user's code may.
pub(crate) fn panic_on_purpose() -> ! {
    let number = PANICS.fetch_add(1, Ordering::Relaxed);
    panic_any(OnPurpose {
        explosive: number.is_multiple_of(EXPLOSIVE),
    })
}

/// Runs code that may panic on purpose.
pub(crate) fn survive(code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code))
        && let Ok(payload) = payload.downcast::<OnPurpose>()
    {
        (*payload).receive();
    }
}

/// How often that was so far.
pub(crate) fn panics_on_purpose() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Remembers what a failure has to name.
pub(crate) fn begin_run(options: &Options) {
    RUN.get_or_init(|| (options.seed, options.threads));
    let default = take_hook();
    set_hook(Box::new(move |panic| {
        if !panic.payload().is::<OnPurpose>() {
            default(panic);
            violated("there was a panic that nobody made on purpose");
        }
    }));
}

pub(crate) fn begin_world(number: u64) {
    WORLD.store(number, Ordering::Relaxed);
}

/// Ends the program where a promise is broken. On the spot, because most of this is called inside the executor, which
/// would contain a panic.
pub(crate) fn hold(holds: bool, promise: impl FnOnce() -> String) {
    if !holds {
        violated(&promise());
    }
}

fn violated(what: &str) -> ! {
    let _last = LAST_WORD.lock();
    eprintln!("VIOLATED  {what}");
    eprintln!("          {}", how_to_repeat());
    // On a thread that has nothing: the destructors of its thread-locals run first, and those of a worker may wait.
    thread::spawn(|| exit(VIOLATED));
    loop {
        thread::park();
    }
}

/// Ends the program because a world does not end.
pub(crate) fn hung(world: &Arc<World>) -> ! {
    let _last = LAST_WORD.lock();
    eprintln!("HUNG      {}", how_to_repeat());
    eprintln!("{}", world.describe());
    let (sender, receiver) = channel();
    let described = Arc::clone(world);
    thread::spawn(move || sender.send(described.describe_executor()));
    match receiver.recv_timeout(DESCRIPTION) {
        Ok(description) => eprintln!("{description}"),
        Err(_) => eprintln!("          the executor cannot be described: one of its locks is held"),
    }
    exit(HUNG)
}

fn how_to_repeat() -> String {
    let world = WORLD.load(Ordering::Relaxed);
    let (seed, threads) = RUN.get().copied().unwrap_or_default();
    let threads = threads.map_or_else(String::new, |threads| format!(" --threads {threads}"));
    format!("in world {world} of seed {seed}; again: --seed {seed} --world {world}{threads}")
}
