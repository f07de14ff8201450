//! Curves: small pictures made here, each with a title, its unit, an axis, and the numbers as a table.
//!
//! They are part of the page: no script, no style but by class, nothing of it from elsewhere.

use maud::{Markup, html};

use crate::time::Timestamp;

/// Width and height of a picture, in its own units.
const WIDTH: u64 = 640;
const HEIGHT: u64 = 260;
/// What is left free of it for labels.
const LEFT: u64 = 84;
const RIGHT: u64 = 16;
const TOP: u64 = 20;
const BOTTOM: u64 = 40;
/// Between two marks of the time axis, in milliseconds.
const MARK_MS: i64 = 6 * 60 * 60 * 1000;
/// The time that is shown, in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a picture is of.
pub(super) struct Chart<'a> {
    /// Unlike every other on the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    /// The most that there can be, where there is such.
    pub(super) most: Option<u64>,
    /// The end of the time axis.
    pub(super) until: Timestamp,
}

/// One of the things that are shown over time.
pub(super) struct Series {
    pub(super) name: String,
    /// By time, oldest first; nothing where nothing is known.
    pub(super) points: Vec<(Timestamp, Option<u64>)>,
}

impl Chart<'_> {
    /// Bars by the hour, one series on the other.
    pub(super) fn bars(&self, series: &[Series]) -> Markup {
        let sums = (0..series.first().map_or(0, |it| it.points.len()))
            .map(|at| series.iter().filter_map(|it| it.points.get(at)?.1).sum::<u64>());
        let top = self.top(sums.max().unwrap_or(0));
        let width = (WIDTH - LEFT - RIGHT) / 24;
        let mut bars = Vec::new();
        for (number, one) in series.iter().enumerate() {
            for (at, (from, value)) in one.points.iter().enumerate() {
                let below = series.iter().take(number).filter_map(|it| it.points.get(at)?.1);
                let below: u64 = below.sum();
                let value = value.unwrap_or(0);
                let (upper, lower) = (y(below.saturating_add(value), top), y(below, top));
                if lower > upper {
                    bars.push((number, self.x(*from), upper, lower - upper));
                }
            }
        }
        let picture = html! {
            @for (number, x, y, height) in bars {
                rect class=(format!("series-{number}")) x=(x.saturating_add(2)) y=(y)
                    width=(width.saturating_sub(4)) height=(height) {}
            }
        };
        self.figure(&picture, top, series, 1)
    }

    /// Lines, with a gap where nothing is known.
    pub(super) fn lines(&self, series: &[Series], every: usize) -> Markup {
        let all = series.iter().flat_map(|it| &it.points).filter_map(|point| point.1);
        let top = self.top(all.max().unwrap_or(0));
        let picture = html! {
            @for (number, one) in series.iter().enumerate() {
                path class=(format!("line series-{number}")) d=(self.path(&one.points, top)) {}
                @if let Some((at, value)) = one.points.iter().rev().find_map(|(at, it)| Some((at, (*it)?))) {
                    circle class=(format!("dot series-{number}")) cx=(self.x(*at)) cy=(y(value, top)) r="5" {}
                }
            }
        };
        self.figure(&picture, top, series, every)
    }

    fn path(&self, points: &[(Timestamp, Option<u64>)], top: u64) -> String {
        let (mut path, mut is_on) = (String::new(), false);
        for (at, value) in points {
            if let Some(value) = value {
                let step = if is_on { "L" } else { "M" };
                let (x, y) = (self.x(*at).to_string(), y(*value, top).to_string());
                path.extend([step, x.as_str(), " ", y.as_str()]);
            }
            is_on = value.is_some();
        }
        path
    }

    /// The whole of it: `every` says which of the points the table has.
    fn figure(&self, picture: &Markup, top: u64, series: &[Series], every: usize) -> Markup {
        let (title, table) = (format!("{}-title", self.id), format!("{}-table", self.id));
        html! {
            figure.chart {
                figcaption { h3 id=(table) { (self.title) } span.quiet { (self.unit) } }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(title) {
                    title id=(title) { (self.title) ", " (self.unit) "; the numbers are in the table below" }
                    (self.axes(top))
                    (picture)
                }
                @if series.len() > 1 {
                    ul.legend {
                        @for (number, one) in series.iter().enumerate() {
                            li { span class=(format!("swatch series-{number}")) {} " " bdi { (one.name) } }
                        }
                    }
                }
                details {
                    summary { "As a table" }
                    div.wide role="region" aria-labelledby=(table) tabindex="0" { (numbers(series, every, self.unit)) }
                }
            }
        }
    }

    fn axes(&self, top: u64) -> Markup {
        let end = self.until.milliseconds();
        let first = end.saturating_sub(DAY_MS).div_euclid(MARK_MS).saturating_add(1);
        let marks = (0..4).map(|mark| {
            Timestamp::from_milliseconds(first.saturating_add(mark).saturating_mul(MARK_MS))
        });
        html! {
            @for value in [0, top / 2, top] {
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y(value, top)) y2=(y(value, top)) {}
                text.axis x=(LEFT - 10) y=(y(value, top).saturating_add(7)) text-anchor="end" { (value) }
            }
            @for mark in marks {
                line.tick x1=(self.x(mark)) x2=(self.x(mark)) y1=(HEIGHT - BOTTOM) y2=(HEIGHT - BOTTOM + 6) {}
                text.axis x=(self.x(mark)) y=(HEIGHT - 10) text-anchor="middle" { (clock(mark)) }
            }
        }
    }

    fn x(&self, at: Timestamp) -> u64 {
        let begin = self.until.milliseconds().saturating_sub(DAY_MS);
        let passed = at.milliseconds().saturating_sub(begin).clamp(0, DAY_MS);
        let (passed, day) =
            (u64::try_from(passed).unwrap_or(0), u64::try_from(DAY_MS).unwrap_or(1));
        LEFT + (WIDTH - LEFT - RIGHT).saturating_mul(passed) / day
    }

    /// The upper end of the axis: a round number that nothing is above.
    fn top(&self, highest: u64) -> u64 {
        self.most.unwrap_or_else(|| round_up(highest))
    }
}

fn y(value: u64, top: u64) -> u64 {
    let height = HEIGHT - TOP - BOTTOM;
    HEIGHT - BOTTOM - height.saturating_mul(value.min(top)) / top.max(1)
}

/// 2, 4, 10, 20, 40, 100 and so on, so that half of it is whole.
fn round_up(highest: u64) -> u64 {
    let mut ten = 1_u64;
    loop {
        for round in [2, 4, 10] {
            let top = ten.saturating_mul(round);
            if top >= highest {
                return top;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

/// `14:00`
fn clock(at: Timestamp) -> String {
    at.to_string().get(11..16).unwrap_or_default().to_owned()
}

fn numbers(series: &[Series], every: usize, unit: &str) -> Markup {
    let times = series.first().map_or(&[][..], |one| &one.points);
    html! {
        table {
            caption.unseen { "By time (UTC), newest first, " (unit) }
            thead { tr {
                th scope="col" { "From" }
                @for one in series { th.number scope="col" { bdi { (one.name) } } }
            } }
            tbody {
                @for (row, (at, _)) in times.iter().enumerate().rev().step_by(every.max(1)) {
                    tr {
                        th scope="row" { time datetime=(at.to_string()) { (clock(*at)) } }
                        @for one in series {
                            td.number data-label=(one.name) {
                                @match one.points.get(row).and_then(|point| point.1) {
                                    Some(value) => { (value) }
                                    None => { span.quiet { "-" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_milliseconds(20_000 * 24 * HOUR + hour * HOUR)
    }

    fn chart(most: Option<u64>) -> Chart<'static> {
        Chart { id: "pulls", title: "Pulls", unit: "pulls in an hour", most, until: at(24) }
    }

    fn one(values: &[Option<u64>]) -> Series {
        let points = values.iter().zip(0..).map(|(value, hour)| (at(hour), *value)).collect();
        Series { name: "served".to_owned(), points }
    }

    #[test]
    fn an_axis_ends_at_a_round_number_that_is_not_below_anything() {
        for (highest, top) in [(0, 2), (1, 2), (3, 4), (5, 10), (11, 20), (399, 400), (401, 1_000)]
        {
            assert_eq!(round_up(highest), top, "{highest}");
        }
        assert!(round_up(u64::MAX) == u64::MAX);
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_is_known_and_stays_in_the_picture() {
        let chart = chart(Some(100));
        let points = [Some(0), Some(100), None, Some(400)];
        let path = chart.path(&one(&points).points, 100);
        assert_eq!(path, "M84 220L106 20M151 20", "a new beginning after the gap");
        assert_eq!((chart.x(at(-5)), chart.x(at(48))), (84, 624));
    }

    #[test]
    fn a_picture_has_title_unit_axis_and_all_numbers_in_a_table() {
        let text = chart(None).bars(&[one(&[Some(3), None, Some(0)])]).into_string();
        for said in [
            "<title id=\"pulls-title\">Pulls, pulls in an hour",
            "role=\"img\" aria-labelledby=\"pulls-title\"",
            "<text class=\"axis\" x=\"74\" y=\"27\" text-anchor=\"end\">4</text>",
            "As a table",
            "<th scope=\"row\"><time datetime=",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert_eq!(text.matches("<rect").count(), 1, "nothing is drawn for nothing: {text}");
        assert_eq!(text.matches("<tr>").count(), 4, "{text}");
        assert!(!text.contains("style="), "{text}");
    }
}
