//! What `data_manager` hands out, awaited in programs that have a runtime already.
//!
//! `ChunkTask`, `JoinHandle`, `IoOperation` and `Sleep` are plain futures: nothing has to be entered, started or
//! bridged. Here each of them is awaited under tokio (several threads, and one), async-std and smol, raced,
//! timed out, dropped half way and moved from task to task; and what those runtimes have is awaited on
//! `TasksManager`. A crate of its own, because none of them may be in the library's tree. `.ci/embedding` runs it.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `runtimes.rs` | what the scenarios need of a runtime |
//! | `world.rs` | a manager, and a source whose files arrive when a test says so |
//! | `chunks.rs` | the scenarios with chunks |
//! | `operations.rs` | the scenarios with tasks, jobs and sleeps |

pub mod chunks;
pub mod operations;
pub mod runtimes;
pub mod world;

use std::future::Future;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use runtimes::Runtime;

/// How long a scenario may take. Long, since it is only reached when a wake-up is lost.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a scenario on a runtime of its own. A runtime that hangs is left behind and named.
pub fn run<R: Runtime>(scenario: impl Future<Output = ()> + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let runner = thread::spawn(move || {
        R::run(scenario);
        let _ = done.send(());
    });
    match ended.recv_timeout(DEADLINE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("nobody was woken within {DEADLINE:?}"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            if let Err(panic) = runner.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}
