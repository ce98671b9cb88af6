//! Who is measured: one file each, and nothing in it but the way from the common trait to its own interface.

mod async_executor;
mod futures;
mod ours;
mod tokio;

pub(crate) use self::async_executor::AsyncExecutor;
pub(crate) use self::futures::Futures;
pub(crate) use self::ours::Ours;
pub(crate) use self::tokio::Tokio;

/// The measured executors, in the order in which they take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Ours,
    Tokio,
    AsyncExecutor,
    Futures,
}

impl Peer {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::Tokio, Self::AsyncExecutor, Self::Futures];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Tokio => "tokio",
            Self::AsyncExecutor => "async-executor",
            Self::Futures => "futures",
        }
    }
}
