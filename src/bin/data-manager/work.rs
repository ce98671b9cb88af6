//! A manager at work, until it is done, told to stop, or stuck.
//!
//! What happens comes from several threads into one queue, and the thread that shows it reads that:
//! while nothing happens, nothing runs.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl, Event};

use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::signals::OnSignal;

/// So many notices wait. Beyond that the manager's queue for its subscriber fills, which is bounded,
/// too, and says what was lost.
const INBOX: usize = 1024;

/// The events that may wait for us: a start or a large assignment has thousands in a moment.
const EVENT_QUEUE: usize = 64 * 1024;

/// How long a shutdown may take. A fetch that does not stop in that time is left to the process's end.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// How long what happened may take to get here after that.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often it is looked whether there is something to show while something is under way.
const LOOK: Duration = Duration::from_millis(200);

/// Something that happened.
enum Notice<T> {
    Event(Event),
    /// The job is done.
    Done(Result<T, Failure>),
}

/// What a wait ended with.
enum Waited<T> {
    Notice(Notice<T>),
    /// Somebody wants us to stop.
    Stop,
    /// It is time to look.
    Time,
}

/// How the work ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// The job is done.
    Done(T),
    /// Somebody wanted it to stop.
    Stopped,
    /// Nothing moved for so long.
    Stuck(Duration),
    /// It took so long.
    TimedOut(Duration),
}

/// When to end whatever is left.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Patience {
    /// End if nothing has moved for so long: no byte, no chunk
    #[arg(long, value_name = "TIME", default_value = "5m")]
    #[arg(value_parser = crate::values::duration)]
    pub(crate) give_up_after: Option<Duration>,
    /// End after so long, whatever is left
    #[arg(long, value_name = "TIME", value_parser = crate::values::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// A manager, and who listens to it.
pub(crate) struct Work<T> {
    manager: Arc<DataManagerImpl>,
    inbox: Receiver<Notice<T>>,
    sender: Sender<Notice<T>>,
    /// A way of its own, which no crowd of events blocks.
    stop: Receiver<()>,
    signals: OnSignal,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Work<T> {
    /// Opens the data directory.
    pub(crate) fn begin(builder: DataManagerBuilder) -> Result<Self, Failure> {
        let manager = Arc::new(builder.event_queue(EVENT_QUEUE).open()?);
        let (sender, inbox) = bounded(INBOX);
        let (stopper, stop) = bounded(1);
        let signals = OnSignal::start(move || {
            // It has room for the one thing that is ever said.
            let _ = stopper.try_send(());
        });
        let mut work = Work {
            manager,
            inbox,
            sender,
            stop,
            signals: signals.map_err(|error| no_thread(&error))?,
            threads: Vec::new(),
        };
        let events = work.manager.events();
        work.thread("cli-events", move |_, sender| {
            for event in events {
                if sender.send(Notice::Event(event)).is_err() {
                    return;
                }
            }
        })?;
        Ok(work)
    }

    pub(crate) fn manager(&self) -> &Arc<DataManagerImpl> {
        &self.manager
    }

    /// Does on a thread of its own what the work is done with.
    pub(crate) fn job(
        &mut self,
        job: impl FnOnce(&DataManagerImpl) -> Result<T, Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        self.thread("cli-job", move |manager, sender| {
            let done = job(manager);
            drop(sender.send(Notice::Done(done)));
        })
    }

    fn thread(
        &mut self,
        name: &str,
        run: impl FnOnce(&DataManagerImpl, &Sender<Notice<T>>) + Send + 'static,
    ) -> Result<(), Failure> {
        let (manager, sender) = (self.manager.clone(), self.sender.clone());
        let thread = Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || run(&manager, &sender));
        self.threads
            .push(thread.map_err(|error| no_thread(&error))?);
        Ok(())
    }

    /// Shows what happens until it ends.
    pub(crate) fn watch(
        &self,
        report: &mut Report<'_>,
        patience: &Patience,
    ) -> Result<Ended<T>, Failure> {
        let began = Instant::now();
        let mut moved = began;
        loop {
            match self.next(report, patience)? {
                Waited::Notice(Notice::Event(event)) => {
                    if report.event(&self.manager, &event)? {
                        moved = Instant::now();
                    }
                }
                Waited::Notice(Notice::Done(done)) => return done.map(Ended::Done),
                Waited::Stop => return Ok(Ended::Stopped),
                Waited::Time => {}
            }
            let now = Instant::now();
            let over = |limit: Option<Duration>, since: Instant| {
                limit.filter(|limit| now.duration_since(since) >= *limit)
            };
            if let Some(limit) = over(patience.timeout, began) {
                return Ok(Ended::TimedOut(limit));
            }
            if let Some(limit) = over(patience.give_up_after, moved) {
                return Ok(Ended::Stuck(limit));
            }
        }
    }

    fn next(&self, report: &mut Report<'_>, patience: &Patience) -> Result<Waited<T>, Failure> {
        if self.stop.try_recv().is_ok() {
            return Ok(Waited::Stop);
        }
        if let Ok(notice) = self.inbox.try_recv() {
            return Ok(Waited::Notice(notice));
        }
        report.look(&self.manager)?;
        let ends = patience.timeout.is_some() || patience.give_up_after.is_some();
        // What is at rest stays so until somebody says something.
        let time = match report.is_at_rest() && !ends {
            true => never(),
            false => after(LOOK),
        };
        Ok(select! {
            recv(self.stop) -> _ => Waited::Stop,
            recv(self.inbox) -> notice => notice.map_or(Waited::Time, Waited::Notice),
            recv(time) -> _ => Waited::Time,
        })
    }

    /// Stops the manager and gives the directory back; shows what happened until then.
    pub(crate) fn end(self, report: &mut Report<'_>) -> Result<(), Failure> {
        let Work {
            manager,
            inbox,
            sender,
            signals,
            threads,
            ..
        } = self;
        drop((sender, signals));
        let stopped = manager.shutdown(SHUTDOWN);
        // Nobody sends any more once the threads have ended, which the shutdown makes them do.
        let deadline = Instant::now() + LAST_WORDS;
        while let Ok(notice) = inbox.recv_deadline(deadline) {
            if let Notice::Event(event) = notice {
                report.event(&manager, &event)?;
            }
        }
        stopped?;
        for thread in threads {
            // A panic was printed already.
            let _ = thread.join();
        }
        Ok(())
    }
}

fn no_thread(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot start a thread: {error}"))
        .advise("Allow this user more threads (ulimit -u)")
}
