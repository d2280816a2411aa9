//! Upper bounds for counts over a whole component. Guests of every language here stay below a tenth.

/// Nesting depth of components and core modules.
pub(super) const DEPTH: u64 = 16;
/// Components and core modules, including nested ones.
pub(super) const PARTS: u64 = 256;
/// Components that instantiation creates: those that one instantiates, times those that each of them instantiates.
pub(super) const COPIES: u64 = 100_000;
/// Instances of core modules, and bundles of exports.
pub(super) const INSTANCES: u64 = 1_000;
/// Imports, exports, aliases, and functions that cross from one component or module to another.
pub(super) const ITEMS: u64 = 10_000;
/// Bytes of types of components.
pub(super) const TYPE_BYTES: u64 = 256 << 10;
/// Locals that all functions declare, used or unused.
pub(super) const LOCALS: u64 = 20_000_000;
/// The sum of the squared numbers of parameters and results, over each type and function of one core module. The
/// compile time of the code that passes them grows like this.
pub(super) const SQUARES: u64 = 50_000_000;
/// Types of one core module, and tables.
pub(super) const DECLARED: u64 = 100_000;
