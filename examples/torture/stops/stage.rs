//! Where victims run: directories, processes, and what scripts find there.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::stops::beliefs::Beliefs;
use crate::stops::look;
use crate::stops::options::Options;
use crate::stops::script::{self, Script, Step};
use crate::stops::tracer::{self, Deed, Spot, Traced};
use crate::stops::victim::Terms;
use crate::stops::{checks, chunks};

/// A place of the run's own.
pub(crate) struct Stage {
    home: TempDir,
    terms: Terms,
    rooms: AtomicUsize,
}

/// A data directory, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) dir: PathBuf,
    pub(crate) beliefs: Beliefs,
}

/// What a victim did and said.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) traced: Traced,
    pub(crate) said: Vec<String>,
    pub(crate) errors: String,
}

impl Played {
    /// How often the manager spoke of a failure.
    pub(crate) fn trouble(&self) -> usize {
        let said = self.said.iter();
        said.filter(|line| line.starts_with("failed") || line.starts_with("trouble:"))
            .count()
    }

    /// A process to which nothing happened that should end it has done all it was told.
    pub(crate) fn ensure_done(&self) -> anyhow::Result<()> {
        ensure!(
            self.traced.code == Some(0) && !self.errors.contains("panicked"),
            "the process ended with {:?}: {} {}",
            self.traced.code,
            self.errors.trim(),
            self.said.last().map_or("", String::as_str)
        );
        Ok(())
    }
}

impl Stage {
    /// Memory is the place if there is one: nothing here cuts the power.
    pub(crate) fn set_up(options: &Options) -> anyhow::Result<Stage> {
        let memory = Path::new("/dev/shm");
        let fallback = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let home = tempfile::Builder::new()
            .prefix("torture-")
            .tempdir_in(options.place.as_deref().unwrap_or(&fallback))?;
        let origin = fs::canonicalize(home.path())?.join("origin");
        chunks::write_origin(&origin)?;
        Ok(Stage {
            home,
            terms: Terms {
                origin,
                durability: options.durability,
            },
            rooms: AtomicUsize::new(0),
        })
    }

    /// A directory that nobody else uses; it is not there yet.
    fn room(&self) -> anyhow::Result<PathBuf> {
        let number = self.rooms.fetch_add(1, Ordering::Relaxed);
        Ok(fs::canonicalize(self.home.path())?.join(number.to_string()))
    }

    /// What a script finds.
    pub(crate) fn prepare(&self, script: &Script) -> anyhow::Result<State> {
        let mut state = State {
            dir: self.room()?,
            beliefs: Beliefs::default(),
        };
        fs::create_dir(&state.dir)?;
        for (steps, plan) in &script.before {
            let played = self.play(&mut state, steps, plan.as_ref())?;
            if plan.is_some() {
                ensure!(
                    played.traced.hit.is_some(),
                    "{}: {} was not killed",
                    script.name,
                    script::format(steps)
                );
            } else {
                played.ensure_done()?;
            }
        }
        for damage in script.damage {
            if let Some(n) = damage.spoils() {
                let seen = look::chunk_dirs(&state.dir)?;
                for chunk in seen.iter().filter(|chunk| chunk.n == n) {
                    state.beliefs.spoil(n, look::name_of(&chunk.path));
                }
            }
            damage.happen(&state.dir)?;
            state.beliefs.touched = true;
        }
        Ok(state)
    }

    /// The same directory once more.
    pub(crate) fn copy(&self, state: &State) -> anyhow::Result<State> {
        let dir = self.room()?;
        look::copy(&state.dir, &dir)?;
        Ok(State {
            dir,
            beliefs: state.beliefs.clone(),
        })
    }

    /// Runs a process that does `steps` in the directory, and takes in what it says.
    pub(crate) fn play(
        &self,
        state: &mut State,
        steps: &[Step],
        plan: Option<&(Spot, Deed)>,
    ) -> anyhow::Result<Played> {
        state.beliefs.let_go();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("victim")
            .arg(&state.dir)
            .arg(&self.terms.origin)
            .arg(serde_json::to_string(&self.terms.durability)?)
            .arg(script::format(steps))
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LIB_BACKTRACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start a process")?;
        let traced = match tracer::run(&mut child, &state.dir, plan) {
            Ok(traced) => traced,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let (mut said, mut errors) = (String::new(), String::new());
        if let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) {
            out.read_to_string(&mut said)?;
            err.read_to_string(&mut errors)?;
        }
        // The tracer has seen the end; this only gives back what is kept of the process.
        let _ = child.wait();
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        for line in &said {
            state.beliefs.hear(line);
        }
        Ok(Played {
            traced,
            said,
            errors,
        })
    }

    pub(crate) fn check(&self, state: &State) -> anyhow::Result<()> {
        checks::check(&state.dir, &self.terms, &state.beliefs)
    }

    /// Removes a directory that is no longer needed.
    pub(crate) fn forget(&self, state: &State) {
        // What stays is removed with the stage.
        let _ = fs::remove_dir_all(&state.dir);
    }
}
