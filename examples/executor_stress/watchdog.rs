//! Ends the program when a world takes too long.

use crate::report;
use crate::world::World;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often it looks.
const TICK: Duration = Duration::from_millis(200);

/// Has a thread that looks at the present world. The end of a world is the only progress it takes for one: tasks may be
/// polled for ever and get nowhere.
pub(crate) struct Watchdog {
    watched: Arc<Mutex<Option<Watch>>>,
}

/// Since when a world is being played.
type Watch = (Instant, Arc<World>);

impl Watchdog {
    pub(crate) fn start(patience: Duration) -> Self {
        let watched = Arc::new(Mutex::new(None::<Watch>));
        let seen = Arc::clone(&watched);
        thread::spawn(move || {
            loop {
                thread::sleep(TICK);
                let late = seen
                    .lock()
                    .as_ref()
                    .filter(|(since, _)| since.elapsed() > patience)
                    .map(|(_, world)| Arc::clone(world));
                if let Some(world) = late {
                    report::hung(&world);
                }
            }
        });
        Self { watched }
    }

    /// A world begins, and with it the time that it has.
    pub(crate) fn watch(&self, world: &Arc<World>) {
        *self.watched.lock() = Some((Instant::now(), Arc::clone(world)));
    }

    /// The world has ended.
    pub(crate) fn rest(&self) {
        let ended = self.watched.lock().take();
        drop(ended);
    }
}
