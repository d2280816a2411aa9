//! Problems in a configuration. Each tells its place, the written value, the error, and the fix.

use std::{fmt, path::PathBuf};

use super::document::{At, Document, Place, VALUE_CHARS_MAX, line};

/// A problem in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The configuration file.
    pub file: PathBuf,
    /// The line, from 1. None if the file itself cannot be read.
    pub line: Option<usize>,
    /// The field's path, such as `tenants.shop.upstream.address`. Empty for a problem of the whole file.
    pub field: String,
    /// The written value, if any.
    pub value: Option<String>,
    /// The error.
    pub what: String,
    /// The fix.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        match (self.field.as_str(), &self.value) {
            ("", _) => {}
            (field, Some(value)) => write!(f, "`{field}` is `{value}`: ")?,
            (field, None) => write!(f, "`{field}`: ")?,
        }
        write!(f, "{}\nhint: {}", self.what, self.fix)
    }
}

/// All problems of a configuration, in the order of the file. Never empty.
#[derive(Clone, Debug)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// An error unless `problems` is empty.
    pub(crate) fn none_of(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// Both together, in the order of the file.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self.0.sort_by_key(|problem| problem.line);
        self.0.truncate(PROBLEMS_MAX);
        self
    }

    /// The problems.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The problems of one tenant.
#[derive(Clone, Debug)]
pub struct TenantProblems {
    /// Its name.
    pub tenant: String,
    /// The part of the tenant that they concern.
    pub part: Part,
    /// The problems.
    pub problems: Problems,
}

/// A part of a tenant's settings that can be valid without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Names, certificates, upstream, bounds of connections. Without valid ones a new tenant is not served, and an
    /// existing one stays as it was.
    Front,
    /// Component, limits, properties. Without valid ones a new tenant is served without a guest, and an existing one
    /// keeps its guest.
    Guest,
}

/// The problems found so far while a file is checked.
pub(super) struct Notes<'a> {
    file: PathBuf,
    document: &'a Document<'a>,
    problems: Vec<Problem>,
}

/// The problems that are reported at most.
const PROBLEMS_MAX: usize = 100;

impl<'a> Notes<'a> {
    pub(super) fn new(file: PathBuf, document: &'a Document<'a>) -> Self {
        Self { file, document, problems: Vec::new() }
    }

    /// Notes a problem of a field.
    pub(super) fn add(&mut self, at: &At, what: impl fmt::Display, fix: impl fmt::Display) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let Place { line, value } = self.document.place(at);
        self.problems.push(Problem {
            file: self.file.clone(),
            line: Some(line),
            field: at.to_string(),
            value,
            what: what.to_string(),
            fix: fix.to_string(),
        });
    }

    /// Notes a problem of a field, and returns None instead of its value.
    pub(super) fn none<T>(&mut self, at: &At, what: impl fmt::Display, fix: impl fmt::Display) -> Option<T> {
        self.add(at, what, fix);
        None
    }

    /// Empty notes of the same file.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.file.clone(), self.document)
    }

    pub(super) fn into_first(self) -> Option<Problem> {
        self.problems.into_iter().next()
    }

    /// An error with every noted problem, in the order of the file, if there are any.
    pub(super) fn finish(mut self) -> Result<(), Problems> {
        self.problems.sort_by_key(|problem| problem.line);
        Problems::none_of(self.problems)
    }

    /// Finishes like [`Self::finish`]. An error includes the problems of single tenants.
    pub(super) fn finish_with(mut self, troubled: &[TenantProblems]) -> Result<(), Problems> {
        if !self.problems.is_empty() {
            let own = troubled.iter().flat_map(|troubled| troubled.problems.iter().cloned());
            self.problems.extend(own);
        }
        self.finish().map_err(|Problems(mut problems)| {
            problems.truncate(PROBLEMS_MAX);
            Problems(problems)
        })
    }
}

/// The problem of a file that is not TOML.
pub(super) fn syntax(file: PathBuf, text: &str, error: &toml::de::Error) -> Problem {
    let place = error.span().map(|span| line(text, span.start));
    let written = place.and_then(|line| text.lines().nth(line - 1)).unwrap_or_default().trim();
    let (what, fix) = match error.message() {
        "duplicate key" => ("the field is there twice".to_owned(), "keep one of the two"),
        message => (
            format!("`{}` is not TOML: {message}", written.chars().take(VALUE_CHARS_MAX).collect::<String>()),
            "see https://toml.io; a text needs quotes, a table `[name]`",
        ),
    };
    // The key at this place, if it is one.
    let written = error.span().and_then(|span| text.get(span)).map(str::trim).filter(|written| !written.is_empty());
    let field = match error.message() {
        "duplicate key" => written.unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    Problem { file, line: place, field, value: None, what, fix: fix.into() }
}

/// The problem of a file with other fields than a configuration has.
pub(super) fn shape(file: PathBuf, text: &str, document: &Document<'_>, error: &toml::de::Error) -> Problem {
    let message = error.message().to_owned();
    let span = error.span().unwrap_or(0..0);
    let at = document.path(&span);
    let mut problem = Problem {
        file,
        line: Some(line(text, span.start)),
        field: at.to_string(),
        value: None,
        what: message.clone(),
        fix: "see the configuration reference".into(),
    };
    let quoted = |number: usize| message.split('`').nth(2 * number + 1);
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        problem.field = if at == At::top() { field.to_owned() } else { format!("{at}.{field}") };
        problem.what = "the field is missing".into();
        problem.fix = format!("write `{field} = …` there");
    } else if let (true, Some(field)) = (message.starts_with("unknown field"), quoted(0)) {
        problem.what = "unknown field".into();
        problem.fix = known(field, &message);
    } else if let (true, Some(_)) = (message.starts_with("unknown variant"), quoted(0)) {
        problem.value = document.place(&at).value;
        problem.what = "unknown choice".into();
        problem.fix = known(quoted(0).unwrap_or_default(), &message);
    } else if let Some((_, expected)) = message.split_once("expected ") {
        problem.value = document.place(&at).value;
        problem.what = format!("it should be {}", wanted(expected));
        problem.fix = format!("write {}", example(expected));
    }
    problem
}

/// The type that serde expects, in the words of the file.
fn wanted(expected: &str) -> &str {
    match expected {
        "u64" | "u32" | "usize" | "u16" => "a whole number from 0",
        "a sequence" => "a list",
        "a string" => "a text",
        "a boolean" => "true or false",
        _ if expected.starts_with("struct ") || expected == "a map" => "a table",
        expected => expected,
    }
}

fn example(expected: &str) -> &str {
    match wanted(expected) {
        "a whole number from 0" => "it without quotes, a point or a unit, such as `3600`",
        "a list" => "it in brackets, such as `[\"one\", \"two\"]`",
        "a text" => "it in quotes",
        "true or false" => "`true` or `false`, without quotes",
        "a table" => "its fields in braces, or in a table of its own",
        other => other,
    }
}

/// The nearest of the names that serde knows, or all of them.
fn known(written: &str, message: &str) -> String {
    let there: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    let nearest = there.iter().map(|own| (strsim::jaro_winkler(written, own), own));
    let nearest = nearest.max_by(|one, other| one.0.total_cmp(&other.0)).filter(|(likeness, _)| *likeness > 0.8);
    match (nearest, there.is_empty()) {
        (_, true) => "leave it out: this table has no fields".into(),
        (Some((_, own)), _) => format!("did you mean `{own}`?"),
        (None, _) => format!("write one of `{}`", there.join("`, `")),
    }
}
