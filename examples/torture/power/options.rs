//! The command line of `power`.

use anyhow::{Context, bail};
use data_manager::data_source::Durability;

use super::image::Kind;

pub(crate) const HELP: &str = "\
Cuts the power of a file system under a working store, again and again, and holds what the
store had acknowledged against what is there afterwards. Needs root, e2fsprogs, xfsprogs
(xfs_io) and util-linux.

Usage: torture power [OPTIONS]

Options:
  --fs ext4|xfs|both            which file system [both]
  --cuts N                      how many cuts on each [50]
  --durability full|ordered|none [full]
  --seed N                      of the load and the moments of the cuts [from the clock]
  --plant-fault[=WHEN]          make syncs report success without syncing, and end well only if that
                                is found. WHEN is what strace takes as when=, counted in each
                                thread [3+3]. Needs strace";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) cuts: u64,
    pub(crate) durability: String,
    pub(crate) seed: u64,
    /// Which syncs do nothing.
    pub(crate) fault: Option<String>,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> anyhow::Result<Options> {
        let mut options = Options {
            kinds: vec![Kind::Ext4, Kind::Xfs],
            cuts: 50,
            durability: "full".to_owned(),
            seed: fastrand::u64(..1 << 32),
            fault: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--fs" => options.kinds = kinds(value()?)?,
                "--cuts" => options.cuts = value()?.parse().context("--cuts")?,
                "--durability" => options.durability.clone_from(value()?),
                "--seed" => options.seed = value()?.parse().context("--seed")?,
                "--plant-fault" => options.fault = Some("3+3".to_owned()),
                _ => match arg.strip_prefix("--plant-fault=") {
                    Some(when) => options.fault = Some(when.to_owned()),
                    None => bail!("unknown argument {arg}; try --help"),
                },
            }
        }
        durability(&options.durability)?;
        Ok(options)
    }
}

fn kinds(value: &str) -> anyhow::Result<Vec<Kind>> {
    Ok(match value {
        "ext4" => vec![Kind::Ext4],
        "xfs" => vec![Kind::Xfs],
        "both" => vec![Kind::Ext4, Kind::Xfs],
        _ => bail!("--fs is ext4, xfs or both"),
    })
}

/// A level by its name, if the library has it.
pub(crate) fn durability(name: &str) -> anyhow::Result<Durability> {
    serde_json::from_value(name.into())
        .with_context(|| format!("the library has no durability {name}"))
}
