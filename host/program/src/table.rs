//! Tables for people: columns as wide as they need to be, under a rule.

/// A column: its title, of one or more lines, and true if it holds numbers, which are aligned to the right.
pub type Column = (&'static str, bool);

/// Lays rows out below their columns' titles.
pub fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let rows: Vec<Row> = rows.iter().map(|row| Row::Cells(row.clone())).collect();
    table_with_headings(columns, &rows)
}

/// A row of a table.
#[derive(Debug)]
pub enum Row {
    /// One cell for each column.
    Cells(Vec<String>),
    /// A line across all columns, for the rows that follow.
    Heading(String),
}

/// Lays rows out below their columns' titles, with headings between them.
pub fn table_with_headings(columns: &[Column], rows: &[Row]) -> String {
    let titles: Vec<Vec<&str>> = columns.iter().map(|(title, _)| title.lines().collect()).collect();
    let height = titles.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(cells[column].chars().count()),
            Row::Heading(_) => None,
        });
        cells.chain(titles[column].iter().map(|line| line.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &mut dyn Iterator<Item = &str>| {
        let cell = |(column, text): (usize, &str)| match columns[column].1 {
            true => format!("{text:>width$}", width = widths[column]),
            false => format!("{text:<width$}", width = widths[column]),
        };
        let cells: Vec<String> = row.enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut table = String::new();
    for at in 0..height {
        // A short title stands at the bottom, next to its column.
        let title = |title: &Vec<&'static str>| (at + title.len()).checked_sub(height).map_or("", |at| title[at]);
        table += &line(&mut titles.iter().map(title));
    }
    table += &(widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  ") + "\n");
    for row in rows {
        match row {
            Row::Cells(cells) => table += &line(&mut cells.iter().map(String::as_str)),
            Row::Heading(text) => table += &format!("{text}\n"),
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_two_lines_stand_at_the_bottom() {
        let rows = [Row::Heading("of one kind".into()), Row::Cells(vec!["a".into(), "10".into()])];
        let table = table_with_headings(&[("name", false), ("false\nclaims", true)], &rows);
        assert_eq!(table, "       false\nname  claims\n────  ──────\nof one kind\na         10\n");
    }
}
