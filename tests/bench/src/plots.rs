//! Pictures of the figures: bars to compare subjects, lines for growth.

use std::path::Path;

use anyhow::anyhow;
use plotters::{coord::Shift, prelude::*};

use crate::results::{Results, Row};

const FONT: &str = "sans-serif";

/// Colours that stay distinct for colour-blind readers and in grey.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 90, 160),
    RGBColor(213, 94, 0),
    RGBColor(0, 140, 100),
    RGBColor(170, 70, 140),
    RGBColor(90, 90, 90),
    RGBColor(200, 150, 0),
    RGBColor(60, 170, 220),
];

/// The subject with a colour of its own in every picture.
const OURS: &str = "rust-lru";

/// Draws every picture that has figures.
pub(crate) fn draw(results: &Results, folder: &Path) -> anyhow::Result<()> {
    let hits: Vec<&Row> = results.rows.iter().filter(|row| row.work == "lookup-hit").collect();
    let of_thousand = hits.iter().filter(|row| (row.sessions, row.threads) == (1_000, 1) && !row.subject.contains(','));
    // Two sections have measured the floors; one bar is enough.
    let mut bars: Vec<(String, f64)> = Vec::new();
    for row in of_thousand {
        if bars.iter().all(|(subject, _)| *subject != row.subject) {
            bars.push((row.subject.clone(), row.ns_p50));
        }
    }
    if bars.len() > 5 {
        let caption = "Lookup of a session among 1 000, nanoseconds (median, logarithmic)";
        draw_bars(&folder.join("lookup.svg"), caption, bars)?;
    }
    let subjects = ["rust-lru", "native", "locked-map", "moka", "otp-ets", "luajit", "bytes-component"];
    let by_sessions = subjects.map(|subject| {
        let own = hits.iter().filter(|row| row.subject == subject && row.threads == 1);
        (subject.to_owned(), own.map(|row| (f64::from(row.sessions), row.ns_p50)).collect())
    });
    let caption = "Lookup of a session, nanoseconds";
    draw_lines(&folder.join("sessions.svg"), caption, "sessions", by_sessions.into())?;
    let subjects = ["rust-lru, 1 reader", "rust-lru, 2 readers", "rust-lru, 8 readers", "locked-map", "moka"];
    let by_threads = subjects.map(|subject| {
        let own = hits.iter().filter(|row| row.subject == subject && row.sessions == 1_000);
        let per_us = |row: &&Row| (f64::from(row.threads), f64::from(row.threads) / row.ns_p50 * 1_000.0);
        let mut points: Vec<(f64, f64)> = own.map(per_us).collect();
        points.dedup_by_key(|point| point.0 as u32);
        points.truncate(4);
        (subject.to_owned(), points)
    });
    let caption = format!("Lookups in a microsecond, all threads together, on {} cores", results.machine.cores);
    draw_lines(&folder.join("threads.svg"), &caption, "threads", by_threads.into())?;
    let handshakes = results.rows.iter().filter(|row| row.work.starts_with("handshake-") && row.subject == OURS);
    let bars: Vec<(String, f64)> =
        handshakes.map(|row| (row.work.replace("handshake-", ""), row.ns_p50 / 1_000.0)).collect();
    if !bars.is_empty() {
        let caption = "Server's time for a handshake with a guest's cache, microseconds (median, logarithmic)";
        draw_bars(&folder.join("handshakes.svg"), caption, bars)?;
    }
    Ok(())
}

fn draw_bars(file: &Path, caption: &str, mut bars: Vec<(String, f64)>) -> anyhow::Result<()> {
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    let height = 90 + 30 * bars.len() as u32;
    let area = SVGBackend::new(file, (860, height)).into_drawing_area();
    bars_on(&area, caption, &bars).map_err(|error| anyhow!("{}: {error}", file.display()))
}

type Drawn<T> = Result<T, Box<dyn std::error::Error>>;

fn bars_on(area: &DrawingArea<SVGBackend<'_>, Shift>, caption: &str, bars: &[(String, f64)]) -> Drawn<()> {
    area.fill(&WHITE)?;
    let most = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
    let least = bars.iter().map(|bar| bar.1).fold(most, f64::min);
    let scale = (least / 2.0..most * 3.0).log_scale();
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 17))
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, 170)
        .set_label_area_size(LabelAreaPosition::Bottom, 24)
        .build_cartesian_2d(scale, 0..bars.len() as i32)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().x_label_style((FONT, 13)).draw()?;
    for (number, (name, value)) in bars.iter().enumerate() {
        let number = number as i32;
        let colour = if name == OURS { COLOURS[1] } else { COLOURS[0] };
        let corners = [(least / 2.0, number), (*value, number + 1)];
        let mut bar = Rectangle::new(corners, colour.filled());
        bar.set_margin(4, 4, 0, 0);
        chart.draw_series([bar])?;
        let (x, y) = chart.backend_coord(&(*value, number));
        let label = if *value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        area.draw_text(&label, &(FONT, 13).into_text_style(area), (x + 6, y - 21))?;
        area.draw_text(name, &(FONT, 13).into_text_style(area), (14, y - 21))?;
    }
    area.present()?;
    Ok(())
}

type Series = Vec<(String, Vec<(f64, f64)>)>;

fn draw_lines(file: &Path, caption: &str, across: &str, series: Series) -> anyhow::Result<()> {
    let series: Series = series.into_iter().filter(|(_, points)| points.len() > 1).collect();
    if series.is_empty() {
        return Ok(());
    }
    let area = SVGBackend::new(file, (860, 440)).into_drawing_area();
    lines_on(&area, caption, across, &series).map_err(|error| anyhow!("{}: {error}", file.display()))
}

fn lines_on(area: &DrawingArea<SVGBackend<'_>, Shift>, caption: &str, across: &str, series: &Series) -> Drawn<()> {
    area.fill(&WHITE)?;
    let all = || series.iter().flat_map(|(_, points)| points);
    let (first, last) = ends(all().map(|point| point.0));
    let (_, most) = ends(all().map(|point| point.1));
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 17))
        .margin(12)
        .margin_right(190)
        .set_label_area_size(LabelAreaPosition::Left, 60)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d((first..last * 1.02).log_scale(), 0.0..most * 1.05)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).x_desc(across).label_style((FONT, 13)).draw()?;
    let mut free_from = i32::MIN;
    let mut by_height: Vec<usize> = (0..series.len()).collect();
    let end = |number: &usize| series[*number].1.last().map_or(0.0, |point| point.1);
    by_height.sort_by(|a, b| end(b).total_cmp(&end(a)));
    for number in by_height {
        let (name, points) = &series[number];
        let colour = COLOURS[number % COLOURS.len()];
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        let Some(last) = points.last() else { continue };
        let (x, y) = chart.backend_coord(last);
        // Keeps the names apart.
        let y = y.max(free_from);
        free_from = y + 18;
        area.draw_text(name, &(FONT, 13).into_text_style(area).color(&colour), (x + 12, y - 7))?;
    }
    area.present()?;
    Ok(())
}

fn ends(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), number| (least.min(number), most.max(number)))
}
