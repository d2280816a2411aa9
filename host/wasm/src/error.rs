//! Why a component is refused.

use std::time::Duration;

use innkeeper_core::{LimitError, log_line};

/// A component that cannot be a guest. What is wrong with it is the guest author's to mend, save where said.
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
    /// The file is of a version nobody knows.
    #[error("WebAssembly of an unknown version or layer: {0:02x?}")]
    UnknownVersion([u8; 4]),
    /// The component is invalid, or uses a proposal that guests may not use.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// The component is of a shape that is known to be too much for a compiler.
    #[error("too much for a compiler: {cost} {what}: the limit is {limit}\nhint: {hint}")]
    TooComplex {
        /// What there is too much of, and where.
        what: String,
        /// How much there is, at least.
        cost: u64,
        /// The limit.
        limit: u64,
        /// What to do about it.
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
        /// How long it was waited for.
        limit: Duration,
    },
    /// A limit is out of its range, or above the operator's.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The component imports what guests may not have.
    #[error("import `{name}` is not allowed\nhint: {hint}")]
    Import {
        /// The import's name.
        name: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The component does not export the callbacks, or not with their types.
    #[error("not an innkeeper:session-cache component: {0}")]
    World(String),
    /// The engine could not be made: the operator's settings, or the system's limits.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
}

impl LoadError {
    /// Which check refused the component, in tables and metrics.
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

/// An error of wasmtime in one line: its causes, outermost first. A guest may have had a hand in the text.
pub(crate) fn line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    log_line(&causes.join(": "), LINE_MAX)
}

const LINE_MAX: usize = 1_024;
