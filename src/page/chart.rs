//! Curves as SVG. Colours are those of the style sheet, which goes before the attributes of an SVG.

use plotters::prelude::*;

use crate::page::samples::Points;

/// Points further apart than this belong to different times of watching: no line leads from one to the
/// other.
const GAP_SECONDS: f64 = 30.0;
const SIZE: (u32, u32) = (240, 36);

/// A curve over the seconds before `now`, from zero up to the largest value, or to `least` if that is
/// smaller. Empty if there is nothing to draw.
pub(super) fn curve(points: &Points, now: f64, seconds: f64, least: f64) -> String {
    let largest = points.iter().map(|(_, value)| *value).fold(least, f64::max);
    if points.len() < 2 || largest <= 0.0 {
        return String::new();
    }
    let mut svg = String::new();
    let drawn = draw(&mut svg, points, now - seconds..now, largest * 1.1);
    if drawn { svg } else { String::new() }
}

fn draw(svg: &mut String, points: &Points, times: std::ops::Range<f64>, top: f64) -> bool {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let Ok(mut chart) = ChartBuilder::on(&root).margin(1).build_cartesian_2d(times.clone(), 0.0..top) else {
        return false;
    };
    let shown = points.iter().copied().filter(|(at, _)| times.contains(at) || *at == times.end);
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    for point in shown {
        match pieces.last_mut() {
            Some(piece) if piece.last().is_some_and(|last| point.0 - last.0 < GAP_SECONDS) => {
                piece.push(point)
            }
            _ => pieces.push(vec![point]),
        }
    }
    let area = |piece: Vec<(f64, f64)>| AreaSeries::new(piece, 0.0, BLACK.mix(0.15)).border_style(BLACK);
    let drawn = pieces.into_iter().all(|piece| chart.draw_series(area(piece)).is_ok());
    drawn && root.present().is_ok()
}

/// Bars beside each other, one for each value. Empty if there is nothing to draw.
pub(super) fn bars(values: &[f64]) -> String {
    let largest = values.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return String::new();
    }
    let mut svg = String::new();
    // Few bars are as wide as many.
    let slots = values.len().max(20);
    let drawn = draw_bars(&mut svg, values, 0.0..f64::from(u32::try_from(slots).unwrap_or(0)), largest);
    if drawn { svg } else { String::new() }
}

fn draw_bars(svg: &mut String, values: &[f64], slots: std::ops::Range<f64>, top: f64) -> bool {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let Ok(mut chart) = ChartBuilder::on(&root).build_cartesian_2d(slots, 0.0..top) else { return false };
    let lefts = (0_u32..).map(f64::from);
    let bar = |(left, value): (f64, &f64)| {
        // Nothing is shown as a line, so that it can be counted.
        Rectangle::new([(left + 0.15, 0.0), (left + 0.85, value.max(top * 0.04))], BLACK.filled())
    };
    chart.draw_series(lefts.zip(values).map(bar)).is_ok() && root.present().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_in_pieces_and_nothing_is_not() {
        let lines = |points: &[(f64, f64)]| {
            curve(&points.iter().copied().collect(), 100.0, 100.0, 1.0).matches("<polyline").count()
        };
        assert_eq!(lines(&[]), 0);
        assert_eq!(lines(&[(98.0, 1.0), (99.0, 2.0), (100.0, 1.0)]), 1);
        assert_eq!(lines(&[(1.0, 1.0), (2.0, 2.0), (99.0, 1.0), (100.0, 1.0)]), 2);
    }

    #[test]
    fn each_value_has_a_bar() {
        assert_eq!(bars(&[0.0, 2.0, 1.0]).matches("<rect").count(), 3);
        assert_eq!(bars(&[0.0]), "");
    }
}
