//! What is wrong in a configuration: where, what stands there, why it does not do, and what to do about it.

use std::{fmt, path::PathBuf};

use super::{
    document::{At, Document, Place, VALUE_CHARS_MAX, line},
    settings::TenantProblems,
};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The configuration file.
    pub file: PathBuf,
    /// The line, from 1. None where the file itself cannot be read.
    pub line: Option<usize>,
    /// The field's path, such as `tenants.shop.upstream.address`. Empty where it is about the whole file.
    pub field: String,
    /// What stands there, if something does.
    pub value: Option<String>,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
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

/// Everything that is wrong, in the order of the file. Never empty.
#[derive(Clone, Debug)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// An error if there are any.
    pub(crate) fn none_of(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// Two that are told as one, in the order of the file.
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

/// Where problems are noted while a file is checked.
pub(super) struct Notes<'a> {
    file: PathBuf,
    document: &'a Document<'a>,
    problems: Vec<Problem>,
}

/// More would help nobody.
const PROBLEMS_MAX: usize = 100;

impl<'a> Notes<'a> {
    pub(super) fn new(file: PathBuf, document: &'a Document<'a>) -> Self {
        Self { file, document, problems: Vec::new() }
    }

    /// Notes what is wrong with a field.
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

    /// Notes what is wrong with a field that cannot do as it is written, and goes on without it.
    pub(super) fn none<T>(&mut self, at: &At, what: impl fmt::Display, fix: impl fmt::Display) -> Option<T> {
        self.add(at, what, fix);
        None
    }

    /// Notes of the same file, in which nothing is noted yet.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.file.clone(), self.document)
    }

    pub(super) fn into_first(self) -> Option<Problem> {
        self.problems.into_iter().next()
    }

    /// What has been noted, if anything, in the order of the file.
    pub(super) fn finish(mut self) -> Result<(), Problems> {
        self.problems.sort_by_key(|problem| problem.line);
        Problems::none_of(self.problems)
    }

    /// The same, and what is wrong with single tenants besides, if anything has been noted.
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

/// A file that is no TOML.
pub(super) fn syntax(file: PathBuf, text: &str, error: &toml::de::Error) -> Problem {
    let place = error.span().map(|span| line(text, span.start));
    let written = place.and_then(|line| text.lines().nth(line - 1)).unwrap_or_default().trim();
    let (what, fix) = match error.message() {
        "duplicate key" => ("the field is there twice".to_owned(), "keep one of the two"),
        message => (
            format!("`{}` is no TOML: {message}", written.chars().take(VALUE_CHARS_MAX).collect::<String>()),
            "mend it as https://toml.io says; a text needs quotes, a table `[name]`",
        ),
    };
    // The key that stands there, where it is one.
    let written = error.span().and_then(|span| text.get(span)).map(str::trim).filter(|written| !written.is_empty());
    let field = match error.message() {
        "duplicate key" => written.unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    Problem { file, line: place, field, value: None, what, fix: fix.into() }
}

/// A file whose fields are not those of a configuration.
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
        problem.what = "there is no such field".into();
        problem.fix = known(field, &message);
    } else if let (true, Some(_)) = (message.starts_with("unknown variant"), quoted(0)) {
        problem.value = document.place(&at).value;
        problem.what = "there is no such choice".into();
        problem.fix = known(quoted(0).unwrap_or_default(), &message);
    } else if let Some((_, expected)) = message.split_once("expected ") {
        problem.value = document.place(&at).value;
        problem.what = format!("it should be {}", wanted(expected));
        problem.fix = format!("write {}", example(expected));
    }
    problem
}

/// What serde wants, in the words of the file.
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

/// The nearest of what serde says there is, or all of it.
fn known(written: &str, message: &str) -> String {
    let there: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    let nearest = there.iter().map(|own| (strsim::jaro_winkler(written, own), own));
    let nearest = nearest.max_by(|one, other| one.0.total_cmp(&other.0)).filter(|(likeness, _)| *likeness > 0.8);
    match (nearest, there.is_empty()) {
        (_, true) => "leave it out: there are no fields here".into(),
        (Some((_, own)), _) => format!("did you mean `{own}`?"),
        (None, _) => format!("there are `{}`", there.join("`, `")),
    }
}
