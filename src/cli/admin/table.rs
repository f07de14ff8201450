//! Tables for terminals: aligned, at most 100 columns, names cut in the middle, nothing else cut.

use super::text::{WIDTH, cut_middle, printable, wrap};

/// Space between columns.
const GAP: usize = 2;
/// Narrowest that a column of names is made.
const NAME_WIDTH_MIN: usize = 24;
/// Indent of a text that got lines of its own.
const OWN_LINE_INDENT: usize = 6;

/// How a column may give way when a table is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Column {
    /// Never cut: ids, states, digests, times.
    Fixed(&'static str),
    /// Cut in the middle: image names.
    Name(&'static str),
    /// Last column, of free text: moves to lines of its own when it does not fit beside the rest.
    Text(&'static str),
}

impl Column {
    const fn title(self) -> &'static str {
        match self {
            Self::Fixed(title) | Self::Name(title) | Self::Text(title) => title,
        }
    }
}

/// A table in the making.
#[derive(Debug)]
pub(in crate::cli) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table; only the last column may be [`Column::Text`].
    pub(in crate::cli) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row with one cell per column.
    pub(in crate::cli) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| printable(&cell)).collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has one cell per column");
        self.rows.push(cells);
    }

    /// The table, each line ended; the header alone if there is no row.
    pub(in crate::cli) fn render(&self) -> String {
        let natural: Vec<usize> =
            (0..self.columns.len()).map(|column| self.natural_width(column)).collect();
        let text_is_apart = self.text_is_apart(&natural);
        let beside = self.columns.len() - usize::from(text_is_apart);
        let widths = self.fit(&natural, beside);
        let mut out = String::new();
        let titles: Vec<String> = self.columns.iter().map(|c| c.title().to_owned()).collect();
        push_row(&mut out, titles.get(..beside).unwrap_or_default(), &widths);
        for row in &self.rows {
            push_row(&mut out, row.get(..beside).unwrap_or_default(), &widths);
            for text in row.get(beside..).unwrap_or_default() {
                push_indented(&mut out, text);
            }
        }
        out
    }

    fn natural_width(&self, column: usize) -> usize {
        let title = self.columns.get(column).map_or(0, |column| column.title().len());
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).fold(title, usize::max)
    }

    /// Whether the text column does not fit beside the others, even with names cut a little.
    fn text_is_apart(&self, natural: &[usize]) -> bool {
        let narrowest = |(column, width): (&Column, &usize)| match column {
            Column::Name(_) => (*width).min(NAME_WIDTH_MIN),
            Column::Fixed(_) | Column::Text(_) => *width,
        };
        let least: usize = self.columns.iter().zip(natural).map(narrowest).sum();
        let is_text = matches!(self.columns.last(), Some(Column::Text(_)));
        is_text && least + GAP * natural.len().saturating_sub(1) > WIDTH
    }

    /// Widths of the first `beside` columns, the names narrowed by what is too much.
    fn fit(&self, natural: &[usize], beside: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = natural.iter().copied().take(beside).collect();
        let total = widths.iter().sum::<usize>() + GAP * beside.saturating_sub(1);
        let mut excess = total.saturating_sub(WIDTH);
        for (column, width) in self.columns.iter().zip(&mut widths) {
            if matches!(column, Column::Name(_)) {
                let give = excess.min(width.saturating_sub(NAME_WIDTH_MIN));
                *width -= give;
                excess -= give;
            }
        }
        widths
    }
}

fn push_row(out: &mut String, cells: &[String], widths: &[usize]) {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = cut_middle(cell, *width);
        let padding = width + GAP - cell.chars().count().min(*width);
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', padding));
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn push_indented(out: &mut String, text: &str) {
    for line in wrap(text, WIDTH - OWN_LINE_INDENT) {
        out.extend(std::iter::repeat_n(' ', OWN_LINE_INDENT));
        out.push_str(&line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(image: &str, why: &str) -> String {
        let mut table = Table::new([
            Column::Fixed("ID"),
            Column::Name("IMAGE"),
            Column::Fixed("DIGEST"),
            Column::Text("WHY"),
        ]);
        table.row(["R-1".into(), image.into(), "9f1c03ab77de".into(), why.into()]);
        table.row(["R-200".into(), "a.io/b".into(), "41d2e8a0c915".into(), "short".into()]);
        table.render()
    }

    #[test]
    fn columns_align_and_lines_have_no_trailing_space() {
        assert_eq!(
            table("docker.io/library/redis:7.4", "needs approval"),
            "ID     IMAGE                        DIGEST        WHY\n\
             R-1    docker.io/library/redis:7.4  9f1c03ab77de  needs approval\n\
             R-200  a.io/b                       41d2e8a0c915  short\n"
        );
    }

    #[test]
    fn a_wide_table_cuts_names_only_and_gives_long_texts_their_own_lines() {
        let image = "registry.corp.example/a-team/of/very/long/names/indeed/service:1.2.3-rc.4";
        let fits = table(image, "not signed by acme-ci or by anyone else");
        assert!(fits.lines().all(|line| line.len() <= WIDTH), "{fits}");
        assert!(fits.contains("9f1c03ab77de  not signed by acme-ci or by anyone else"), "{fits}");
        let why = "needs 1 of [acme-ci]; found 1 signature that does not verify, since it was made \
                   for another repository";
        let apart = table(image, why);
        assert!(apart.lines().all(|line| line.len() <= WIDTH), "{apart}");
        assert!(apart.contains(image) && !apart.contains("WHY"), "{apart}");
        let joined = apart.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(joined.contains(why), "{apart}");
    }
}
