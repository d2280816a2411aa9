//! Text from a guest, made fit for a log.

use std::fmt::Write as _;

/// Gives a guest's text as one line of at most `bytes_max` bytes, with control characters escaped.
pub fn log_line(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars() {
        let before = line.len();
        match character.is_control() {
            true => write!(line, "{}", character.escape_default()).expect("a string takes any text"),
            false => line.push(character),
        }
        if line.len() > bytes_max {
            line.truncate(before);
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::log_line;

    #[test]
    fn a_log_line_has_no_control_characters_and_ends_at_its_limit() {
        assert_eq!(log_line("plain", 1_024), "plain");
        assert_eq!(log_line("two\nlines\x1b[2J", 1_024), "two\\nlines\\u{1b}[2J");
        assert_eq!(log_line("äöü", 4), "äö");
        assert_eq!(log_line("äöü", 5), "äö");
        assert_eq!(log_line("ab\n", 3), "ab");
        assert_eq!(log_line("", 0), "");
    }
}
