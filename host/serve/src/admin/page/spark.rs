//! Sparklines: the last ten minutes in a small picture, and in words for people who cannot see it.

use maud::{Markup, html};

use crate::admin::pieces::{counted, number, ratio};
use crate::history::{EVERY_S, Reading};

/// The points of a picture: the readings of ten minutes.
const POINTS: usize = 120;
/// The width. Coordinates are whole numbers, to keep a page with many pictures small.
const WIDTH: usize = POINTS - 1;
const HEIGHT: u32 = 48;

/// The share of handshakes that resumed, over the last minutes. A time without handshakes is a gap.
pub(super) fn resumed(readings: &[Reading]) -> Markup {
    let points: Vec<Option<f64>> = readings
        .iter()
        .map(|reading| (reading.handshakes > 0).then(|| f64::from(reading.resumed) / f64::from(reading.handshakes)))
        .collect();
    let (handshakes, resumed) = lately(readings);
    let what = format!("{} of {} resumed in the last ten minutes", ratio(resumed, handshakes), number(handshakes));
    picture("resumed", &points, &what)
}

/// The number of handshakes over the last minutes, relative to the maximum.
pub(super) fn handshakes(readings: &[Reading]) -> Markup {
    let most = readings.iter().map(|reading| reading.handshakes).max().unwrap_or(0);
    let of_most = |reading: &Reading| Some(f64::from(reading.handshakes) / f64::from(most.max(1)));
    let points: Vec<Option<f64>> = readings.iter().map(of_most).collect();
    let all = counted(lately(readings).0, "handshake", "handshakes");
    let what = format!("{all} in the last ten minutes, {} in {EVERY_S} s at most", number(most.into()));
    picture("handshakes", &points, &what)
}

/// The handshakes of the last minutes, and the resumed ones among them.
pub(super) fn lately(readings: &[Reading]) -> (u64, u64) {
    let sum = |of: fn(&Reading) -> u32| readings.iter().map(|reading| u64::from(of(reading))).sum();
    (sum(|reading| reading.handshakes), sum(|reading| reading.resumed))
}

/// Draws values from 0 to 1, oldest first. The newest is at the right edge.
fn picture(class: &str, points: &[Option<f64>], what: &str) -> Markup {
    let runs = runs(points);
    let bottom = HEIGHT - 1;
    html! {
        svg class={ "spark " (class) } viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" {
            title { (what) }
            line class="base" x1="0" y1=(bottom) x2=(WIDTH) y2=(bottom) {}
            @for run in &runs {
                polygon points=(under(run)) {}
                // A single point would be invisible.
                polyline points=(if run.len() == 1 { text(&[run[0], run[0]]) } else { text(run) }) {}
            }
        }
    }
}

type Point = (usize, u32);

/// The points in the picture, grouped into runs without a gap.
fn runs(points: &[Option<f64>]) -> Vec<Vec<Point>> {
    let first = POINTS.saturating_sub(points.len());
    let mut runs = vec![Vec::new()];
    for (number, point) in points.iter().enumerate() {
        match (point, runs.last_mut()) {
            (Some(value), Some(run)) => run.push((first + number, height(*value))),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// The distance of a value from 0 to 1 below the upper edge. Half a line's width stays free above and below.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the picture")]
fn height(value: f64) -> u32 {
    2 + ((1.0 - value.clamp(0.0, 1.0)) * f64::from(HEIGHT - 4)).round() as u32
}

/// The outline of the area between a run and the bottom.
fn under(run: &[Point]) -> String {
    let ends = [run.last(), run.first()].into_iter().flatten().map(|(x, _)| (*x, HEIGHT - 1));
    text(&run.iter().copied().chain(ends).collect::<Vec<_>>())
}

fn text(points: &[Point]) -> String {
    points.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_parts_the_line_and_the_newest_point_is_at_the_right_edge() {
        let drawn = runs(&[Some(1.0), Some(0.0), None, None, Some(0.5)]);
        assert_eq!(drawn.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(text(&drawn[0]), "115,2 116,46");
        assert_eq!(text(&drawn[1]), "119,24");
        assert_eq!(under(&drawn[0]), "115,2 116,46 116,47 115,47");
        assert!(runs(&[None, None]).is_empty());
    }

    #[test]
    fn a_picture_says_in_words_what_it_shows() {
        let readings = [
            Reading { handshakes: 3, resumed: 3, ..Reading::default() },
            Reading { handshakes: 1, ..Reading::default() },
        ];
        assert!(resumed(&readings).into_string().contains("75 % of 4 resumed in the last ten minutes"));
        assert!(handshakes(&readings).into_string().contains("4 handshakes in the last ten minutes, 3 in 5 s at most"));
    }
}
