//! Who is slow to take events loses the oldest, knows how many, and slows nobody.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use data_manager::data_manager::{Event, RecvError};
use support::source::{Behaviour, ScriptedSource};
use support::{DEADLINE, builder, chunk, id, temp_dir};

const CHUNKS: u8 = 100;

#[test]
fn who_never_reads_holds_nobody_up_and_loses_the_oldest() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = builder(dir.path()).source("test", source.clone());
    let manager = manager.event_queue(8).open().unwrap();
    let (never, late) = (manager.events(), manager.events());
    let (count, counted) = std::sync::mpsc::channel();
    let quick = manager.events();
    let reader = std::thread::spawn(move || {
        let is_new = |event: &Event| matches!(event, Event::Available { .. });
        let missed = |event: &Event| match event {
            Event::Lagged { missed, .. } => *missed,
            _ => 1,
        };
        let told: Vec<Event> = quick.collect();
        let available = told.iter().filter(|event| is_new(event)).count();
        let told: u64 = told.iter().map(missed).sum();
        count.send((available, told)).unwrap();
    });
    let tasks: Vec<_> = (0..CHUNKS)
        .map(|n| {
            let url = format!("test://host/{n}");
            source.script(&url, Behaviour::Bytes(10));
            manager.download_chunk(chunk(n, 0..1, [("f", url)]))
        })
        .collect();
    for task in &tasks {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    let gone = manager.delete_chunk(id(0));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    manager.shutdown(DEADLINE).unwrap();

    let Ok(Event::Lagged { missed, .. }) = late.try_recv() else {
        panic!("it was told nothing of what it lost");
    };
    let last: Vec<Event> = late.collect();
    assert_eq!(last.len(), 8, "the queue, and no more: {last:?}");
    assert!(matches!(last[7], Event::Removed { .. }), "{last:?}");
    drop(never);
    // Whoever reads is told as much, be it as events or as lost ones.
    let (available, told) = counted.recv_timeout(DEADLINE).unwrap();
    reader.join().unwrap();
    assert!(available <= usize::from(CHUNKS));
    assert_eq!(told, missed + 8);
    let late = manager.events();
    assert_eq!(
        late.recv_timeout(Duration::ZERO).unwrap_err(),
        RecvError::Closed
    );
}
