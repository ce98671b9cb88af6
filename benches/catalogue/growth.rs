//! From a thousand chunks to a million.

use plotters::prelude::*;

use crate::figures::{median, nanos_each};
use crate::options::Options;
use crate::world::{BLOCKS, World};

const SIZES: [usize; 7] = [1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000];
/// Questions of a round.
const QUESTIONS: usize = 100_000;
/// Chunks that one `cover` is about.
const COVERED: u64 = 100;

/// Nanoseconds by the number of chunks.
struct Line {
    what: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut lines = [
        ("find, with guard", RED),
        ("bare BTreeMap::range", BLACK),
        ("retract and publish", BLUE),
        ("cover, for each of 100 chunks", GREEN),
        ("ids, for each chunk", MAGENTA),
    ]
    .map(|(what, colour)| Line {
        what,
        colour,
        points: Vec::new(),
    });
    println!(
        "growth, one dataset, ns: chunks, {}",
        lines.each_ref().map(|line| line.what).join("; ")
    );
    for size in SIZES {
        let figures = measure(&World::new(size, 1), options.rounds);
        println!(
            "  {size:8} {}",
            figures.map(|nanos| format!("{nanos:8.0}")).join(" ")
        );
        for (line, nanos) in lines.iter_mut().zip(figures) {
            line.points.push((size as f64, nanos));
        }
    }
    plot(&lines, options)?;
    println!("  drawn: {}", options.plot.display());
    Ok(())
}

fn measure(world: &World, rounds: usize) -> [f64; 5] {
    let mut figures: [Vec<f64>; 5] = Default::default();
    for round in 0..rounds {
        let questions = world.questions(QUESTIONS, round as u64);
        figures[0].push(nanos_each(&questions, |question| world.find(question)));
        figures[1].push(nanos_each(&questions, |question| world.find_bare(question)));
        figures[2].push(nanos_each(&questions[..QUESTIONS / 10], |(_, block)| {
            let held = world.chunk(usize::try_from(block / BLOCKS).unwrap_or_default());
            let retracted = world.catalogue.retract(held.id());
            world.catalogue.publish(held).is_none() && retracted.is_some()
        }));
        let covered = nanos_each(&questions[..QUESTIONS / 100], |(_, block)| {
            let blocks = block..block + (COVERED - 1) * BLOCKS;
            !world
                .catalogue
                .cover(&world.datasets[0], blocks)
                .chunks
                .is_empty()
        });
        figures[3].push(covered / COVERED as f64);
        let ids = nanos_each(&[()], |()| world.catalogue.ids().len() == world.chunks());
        figures[4].push(ids / world.chunks() as f64);
    }
    figures.map(|rounds| median(&rounds))
}

fn plot(lines: &[Line], options: &Options) -> anyhow::Result<()> {
    let area = SVGBackend::new(&options.plot, (800, 500)).into_drawing_area();
    area.fill(&WHITE)?;
    let most = lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|(_, nanos)| *nanos);
    let most = most.fold(100.0, f64::max) * 1.5;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "The catalogue: nanoseconds by the number of chunks",
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((1e3..1e6).log_scale(), (1.0..most).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("visible chunks")
        .y_desc("ns")
        .x_label_formatter(&|chunks| format!("{chunks:.0}"))
        .y_label_formatter(&|nanos| format!("{nanos:.0}"))
        .draw()?;
    for line in lines {
        let style = line.colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style))?
            .label(line.what)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
