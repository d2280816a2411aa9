//! A walk over a component's bytes that refuses, by name, shapes that are known to overwhelm a compiler.
//!
//! A few KiB can cost a compiler gigabytes. A block type may carry a thousand values, and each of five hundred loops
//! then costs a thousand times five hundred. The walk estimates this memory before compilation. It leaves validation to
//! the compiler. The file's size bounds its time, and its limits bound its memory.
//!
//! The list of shapes is incomplete. A component that passes may still be too much for a compiler, so the compiler's
//! memory and time have limits as well.

mod most;
mod work;
mod bounds;
mod signature;
mod function;
mod module;

use innkeeper_core::Limits;
use wasmparser::{ComponentInstance, Encoding, Instance, Parser, Payload, SectionLimited};

use self::{
    bounds::{broken, within},
    module::Module,
};
use crate::LoadError;

/// The bytes of a component's size limit that allow one function. The compiler keeps the code of each until all are
/// done.
const BYTES_PER_FUNCTION: u64 = 100;

/// The compiler's memory for one function, for each byte of the component's size limit: 256 MiB for a small guest.
const MEMORY_PER_BYTE: u64 = 64;
const MEMORY_MAX: u64 = 1 << 30;

/// Refuses a component that is known to overwhelm a compiler.
///
/// # Errors
/// [`LoadError::TooComplex`] names the excess; [`LoadError::Compile`] means that the bytes do not parse.
pub(crate) fn check(bytes: &[u8], limits: &Limits) -> Result<(), LoadError> {
    let mut walk = Walk {
        bytes,
        open: Vec::new(),
        totals: Totals { copies: 1, ..Totals::default() },
        module: Module::default(),
        functions_max: limits.component_bytes as u64 / BYTES_PER_FUNCTION,
        memory_max: MEMORY_MAX.min(MEMORY_PER_BYTE.saturating_mul(limits.component_bytes as u64)),
    };
    for payload in Parser::new(0).parse_all(bytes) {
        walk.enter(payload.map_err(broken)?)?;
    }
    Ok(())
}

struct Walk<'a> {
    bytes: &'a [u8],
    /// The open components and core modules: for each, the number of components that it instantiates.
    open: Vec<u64>,
    totals: Totals,
    /// The core module that began last. Core modules do not nest.
    module: Module,
    functions_max: u64,
    /// The compiler's memory limit for one function.
    memory_max: u64,
}

#[derive(Default)]
struct Totals {
    parts: u64,
    /// The product, over all components, of one plus the components that each instantiates: an upper bound of their
    /// number.
    copies: u64,
    instances: u64,
    items: u64,
    type_bytes: u64,
    modules: u32,
    functions: u64,
    locals: u64,
}

impl Walk<'_> {
    fn enter(&mut self, payload: Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(encoding),
            Payload::End(_) => self.end(),
            Payload::InstanceSection(section) => self.core_instances(section),
            Payload::ComponentInstanceSection(section) => self.component_instances(section),
            Payload::ComponentAliasSection(section) => self.items(section.count()),
            Payload::ComponentCanonicalSection(section) => self.items(section.count()),
            Payload::ComponentImportSection(section) => self.items(section.count()),
            Payload::ComponentExportSection(section) => self.items(section.count()),
            Payload::CoreTypeSection(section) => self.types(&section),
            Payload::ComponentTypeSection(section) => self.types(&section),
            Payload::FunctionSection(section) => {
                self.totals.functions += u64::from(section.count());
                within(
                    self.totals.functions,
                    self.functions_max,
                    || "functions".into(),
                    "split the guest, or make it smaller",
                )?;
                self.module.functions(section)
            }
            Payload::CodeSectionEntry(body) => {
                self.totals.locals = self.totals.locals.saturating_add(self.module.body(&body)?);
                within(self.totals.locals, most::LOCALS, || "locals of functions".into(), "declare fewer")
            }
            of_module => self.module.enter(self.bytes, of_module),
        }
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), LoadError> {
        self.open.push(0);
        self.totals.parts += 1;
        if encoding == Encoding::Module {
            self.module = Module::new(self.totals.modules, self.memory_max);
            self.totals.modules += 1;
        }
        let (parts, depth) = (self.totals.parts, self.open.len() as u64);
        within(parts, most::PARTS, || "components and core modules in each other".into(), LESS_PARTS)?;
        within(depth, most::DEPTH, || "levels of components within each other".into(), LESS_PARTS)
    }

    fn end(&mut self) -> Result<(), LoadError> {
        let instantiated = self.open.pop().unwrap_or_default();
        self.totals.copies = self.totals.copies.saturating_mul(instantiated + 1);
        within(self.totals.copies, most::COPIES, || "components that instantiating makes".into(), LESS_PARTS)
    }

    fn core_instances(&mut self, section: SectionLimited<'_, Instance<'_>>) -> Result<(), LoadError> {
        for instance in section {
            let items = match instance.map_err(broken)? {
                Instance::Instantiate { args, .. } => args.len(),
                Instance::FromExports(exports) => exports.len(),
            };
            self.instance()?;
            self.items(items as u32)?;
        }
        Ok(())
    }

    fn component_instances(&mut self, section: SectionLimited<'_, ComponentInstance<'_>>) -> Result<(), LoadError> {
        for instance in section {
            let items = match instance.map_err(broken)? {
                ComponentInstance::Instantiate { args, .. } => {
                    if let Some(instantiated) = self.open.last_mut() {
                        *instantiated += 1;
                    }
                    args.len()
                }
                ComponentInstance::FromExports(exports) => exports.len(),
            };
            self.instance()?;
            self.items(items as u32)?;
        }
        Ok(())
    }

    fn instance(&mut self) -> Result<(), LoadError> {
        self.totals.instances += 1;
        within(self.totals.instances, most::INSTANCES, || "instances and bundles of exports".into(), LESS_PARTS)
    }

    fn items(&mut self, count: u32) -> Result<(), LoadError> {
        self.totals.items += u64::from(count);
        let what = || "imports, exports, aliases and functions between components".into();
        within(self.totals.items, most::ITEMS, what, "import and export less")
    }

    fn types<T>(&mut self, section: &SectionLimited<'_, T>) -> Result<(), LoadError> {
        let range = section.range();
        self.totals.type_bytes += range.end.saturating_sub(range.start);
        within(
            self.totals.type_bytes,
            most::TYPE_BYTES,
            || "bytes of types of components".into(),
            "import and export less",
        )
    }
}

const LESS_PARTS: &str = "compose the guest of fewer components";
