//! The least there is to write: open, assign, find, read. `cargo run --example embed`
//!
//! Everything before and after the five steps is there so that it runs anywhere: the origin is a directory.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::HashMap;
use std::fs;

use anyhow::Context;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::DataManagerImpl;

const DATASET: [u8; 32] = [1; 32];

fn main() -> anyhow::Result<()> {
    let here = tempfile::tempdir()?;
    let (origin, data_dir) = (here.path().join("origin"), here.path().join("data"));
    fs::create_dir(&origin)?;
    fs::write(origin.join("35.csv"), "block,hash\n34,0xb10c\n")?;
    let url = format!("file://{}", origin.join("35.csv").display());

    // 1. Open a directory. What is whole in it is there at once.
    let builder = DataManagerImpl::builder().data_dir(data_dir);
    let manager = builder.serve_files_from(&origin).open()?;
    // 2. Say which chunks are wanted. (Or `follow_assignment`: a document at a URL says it.)
    let assigned = manager.set_assignment([DataChunk {
        id: [7; 32],
        dataset_id: DATASET,
        block_range: 0..35,
        files: HashMap::from([("blocks.csv".to_owned(), url)]),
    }]);
    // 3. Wait for them, or `.await` them, or do neither: what is asked for happens anyway.
    assigned.wait()?;
    // 4. Find the chunk of a block. As long as `chunk` lives, its files stay.
    let chunk = manager.find_chunk(DATASET, 34).context("it is not here")?;
    // 5. Read.
    let text = fs::read_to_string(chunk.path().join("blocks.csv"))?;

    println!(
        "blocks {:?} are in {}:",
        chunk.block_range(),
        chunk.path().display()
    );
    print!("{text}");
    Ok(())
}
