//! Stops a process at each of its system calls on the data directory, over all threads, and lets
//! something happen there: nothing, a kill, an error, a short write.
//!
//! This is what `strace -f -e inject` does, with three things that it does not: calls are counted
//! over all threads of the process and not in each, a kill after a call comes before that thread
//! does anything else, and a short write does write.

mod call;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Child;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

pub(crate) use call::Call;
use call::Request;

/// What is missing where a process may not be traced.
pub(crate) const NEEDED: &str = "needs ptrace";

/// Whether that is what an error says.
pub(crate) fn is_missing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.to_string() == NEEDED)
}

/// What happens at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The process ends, and the call does not happen.
    KillBefore,
    /// The call happens, and the process ends before it knows.
    KillAfter,
    /// The call does not happen, and returns this.
    Fail(Errno),
    /// A write writes half of what it is to write, or a read reads half, and says so.
    Short,
}

/// Where something happens.
#[derive(Clone, Debug)]
pub(crate) enum Spot {
    /// At the so-many-th call with this label on this path; from 1.
    Nth(String, String, u32),
    /// At the first call that this accepts.
    First(fn(&Call) -> bool),
}

/// How a process that was traced ended, and what it did.
#[derive(Debug)]
pub(crate) struct Traced {
    /// Each call on the data directory, in the order in which they began, with its number among
    /// those of its label on its path.
    pub(crate) calls: Vec<(Call, u32)>,
    /// Where it happened.
    pub(crate) hit: Option<Call>,
    /// What the process exited with; none if it was killed.
    pub(crate) code: Option<i32>,
}

/// The one who traces. All of its methods belong to the thread that started the process.
struct Tracer<'a> {
    pid: Pid,
    dir: &'a Path,
    memory: File,
    plan: Option<&'a (Spot, Deed)>,
    counts: HashMap<(&'static str, String), u32>,
    /// The threads that are in a call, with what is to happen at its end.
    inside: BTreeMap<Pid, Option<Deed>>,
    traced: Traced,
}

/// Runs `child`, which waits for a line on its standard input before it starts any thread, to its
/// end. The thread that calls this has started it, and no other process that still runs.
pub(crate) fn run(
    child: &mut Child,
    dir: &Path,
    plan: Option<&(Spot, Deed)>,
) -> anyhow::Result<Traced> {
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).context(NEEDED)?;
    ptrace::interrupt(pid).context(NEEDED)?;
    waitpid(pid, Some(WaitPidFlag::__WALL))?;
    let mut tracer = Tracer {
        pid,
        dir,
        memory: File::open(format!("/proc/{pid}/mem")).context("read a process's memory")?,
        plan,
        counts: HashMap::new(),
        inside: BTreeMap::new(),
        traced: Traced {
            calls: Vec::new(),
            hit: None,
            code: None,
        },
    };
    ptrace::syscall(pid, None)?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(b"go\n")?;
    tracer.follow()?;
    Ok(tracer.traced)
}

impl Tracer<'_> {
    fn follow(&mut self) -> anyhow::Result<()> {
        loop {
            // Others threads of this process have children of their own.
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            let (thread, signal) = match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.pid => {
                    self.traced.code = Some(code);
                    return Ok(());
                }
                Ok(WaitStatus::Signaled(pid, _, _)) if pid == self.pid => return Ok(()),
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::EINTR) => {
                    continue;
                }
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    // A thread that was killed meanwhile has no registers.
                    match self.stopped(thread) {
                        Err(Errno::ESRCH) => continue,
                        result => result?,
                    }
                    (thread, None)
                }
                Ok(WaitStatus::PtraceEvent(thread, ..)) => (thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => (thread, Some(signal)),
                Ok(other) => bail!("{other:?} of a traced process"),
                Err(error) => return Err(error).context("wait for a traced process"),
            };
            match ptrace::syscall(thread, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error).context("go on with a traced process"),
            }
        }
    }

    /// A thread stands at the beginning or at the end of a call.
    fn stopped(&mut self, thread: Pid) -> nix::Result<()> {
        match self.inside.remove(&thread) {
            None => {
                let deed = self.begins(thread)?;
                self.inside.insert(thread, deed);
                Ok(())
            }
            Some(None | Some(Deed::KillBefore | Deed::Short)) => Ok(()),
            Some(Some(Deed::KillAfter)) => kill(self.pid, Signal::SIGKILL),
            Some(Some(Deed::Fail(errno))) => {
                let mut registers = ptrace::getregs(thread)?;
                registers.rax = (-i64::from(errno as i32)).cast_unsigned();
                ptrace::setregs(thread, registers)
            }
        }
    }

    fn begins(&mut self, thread: Pid) -> nix::Result<Option<Deed>> {
        let mut registers = ptrace::getregs(thread)?;
        let request = Request {
            number: registers.orig_rax,
            arguments: [
                registers.rdi,
                registers.rsi,
                registers.rdx,
                registers.r10,
                registers.r8,
                registers.r9,
            ],
            memory: &self.memory,
            pid: self.pid.as_raw(),
        };
        let Some(call) = request.decode(self.dir) else {
            return Ok(None);
        };
        let what = (call.label, call.path.clone());
        let count = self.counts.entry(what).or_default();
        *count += 1;
        let number = *count;
        let deed = self.deed(&call, number);
        self.traced.calls.push((call.clone(), number));
        let Some(deed) = deed else {
            return Ok(None);
        };
        match deed {
            // A call of this number does not exist, so nothing happens in its place.
            Deed::KillBefore | Deed::Fail(_) => registers.orig_rax = u64::MAX,
            Deed::Short => registers.rdx = call.count.unwrap_or_default() / 2,
            Deed::KillAfter => {}
        }
        if deed != Deed::KillAfter {
            ptrace::setregs(thread, registers)?;
        }
        if deed == Deed::KillBefore {
            kill(self.pid, Signal::SIGKILL)?;
        }
        self.traced.hit = Some(call);
        Ok(Some(deed))
    }

    /// What is to happen at this call.
    fn deed(&self, call: &Call, number: u32) -> Option<Deed> {
        let (spot, deed) = self.plan.filter(|_| self.traced.hit.is_none())?;
        let here = match spot {
            Spot::Nth(label, path, nth) => {
                call.label == label && call.path == *path && number == *nth
            }
            Spot::First(accepts) => accepts(call),
        };
        // Half of a byte is none, which would not be a short one.
        let fits = *deed != Deed::Short || call.count.is_some_and(|count| count > 1);
        (here && fits).then_some(*deed)
    }
}
