//! The settings of a manager that fetches, as flags.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use data_manager::data_manager::{DataManagerBuilder, Durability};

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::values;

/// What commands that fetch take.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// Files that are fetched at a time
    #[arg(long, value_name = "N")]
    slots: Option<usize>,
    /// The same for each host
    #[arg(long, value_name = "N")]
    slots_per_host: Option<usize>,
    /// Bytes per second over all transfers, as in 10MB
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    bandwidth_limit: Option<u64>,
    /// What the directory may hold in all
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    max_bytes: Option<u64>,
    /// What is left free on the file system
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    min_free_bytes: Option<u64>,
    /// A directory that file:// URLs may name; may be repeated
    #[arg(long, value_name = "DIR")]
    serve_files_from: Vec<PathBuf>,
    /// A header for one host; @FILE reads it from a file, which no list of processes shows
    #[arg(long, num_args = 2, value_names = ["HOST", "NAME: VALUE|@FILE"])]
    header: Vec<String>,
    /// Where else what is below a URL may be had; may be repeated
    #[arg(long, num_args = 2, value_names = ["PREFIX", "ALTERNATE"])]
    mirror: Vec<String>,
    /// The proxy for http:// and https://, in place of the environment's
    #[arg(long, value_name = "URL", conflicts_with = "no_proxy")]
    proxy: Option<String>,
    /// Use no proxy, whatever the environment says
    #[arg(long)]
    no_proxy: bool,
    /// Certificates to trust (PEM), in place of Mozilla's; may be repeated
    #[arg(long, value_name = "FILE")]
    root_certificate: Vec<PathBuf>,
    /// Let public hosts redirect to addresses that are not
    #[arg(long)]
    allow_private_redirects: bool,
    /// What survives a power cut
    #[arg(long, value_enum, value_name = "HOW")]
    durability: Option<Durable>,
}

/// [`Durability`], as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Durable {
    /// What was visible is there; so it is unless something else is said
    Full,
    /// What is there is whole
    Ordered,
    /// Nothing: for what can be fetched again
    None,
}

impl From<Durable> for Durability {
    fn from(how: Durable) -> Self {
        match how {
            Durable::Full => Durability::Full,
            Durable::Ordered => Durability::Ordered,
            Durable::None => Durability::None,
        }
    }
}

impl Settings {
    /// A builder with these settings, and otherwise those of the file of settings, for the data
    /// directory.
    pub(crate) fn builder(&self, global: &Global) -> Result<DataManagerBuilder, Failure> {
        let mut builder = global.builder()?;
        if self.allow_private_redirects {
            builder = builder.allow_private_redirects(true);
        }
        let durability = self.durability.map(Durability::from);
        builder = given(builder, durability, DataManagerBuilder::durability);
        for dir in &self.serve_files_from {
            builder = builder.serve_files_from(dir);
        }
        builder = given(builder, self.slots, DataManagerBuilder::slots);
        builder = given(
            builder,
            self.slots_per_host,
            DataManagerBuilder::slots_per_host,
        );
        builder = given(
            builder,
            self.bandwidth_limit,
            DataManagerBuilder::bandwidth_limit,
        );
        builder = given(builder, self.max_bytes, DataManagerBuilder::max_bytes);
        builder = given(
            builder,
            self.min_free_bytes,
            DataManagerBuilder::min_free_bytes,
        );
        self.web(builder)
    }

    /// What is about `http://` and `https://`.
    fn web(&self, mut builder: DataManagerBuilder) -> Result<DataManagerBuilder, Failure> {
        builder = given(builder, self.proxy.clone(), DataManagerBuilder::proxy);
        if self.no_proxy {
            builder = builder.no_proxy();
        }
        for file in &self.root_certificate {
            let pem = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
            builder = builder.root_certificate(pem);
        }
        for header in self.header.chunks_exact(2) {
            let (name, value) = header_of(&header[1])?;
            builder = builder.http_header(&header[0], name, value);
        }
        for (prefix, alternates) in self.mirrors() {
            builder = builder.mirrors(prefix, alternates);
        }
        Ok(builder)
    }

    /// The alternates of each prefix, in the order in which they were given.
    fn mirrors(&self) -> Vec<(&str, Vec<&str>)> {
        let mut mirrors: Vec<(&str, Vec<&str>)> = Vec::new();
        for pair in self.mirror.chunks_exact(2) {
            let (prefix, alternate) = (pair[0].as_str(), pair[1].as_str());
            match mirrors.iter_mut().find(|(known, _)| *known == prefix) {
                Some((_, alternates)) => alternates.push(alternate),
                None => mirrors.push((prefix, vec![alternate])),
            }
        }
        mirrors
    }
}

/// Sets what was given.
fn given<T>(
    builder: DataManagerBuilder,
    value: Option<T>,
    set: impl FnOnce(DataManagerBuilder, T) -> DataManagerBuilder,
) -> DataManagerBuilder {
    match value {
        Some(value) => set(builder, value),
        None => builder,
    }
}

/// Name and value of a header. What is wrong with it is said without repeating it: it may be a secret.
fn header_of(text: &str) -> Result<(String, String), Failure> {
    let text = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| unreadable(std::path::Path::new(file), &error))?,
    };
    let (name, value) = (text.trim().split_once(':'))
        .ok_or_else(|| Failure::usage("--header: a header is written NAME: VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A file that the command line names cannot be read.
pub(crate) fn unreadable(file: &std::path::Path, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::NotFound => Exit::Missing,
        _ => Exit::Failed,
    };
    let message = format!("cannot read {}: {error}", file.display());
    Failure::new(exit, message).advise("Correct the path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_come_from_a_file_and_is_never_repeated() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "Authorization: Bearer a:b\n").unwrap();
        let header = header_of(&format!("@{}", file.path().display())).unwrap();
        assert_eq!(header, ("Authorization".into(), "Bearer a:b".into()));
        let failure = header_of("canary").unwrap_err();
        assert!(!failure.to_string().contains("canary"), "{failure}");
    }
}
