//! Tables for people: columns as wide as they need to be, under a rule.

/// A column: its title, and whether it holds numbers, which are set to the right.
pub(crate) type Column = (&'static str, bool);

/// Lays rows out below their columns' titles.
pub(crate) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.chain([columns[column].0.chars().count()]).max().unwrap_or(0)
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
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let mut table = line(&mut columns.iter().map(|(title, _)| *title)) + &rule.join("  ") + "\n";
    for row in rows {
        table += &line(&mut row.iter().map(String::as_str));
    }
    table
}
