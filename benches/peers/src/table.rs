//! The report: a line for each row, medians and ratios.

use crate::measure::Measured;
use crate::peers::Peer;
use crate::statistics::{median, median_ratio};

/// Prints the table as Markdown.
pub(crate) fn print(rows: &[Measured]) {
    print!("| {:<22} | {:<6} |", "row", "unit");
    for peer in Peer::ALL {
        print!(" {:>14} |", peer.name());
    }
    println!(
        " {:>9} | {:>10} | {:>19} |",
        "ours/best", "ours/tokio", "ours/async-executor"
    );
    println!(
        "| --- | --- |{} ---: | ---: | ---: |",
        " ---: |".repeat(Peer::ALL.len())
    );
    for measured in rows {
        print_row(measured);
    }
}

fn print_row(measured: &Measured) {
    print!("| {:<22} | {:<6} |", measured.row.name, measured.row.unit);
    for peer in Peer::ALL {
        print!(" {:>14} |", value(samples(measured, peer)));
    }
    println!(
        " {:>9} | {:>10} | {:>19} |",
        best(measured).map_or(nothing(), |peer| ratio(measured, peer)),
        ratio(measured, Peer::Tokio),
        ratio(measured, Peer::AsyncExecutor),
    );
}

fn samples(measured: &Measured, peer: Peer) -> &[f64] {
    &measured.samples[peer as usize]
}

/// The other executor with the smallest median.
fn best(measured: &Measured) -> Option<Peer> {
    Peer::ALL
        .into_iter()
        .filter(|&peer| peer != Peer::Ours)
        .filter_map(|peer| Some((peer, median(samples(measured, peer))?)))
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .map(|(peer, _)| peer)
}

fn value(samples: &[f64]) -> String {
    median(samples).map_or(nothing(), |value| {
        if value < 100.0 {
            format!("{value:.1}")
        } else {
            format!("{value:.0}")
        }
    })
}

fn ratio(measured: &Measured, peer: Peer) -> String {
    median_ratio(samples(measured, Peer::Ours), samples(measured, peer))
        .map_or(nothing(), |ratio| format!("{ratio:.2}"))
}

fn nothing() -> String {
    "-".to_owned()
}
