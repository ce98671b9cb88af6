//! The report for programs: every sample of every round.

use crate::measure::Measured;
use crate::peers::Peer;
use std::fmt::Write;

/// A JSON array with an object for each row. No name in it needs an escape.
pub(crate) fn text(rows: &[Measured]) -> String {
    let objects: Vec<String> = rows.iter().map(object).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn object(measured: &Measured) -> String {
    let mut text = format!(
        "  {{\"row\": \"{}\", \"unit\": \"{}\", \"samples\": {{",
        measured.row.name, measured.row.unit
    );
    for peer in Peer::ALL {
        let samples: Vec<String> = measured.samples[peer as usize]
            .iter()
            .map(|sample| format!("{sample:.2}"))
            .collect();
        let comma = if peer == Peer::Ours { "" } else { ", " };
        write!(text, "{comma}\"{}\": [{}]", peer.name(), samples.join(", "))
            .expect("a string takes everything");
    }
    text + "}}"
}
