//! From a thousand chunks to a million.

use crate::options::Options;

pub(crate) fn run(_options: &Options) -> anyhow::Result<()> {
    Ok(())
}
