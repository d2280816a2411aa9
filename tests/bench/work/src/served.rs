//! A subject in a separate process: one line requests work, one line replies with its times.
//!
//! A request is the work's name and the numbers of its sessions. A reply is the mean time of the calls timed together,
//! in whole picoseconds, followed by the time of each single call in nanoseconds.

use std::io::{self, BufRead, Write};

use crate::{Round, Subject, Work, fill, round};

/// Fills a subject, and lets it serve requests until the input ends.
///
/// # Errors
/// If a stream fails, or a line is no request.
pub fn serve(
    subject: &mut dyn Subject,
    sessions: u32,
    requests: impl BufRead,
    mut replies: impl Write,
) -> io::Result<()> {
    fill(subject, sessions);
    writeln!(replies, "ready")?;
    replies.flush()?;
    for line in requests.lines() {
        let line = line?;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("no request: {line}"));
        let (work, numbers) = parse_line(&line).ok_or_else(wrong)?;
        let Round { ns, singles_ns } = round(subject, work, &numbers, sessions);
        write!(replies, "{}", (ns * 1_000.0) as u64)?;
        singles_ns.iter().try_for_each(|ns| write!(replies, " {ns}"))?;
        writeln!(replies)?;
        replies.flush()?;
    }
    Ok(())
}

/// Formats the request for some work.
pub fn request(work: Work, numbers: &[u32]) -> String {
    let numbers: String = numbers.iter().map(|number| format!(" {number}")).collect();
    format!("{}{numbers}", work.name())
}

/// Parses a request line.
pub fn parse_line(line: &str) -> Option<(Work, Vec<u32>)> {
    let mut words = line.split(' ');
    let work = Work::named(words.next()?)?;
    let numbers: Option<Vec<u32>> = words.map(|word| word.parse().ok()).collect();
    numbers.filter(|numbers| !numbers.is_empty()).map(|numbers| (work, numbers))
}

/// Parses a reply line.
pub fn parse_reply(line: &str) -> Option<Round> {
    let numbers: Option<Vec<u64>> = line.trim_end().split(' ').map(|word| word.parse().ok()).collect();
    let numbers = numbers?;
    let (together, singles_ns) = numbers.split_first()?;
    Some(Round { ns: *together as f64 / 1_000.0, singles_ns: singles_ns.to_vec() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{Named, Numbers, SESSION};

    #[derive(Default)]
    struct Map(HashMap<Vec<u8>, HashMap<[u8; 32], [u8; 300]>>);

    impl Subject for Map {
        fn update(&mut self, name: &Named) {
            self.0.entry(name.partial.clone()).or_default().insert(name.id, SESSION);
        }

        fn lookup(&mut self, name: &Named) -> Option<usize> {
            self.0.get(&name.partial)?.get(&name.id).map(|session| session.len())
        }

        fn take(&mut self, name: &Named) -> Option<usize> {
            self.0.get_mut(&name.partial)?.remove(&name.id).map(|session| session.len())
        }

        fn delete(&mut self, name: &Named) {
            self.take(name);
        }

        fn select(&mut self, partial: &[u8]) -> usize {
            self.0.get(partial).map_or(0, HashMap::len)
        }

        fn foldl(&mut self) -> usize {
            self.0.values().map(HashMap::len).sum()
        }
    }

    #[test]
    fn a_subject_behind_lines_does_every_work() {
        let mut numbers = Numbers::new(100, 1);
        let requests = Work::ALL.map(|work| request(work, &numbers.draw(work, crate::Keys::Uniform, 40)));
        let mut replies = Vec::new();
        serve(&mut Map::default(), 100, requests.join("\n").as_bytes(), &mut replies).unwrap();
        let replies = String::from_utf8(replies).unwrap();
        let mut lines = replies.lines();
        assert_eq!(lines.next(), Some("ready"));
        let rounds: Vec<Round> = lines.map(|line| parse_reply(line).unwrap()).collect();
        assert_eq!(rounds.len(), Work::ALL.len());
        assert!(rounds.iter().all(|round| round.singles_ns.len() == crate::SINGLES));
    }

    #[test]
    fn a_line_that_asks_for_nothing_is_refused() {
        for line in ["", "lookup-hit", "lookup-hit x", "juggle 1"] {
            assert_eq!(parse_line(line), None, "{line}");
            assert!(serve(&mut Map::default(), 20, line.as_bytes(), Vec::new()).is_err() || line.is_empty());
        }
    }
}
