//! A TOML file that finds a field by its path, and tells the field's line and text.

use std::{fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A field's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Number(usize),
}

impl At {
    /// The whole file.
    pub fn top() -> Self {
        Self::default()
    }

    /// A field of this one.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.step(Step::Key(key.into()))
    }

    /// A field of this one, or of a field of it: `a.b`.
    #[must_use]
    pub fn keys(&self, keys: &str) -> Self {
        keys.split('.').fold(self.clone(), |at, key| at.key(key))
    }

    /// An element of this one, from 0.
    #[must_use]
    pub fn number(&self, number: usize) -> Self {
        self.step(Step::Number(number))
    }

    fn step(&self, step: Step) -> Self {
        Self([self.0.as_slice(), &[step]].concat())
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if number == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Number(number) => write!(f, "[{number}]")?,
            }
        }
        Ok(())
    }
}

/// The place of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The line, from 1.
    pub(super) line: usize,
    /// The written value, cut to a part of a line. None for a missing field, whose line is that of its table.
    pub(super) value: Option<String>,
}

/// The longest text that is shown of a value.
pub(super) const VALUE_CHARS_MAX: usize = 80;

/// A parsed file with its text.
pub(super) struct Document<'a> {
    text: &'a str,
    top: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, toml::de::Error> {
        Ok(Self { text, top: DeTable::parse(text)? })
    }

    pub(super) fn table(&self) -> Spanned<DeTable<'a>> {
        self.top.clone()
    }

    /// The place of a field.
    pub(super) fn place(&self, at: &At) -> Place {
        let mut value = None;
        let mut span = 0..0;
        for step in &at.0 {
            let table = match value {
                None => Some(self.top.get_ref()),
                Some(value) => Spanned::<DeValue<'_>>::get_ref(value).as_table(),
            };
            let next = match step {
                Step::Key(key) => table.and_then(|table| table.get_key_value(key.as_str())),
                Step::Number(number) => {
                    let array = value.and_then(|value| value.get_ref().as_array());
                    let Some(element) = array.and_then(|array| array.get(*number)) else {
                        return self.at_line_of(span);
                    };
                    (span, value) = (element.span(), Some(element));
                    continue;
                }
            };
            let Some((key, next)) = next else { return self.at_line_of(span) };
            // A table's own span may be that of its header, or of a part of it.
            span = key.span();
            value = Some(next);
        }
        let text = value.filter(|value| !value.get_ref().is_table()).map(|value| self.shown(value.span()));
        Place { value: text, ..self.at_line_of(span) }
    }

    fn at_line_of(&self, span: Range<usize>) -> Place {
        Place { line: line(self.text, span.start), value: None }
    }

    fn shown(&self, span: Range<usize>) -> String {
        let text = self.text.get(span).unwrap_or_default();
        let first = text.lines().next().unwrap_or_default();
        let is_cut = first.len() < text.trim_end().len() || first.chars().count() > VALUE_CHARS_MAX;
        let shown: String = first.chars().take(VALUE_CHARS_MAX).collect();
        if is_cut { format!("{shown}…") } else { shown }
    }

    /// The path of the innermost field around a place in the text.
    pub(super) fn path(&self, span: &Range<usize>) -> At {
        path_in(self.top.get_ref(), span).unwrap_or_default()
    }
}

/// The line of a place in a text, from 1.
pub(super) fn line(text: &str, place: usize) -> usize {
    1 + text.bytes().take(place).filter(|byte| *byte == b'\n').count()
}

fn path_in(table: &DeTable<'_>, span: &Range<usize>) -> Option<At> {
    table.iter().find_map(|(key, value)| {
        let own = At::top().key(key.get_ref().as_ref());
        let within = path_of(value, span).map(|rest| At([own.0.as_slice(), &rest.0].concat()));
        within.or_else(|| holds(&key.span(), span).then_some(own))
    })
}

fn path_of(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<At> {
    let within = match value.get_ref() {
        DeValue::Table(table) => path_in(table, span),
        DeValue::Array(array) => array.iter().enumerate().find_map(|(number, element)| {
            let own = At::top().number(number);
            path_of(element, span).map(|rest| At([own.0.as_slice(), &rest.0].concat()))
        }),
        _ => None,
    };
    within.or_else(|| holds(&value.span(), span).then(At::top))
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
