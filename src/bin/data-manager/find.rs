//! `data-manager find`.

use std::os::unix::ffi::OsStrExt;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::viewing::{self, IdPrefix};
use crate::{units, values};

const EXAMPLES: &str = "\
Examples:
  data-manager find 3f9a 17000000
  duckdb -c \"select count(*) from '$(data-manager find -q 3f9a 17000000)/*.parquet'\"
  data-manager --json find 3f9a 17000000 | jq '.files[].name'";

/// Find the chunk that holds a block, and print its directory
///
/// Where several hold it, it is the one that begins last, and of those the one with the smallest id, as
/// a worker would take. Nothing keeps the chunk: its owner may remove it at any moment. Works on a
/// directory that a worker owns.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The dataset's id, or its first digits
    #[arg(value_parser = viewing::id_prefix)]
    dataset: IdPrefix,
    /// The number of the block
    block: u64,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let view = viewing::open(global)?;
    let dataset = viewing::dataset(&view, &args.dataset)?;
    let Some(chunk) = view.find(&dataset, args.block) else {
        let (block, dataset) = (args.block, values::hex(&dataset));
        let message = format!("no chunk of dataset {dataset} holds block {block}");
        return Err(Failure::missing(message).advise("Run cover, which shows what is there"));
    };
    if out.is_json() {
        let mut object = serde_json::to_value(chunk).unwrap_or_default();
        let files = view.files(chunk).map_err(viewing::of_chunk)?;
        object["files"] = serde_json::to_value(files).unwrap_or_default();
        out.object(&object)?;
    } else {
        // As it is: a program is going to open it.
        out.text(chunk.path().as_os_str().as_bytes())?;
        out.text(b"\n")?;
        out.flush()?;
        let (id, blocks) = (
            values::hex(chunk.id()),
            viewing::range(&chunk.block_range()),
        );
        let size = units::size(chunk.len_bytes());
        out.say(format_args!("chunk {id}, blocks {blocks}, {size}"));
    }
    Ok(Exit::Done)
}
