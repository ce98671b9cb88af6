//! The usual way with tokio: for each file a task that copies reqwest's stream of bytes with `tokio::io::copy`.
//!
//! A process for `benches/fetch` of the library to run in turn with its own:
//! `reqwest ORIGIN FILES FILE_BYTES DIR`.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio_util::io::StreamReader;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("an argument is missing");
    let (origin, files, file_bytes) = (next()?, next()?.parse::<usize>()?, next()?.parse()?);
    let dir = PathBuf::from(next()?);
    fs::create_dir_all(&dir).await?;
    let client = reqwest::Client::new();
    let mut tasks = JoinSet::new();
    for n in 0..files {
        let (client, url) = (client.clone(), format!("http://{origin}/{n}"));
        let path = dir.join(n.to_string());
        tasks.spawn(async move { fetch(&client, &url, &path, file_bytes).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn fetch(
    client: &reqwest::Client,
    url: &str,
    path: &Path,
    file_bytes: u64,
) -> Result<(), Failure> {
    let response = client.get(url).send().await?.error_for_status()?;
    let mut body = StreamReader::new(response.bytes_stream().map_err(io::Error::other));
    let mut file = File::create(path).await?;
    let copied = tokio::io::copy(&mut body, &mut file).await?;
    // What tokio has not written yet.
    file.flush().await?;
    if copied == file_bytes {
        Ok(())
    } else {
        Err("it has another length".into())
    }
}
