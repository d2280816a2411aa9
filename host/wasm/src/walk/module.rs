//! One core module: its declarations, its initial contents, and its functions.

use wasmparser::{
    BinaryReader, CompositeInnerType, ConstExpr, DataKind, Element, ElementItems, ElementKind, FunctionBody, Operator,
    Payload, RecGroup, SectionLimited, Table, TableInit, TypeRef,
};

use super::{
    bounds::{affordable, broken, within},
    function, most,
    signature::{Signature, Signatures},
    work::{Kind, Work},
};
use crate::LoadError;

/// The compiler's memory for each item that code initializes, in bytes, as measured.
const ENTRY_BYTES: u64 = 8_000;
const ENTRY_PASSIVE_BYTES: u64 = 2_600;
const DATA_BYTES: u64 = 26_000;
const SEGMENT_BYTES: u64 = 2_200;
const CONSTANT_BYTES: u64 = 300;

/// A core module, as far as the walk has come.
#[derive(Default)]
pub(super) struct Module {
    number: u32,
    memory_max: u64,
    signatures: Signatures,
    /// The sum of the squared numbers of parameters and results.
    squares: u64,
    functions_imported: usize,
    bodies: usize,
    /// For each table its minimum size, if its segments can be put in place at compile time.
    tables: Vec<Option<u64>>,
    /// True after a segment that code puts in place: code then handles every later segment as well.
    has_computed: bool,
    /// The start code: one function, for the compiler.
    startup: Work,
}

impl Module {
    pub(super) fn new(number: u32, memory_max: u64) -> Self {
        Self { number, memory_max, ..Self::default() }
    }

    /// Walks one part of the module.
    pub(super) fn enter(&mut self, bytes: &[u8], payload: Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::TypeSection(section) => self.types(bytes, &section),
            Payload::ImportSection(section) => {
                section.into_imports().try_for_each(|import| self.import(import.map_err(broken)?.ty))
            }
            Payload::TableSection(section) => {
                section.into_iter().try_for_each(|table| self.table(&table.map_err(broken)?))
            }
            Payload::GlobalSection(section) => {
                section.into_iter().try_for_each(|global| self.constant(&global.map_err(broken)?.init_expr))
            }
            Payload::ElementSection(section) => {
                section.into_iter().try_for_each(|element| self.element(&element.map_err(broken)?))
            }
            Payload::DataSection(section) => {
                section.into_iter().try_for_each(|data| self.data(&data.map_err(broken)?.kind))
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, bytes: u64) -> Result<(), LoadError> {
        self.startup.add(Kind::Startup, bytes);
        affordable(&self.startup, self.memory_max, || format!("the start of core module {}", self.number))
    }

    fn declare(&self, count: usize, of_what: &str) -> Result<(), LoadError> {
        within(count as u64, most::DECLARED, || format!("{of_what} of core module {}", self.number), "declare fewer")
    }

    fn types<T>(&mut self, bytes: &[u8], section: &SectionLimited<'_, T>) -> Result<(), LoadError> {
        let (start, end) = (section.original_position(), section.range().end);
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let mut reader = BinaryReader::new(bytes.get(place(start)..place(end)).unwrap_or_default(), start);
        for _ in 0..section.count() {
            // All types of a group would be in memory at once, and a group of a million takes eight bytes.
            if bytes.get(place(reader.original_position())) == Some(&REC_GROUP) {
                return Err(LoadError::Compile(
                    "a group of types needs the `gc` proposal, which guests may not use".into(),
                ));
            }
            let group: RecGroup = reader.read().map_err(broken)?;
            for of in group.types() {
                let signature = match &of.composite_type.inner {
                    CompositeInnerType::Func(function) => {
                        Signature::of(function.params().len(), function.results().len())
                    }
                    _ => Signature::default(),
                };
                self.signatures.types.push(signature);
                self.square(signature)?;
            }
            self.declare(self.signatures.types.len(), "types")?;
        }
        Ok(())
    }

    fn import(&mut self, of: TypeRef) -> Result<(), LoadError> {
        match of {
            TypeRef::Func(number) | TypeRef::FuncExact(number) => {
                self.signatures.functions.push(number);
                self.functions_imported += 1;
                self.declare(self.signatures.functions.len(), "functions")
            }
            TypeRef::Table(_) => {
                self.tables.push(None);
                self.declare(self.tables.len(), "tables")
            }
            _ => Ok(()),
        }
    }

    /// Notes the types of the module's own functions.
    pub(super) fn functions(&mut self, section: SectionLimited<'_, u32>) -> Result<(), LoadError> {
        for of in section {
            let of = of.map_err(broken)?;
            self.signatures.functions.push(of);
            self.square(self.signatures.of_type(of))?;
        }
        Ok(())
    }

    /// Counts the code that passes the values of a type, or of a function of that type, from the host.
    fn square(&mut self, signature: Signature) -> Result<(), LoadError> {
        self.squares = self.squares.saturating_add(signature.values().saturating_mul(signature.values()));
        let what = || format!("squares of the values that types and functions of core module {} have", self.number);
        within(self.squares, most::SQUARES, what, "let functions have fewer parameters and results")
    }

    fn table(&mut self, table: &Table<'_>) -> Result<(), LoadError> {
        let is_plain = match &table.init {
            TableInit::RefNull => true,
            TableInit::Expr(init) => {
                self.constant(init)?;
                false
            }
        };
        self.tables.push(is_plain.then_some(table.ty.initial));
        self.declare(self.tables.len(), "tables")
    }

    fn constant(&mut self, constant: &ConstExpr<'_>) -> Result<(), LoadError> {
        let (mut operators, mut count) = (constant.get_operators_reader(), 0_u64);
        while !operators.eof() {
            operators.read().map_err(broken)?;
            count += 1;
        }
        // A single instruction and its end make no code.
        self.start(CONSTANT_BYTES.saturating_mul(count.saturating_sub(2)))
    }

    fn element(&mut self, element: &Element<'_>) -> Result<(), LoadError> {
        let (count, is_plain) = match &element.items {
            ElementItems::Functions(functions) => (functions.count(), true),
            ElementItems::Expressions(_, expressions) => {
                expressions.clone().into_iter().try_for_each(|each| self.constant(&each.map_err(broken)?))?;
                (expressions.count(), false)
            }
        };
        let entry = match &element.kind {
            ElementKind::Declared => return Ok(()),
            ElementKind::Passive => ENTRY_PASSIVE_BYTES,
            ElementKind::Active { table_index, offset_expr } => {
                let size = self.tables.get(table_index.unwrap_or(0) as usize).copied().flatten();
                let end = constant_offset(offset_expr).and_then(|offset| offset.checked_add(u64::from(count)));
                let fits = end.zip(size).is_some_and(|(end, size)| end <= size.min(TABLE_BEFOREHAND_MAX));
                self.has_computed |= !(is_plain && fits);
                if !self.has_computed {
                    return Ok(());
                }
                self.constant(offset_expr)?;
                ENTRY_BYTES
            }
        };
        self.start(SEGMENT_BYTES + entry * u64::from(count))
    }

    /// Counts a data segment. Code puts the data of small guests in place.
    fn data(&mut self, kind: &DataKind<'_>) -> Result<(), LoadError> {
        match kind {
            DataKind::Passive => Ok(()),
            DataKind::Active { offset_expr, .. } => {
                self.constant(offset_expr)?;
                self.start(DATA_BYTES)
            }
        }
    }

    /// Walks a function, and counts the locals that it declares.
    pub(super) fn body(&mut self, body: &FunctionBody<'_>) -> Result<u64, LoadError> {
        let number = self.functions_imported.saturating_add(self.bodies);
        self.bodies += 1;
        let (work, locals) = function::walk(&self.signatures, self.signatures.of_function(number as u32), body)?;
        affordable(&work, self.memory_max, || format!("function {number} of core module {}", self.number))?;
        Ok(locals)
    }
}

/// The first byte of a group of types.
const REC_GROUP: u8 = 0x4e;

/// Larger tables are filled by code.
const TABLE_BEFOREHAND_MAX: u64 = 1 << 20;

fn constant_offset(offset: &ConstExpr<'_>) -> Option<u64> {
    let mut operators = offset.get_operators_reader();
    let first = match operators.read() {
        Ok(Operator::I32Const { value }) => u64::from(value.cast_unsigned()),
        Ok(Operator::I64Const { value }) => value.cast_unsigned(),
        _ => return None,
    };
    let is_all = matches!(operators.read(), Ok(Operator::End));
    is_all.then_some(first)
}
