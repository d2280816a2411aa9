//! A plot of fuel against the number of sessions, as one SVG file.

use std::fmt::Write as _;

use super::{prices::Prices, row::Item};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
/// The edges of the plot. To the right of it stand the names.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 388.0;
const NAMES: f64 = 592.0;
/// From one name to the next.
const LINE: f64 = 15.0;

/// One hue for each callback, for light paper and for dark. Calls of one callback differ in their dashes.
const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .paper { fill: #ffffff } .grid { stroke: #d8dee4 } .title { font-size: 14px; font-weight: 600 }
  .line { fill: none; stroke: currentColor; stroke-width: 1.8 } .dot, text.name { fill: currentColor }
  .lead { stroke: currentColor; stroke-width: 0.8; stroke-dasharray: 1 2; opacity: 0.7 }
  .init { color: #8a5a00 } .lookup { color: #0b5fc1 } .select-session { color: #147a3d } .size { color: #5c6470 }
  .update { color: #c2410c } .delete { color: #b3126a } .foldl { color: #6d33c9 } .terminate { color: #0e7490 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .paper { fill: #0d1117 } .grid { stroke: #30363d }
    .init { color: #d9a441 } .lookup { color: #6cb0ff } .select-session { color: #5fd08a } .size { color: #a9b2bd }
    .update { color: #ff9a5c } .delete { color: #ff7ab8 } .foldl { color: #b79bff } .terminate { color: #5cc8dc }
  }
";

/// A kind of call with its fuel at each number of sessions, both as logarithms.
struct Series {
    item: Item,
    points: Vec<(f64, f64)>,
}

/// Draws the median fuel of each kind of call, both axes logarithmic. Calls without fuel are left out.
pub fn svg(prices: &Prices) -> String {
    let series: Vec<Series> = Item::ALL.into_iter().filter_map(|item| Series::of(prices, item)).collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         role=\"img\" aria-label=\"fuel against sessions\">\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    text(&mut svg, "class=\"title\"", (LEFT, 24.0), "Fuel of a call, by number of sessions (medians)");
    match series.is_empty() {
        true => text(&mut svg, "", (LEFT, TOP + LINE), "No fuel was metered."),
        false => plot(&mut svg, prices, &series),
    }
    svg + "</svg>\n"
}

impl Series {
    fn of(prices: &Prices, item: Item) -> Option<Self> {
        let mut points = Vec::new();
        for population in &prices.populations {
            let price = population.prices.iter().find(|price| price.item == item);
            if let Some(price) = price.filter(|price| price.calls > 0 && price.fuel.median > 0) {
                points.push((log(population.sessions.into()), log(price.fuel.median)));
            }
        }
        (!points.is_empty()).then_some(Self { item, points })
    }

    /// The dashes that tell it from the others of its callback.
    fn dashes(&self) -> &'static str {
        let same = Item::ALL.iter().filter(|other| other.callback() == self.item.callback());
        match same.take_while(|other| **other != self.item).count() {
            0 => "none",
            1 => "7 3",
            _ => "2 3",
        }
    }
}

fn plot(svg: &mut String, prices: &Prices, series: &[Series]) {
    let all = || series.iter().flat_map(|series| &series.points);
    let (first, last) = ends(all().map(|point| point.0));
    let (lowest, highest) = ends(all().map(|point| point.1));
    let (low, high) = (lowest.floor(), highest.ceil().max(lowest.floor() + 1.0));
    // A single number of sessions stands in the middle.
    let across = |x: f64| if last > first { (x - first) / (last - first) } else { 0.5 };
    let place = |(x, y): (f64, f64)| {
        let inset = 12.0;
        let width = RIGHT - LEFT - 2.0 * inset;
        (LEFT + inset + across(x) * width, BOTTOM - (y - low) / (high - low) * (BOTTOM - TOP))
    };
    for power in low as i32..=high as i32 {
        let (_, y) = place((first, f64::from(power)));
        line(svg, "class=\"grid\"", (LEFT, y), (RIGHT, y));
        let label = short(10_u64.saturating_pow(power.unsigned_abs()));
        text(svg, "text-anchor=\"end\"", (LEFT - 8.0, y + 4.0), &label);
    }
    let mut free_from = 0.0;
    for population in &prices.populations {
        let sessions = log(population.sessions.into());
        let (x, _) = place((sessions, low));
        // A number of sessions where every call failed has no point, and may lie outside. Numbers too close together
        // stay unnamed.
        if sessions < first || sessions > last || x < free_from {
            continue;
        }
        free_from = x + 48.0;
        line(svg, "class=\"grid\"", (x, TOP), (x, BOTTOM));
        text(svg, "text-anchor=\"middle\"", (x, BOTTOM + 18.0), &short(population.sessions.into()));
    }
    text(svg, "text-anchor=\"middle\"", ((LEFT + RIGHT) / 2.0, BOTTOM + 40.0), "sessions");
    let placed: Vec<Vec<(f64, f64)>> =
        series.iter().map(|series| series.points.iter().map(|point| place(*point)).collect()).collect();
    let last_of = |points: &Vec<(f64, f64)>| points.last().copied().unwrap_or((RIGHT, BOTTOM));
    let names = apart(&placed.iter().map(|points| last_of(points).1).collect::<Vec<f64>>());
    for ((series, points), name_y) in series.iter().zip(&placed).zip(names) {
        let at = |(x, y): &(f64, f64)| format!("{x:.1},{y:.1}");
        let path: Vec<String> = points.iter().map(at).collect();
        let end = last_of(points);
        let _ = writeln!(svg, "<g class=\"{}\">", series.item.callback().name());
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" stroke-dasharray=\"{}\" points=\"{}\"/>",
            series.dashes(),
            path.join(" ")
        );
        for (x, y) in points {
            let _ = writeln!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>");
        }
        line(svg, "class=\"lead\"", end, (NAMES - 5.0, name_y));
        text(svg, "class=\"name\"", (NAMES, name_y + 4.0), series.item.name());
        let _ = writeln!(svg, "</g>");
    }
}

/// Moves names at these heights apart, so that none covers another, and keeps their order.
fn apart(heights: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|a, b| heights[*a].total_cmp(&heights[*b]));
    let mut moved = heights.to_vec();
    let mut least = TOP;
    for index in &order {
        moved[*index] = moved[*index].max(least);
        least = moved[*index] + LINE;
    }
    // And up again, where the last ones have been pushed below the plot.
    let mut most = BOTTOM;
    for index in order.iter().rev() {
        moved[*index] = moved[*index].min(most);
        most = moved[*index] - LINE;
    }
    moved
}

fn text(svg: &mut String, attributes: &str, (x, y): (f64, f64), content: &str) {
    // A string takes any text.
    let _ = writeln!(svg, "<text {attributes} x=\"{x:.1}\" y=\"{y:.1}\">{content}</text>");
}

fn line(svg: &mut String, attributes: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(svg, "<line {attributes} x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
}

fn ends(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), number| (least.min(number), most.max(number)))
}

fn log(number: u64) -> f64 {
    (number.max(1) as f64).log10()
}

/// A number for an axis: 100, 10 k, 2.5 M.
fn short(number: u64) -> String {
    let (by, unit) = match number {
        0..1_000 => return number.to_string(),
        1_000..1_000_000 => (1e3, " k"),
        1_000_000..1_000_000_000 => (1e6, " M"),
        _ => (1e9, " G"),
    };
    let scaled = format!("{:.1}", number as f64 / by);
    format!("{}{unit}", scaled.trim_end_matches(".0"))
}
