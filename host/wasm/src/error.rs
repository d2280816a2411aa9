//! Why a component is refused.

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

/// An error of wasmtime in one line: its causes, outermost first.
pub(crate) fn line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}
