//! `data-manager export`.

use data_manager::ErrorKind;

use crate::args::Global;
use crate::exit::{Exit, Failure, exit_of, one_line};
use crate::output::Output;
use crate::units;
use crate::viewing::{self, IdPrefix};

const EXAMPLES: &str = "\
Examples:
  data-manager export > assignment.json
  data-manager export --url-prefix https://mirror.example.com/data > assignment.json
  data-manager export --dataset 3f9a | ssh other 'cat > assignment.json'";

/// Write an assignment of what is there, which sync and workers take
///
/// URLs point into this directory: below --url-prefix, where the directory is served as it is, or as
/// file:// on this machine. Files have the digests that were declared for them. What is damaged is left
/// out, and the end is 5 then. Works on a directory that a worker owns.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where others find this directory: https://…, s3://…
    #[arg(long, value_name = "URL")]
    url_prefix: Option<String>,
    /// Only of this dataset: its id, or the first digits
    #[arg(long, value_name = "DATASET", value_parser = viewing::id_prefix)]
    dataset: Option<IdPrefix>,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let view = viewing::open(global)?;
    let dataset = args.dataset.as_ref();
    let dataset = dataset
        .map(|named| viewing::dataset(&view, named))
        .transpose()?;
    let mut chunks = viewing::in_block_order(&view);
    chunks.retain(|chunk| dataset.is_none_or(|id| *chunk.dataset_id() == id));
    let (mut written, mut exit) = (0, Exit::Done);
    // A chunk at a time: there may be a million. What is cut off is refused by whoever reads it.
    out.text(b"{\"chunks\":[")?;
    for chunk in chunks {
        let described = match view.describe(chunk, args.url_prefix.as_deref()) {
            Ok(described) => described,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) if error.kind() == ErrorKind::Refused => return Err(error.into()),
            Err(error) => {
                let why = error.to_string();
                out.complain(format_args!("data-manager: left out: {}", one_line(&why)));
                if exit != Exit::Damaged {
                    exit = exit_of(error.kind());
                }
                continue;
            }
        };
        out.text(if written == 0 { b"\n" } else { b",\n" })?;
        out.text(&serde_json::to_vec(&described).unwrap_or_default())?;
        written += 1;
    }
    out.text(b"\n]}\n")?;
    out.flush()?;
    out.say(format_args!("{} exported", units::count(written, "chunk")));
    Ok(exit)
}
