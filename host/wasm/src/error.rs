//! Reasons to refuse a component.

use std::time::Duration;

use innkeeper_core::{LimitError, log_line};

/// A component that cannot be a guest. The guest's author has to fix it, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is larger than a component may be.
    #[error("the component has {bytes} bytes: the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The file is not WebAssembly.
    #[error("not a WebAssembly file: it does not begin with `\\0asm`")]
    NotWasm,
    /// The file is a core module.
    #[error("a core module, not a component\nhint: `innkeeper build` makes a component of it")]
    CoreModule,
    /// The file has an unknown version.
    #[error("WebAssembly of an unknown version or layer: {0:02x?}")]
    UnknownVersion([u8; 4]),
    /// The component is invalid, or uses a proposal that guests may not use.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// The component has a shape that is known to overwhelm a compiler.
    #[error("too much for a compiler: {cost} {what}: the limit is {limit}\nhint: {hint}")]
    TooComplex {
        /// The excess, and its place.
        what: String,
        /// A lower bound of the amount.
        cost: u64,
        /// The limit.
        limit: u64,
        /// The remedy.
        hint: &'static str,
    },
    /// The component takes too long to compile.
    #[error("the component does not compile in time: the limit is {} ms", limit.as_millis())]
    CompileTime {
        /// The limit.
        limit: Duration,
    },
    /// The component takes more memory to compile than it may.
    #[error("the component does not compile within {limit_bytes} bytes of memory")]
    CompileMemory {
        /// The limit.
        limit_bytes: usize,
    },
    /// The component comes to more machine code than it may.
    #[error("the component comes to more than {limit} bytes of machine code")]
    CodeSize {
        /// The limit.
        limit: usize,
    },
    /// Other components took the compiler's time.
    #[error("no compilation ended within {} ms, and no more may run at a time\nhint: try again later", limit.as_millis())]
    CompilersBusy {
        /// The time waited.
        limit: Duration,
    },
    /// A limit is out of its range, or above the operator's.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The component has a forbidden import.
    #[error("import `{name}` is not allowed\nhint: {hint}")]
    Import {
        /// The import's name.
        name: String,
        /// The remedy.
        hint: &'static str,
    },
    /// The component lacks callbacks, or exports them with other types.
    #[error("not an innkeeper:session-cache component: {0}")]
    World(String),
    /// The engine could not be made: the operator's settings, or the system's limits.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
}

impl LoadError {
    /// The name of the check that refused the component, for tables and metrics.
    pub fn check(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "component-size",
            Self::NotWasm | Self::CoreModule | Self::UnknownVersion(_) => "file-format",
            Self::Compile(_) => "validation",
            Self::TooComplex { .. } => "complexity",
            Self::CompileTime { .. } | Self::CompilersBusy { .. } => "compile-time",
            Self::CompileMemory { .. } => "compile-memory",
            Self::CodeSize { .. } => "code-size",
            Self::Limit(_) => "limits",
            Self::Import { .. } => "imports",
            Self::World(_) => "world",
            Self::Engine(_) => "engine",
        }
    }
}

/// Formats an error of wasmtime as one line: its causes, outermost first. A guest may have influenced the text.
pub(crate) fn line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    log_line(&causes.join(": "), LINE_MAX)
}

const LINE_MAX: usize = 1_024;
