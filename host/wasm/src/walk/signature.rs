//! The numbers of values that functions and blocks take and return.

/// The numbers of values that a function or a block takes and returns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signature {
    pub(super) parameters: u32,
    pub(super) results: u32,
}

impl Signature {
    pub(super) fn of(parameters: usize, results: usize) -> Self {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Self { parameters: count(parameters), results: count(results) }
    }

    pub(super) fn values(self) -> u64 {
        u64::from(self.parameters) + u64::from(self.results)
    }
}

/// The signatures of one core module.
#[derive(Default)]
pub(super) struct Signatures {
    pub(super) types: Vec<Signature>,
    /// The type of each function, imported ones first.
    pub(super) functions: Vec<u32>,
}

impl Signatures {
    /// The signature of a function, by its number among all.
    pub(super) fn of_function(&self, function: u32) -> Signature {
        self.functions.get(function as usize).map(|of| self.of_type(*of)).unwrap_or_default()
    }

    /// The signature of a type, by its number.
    pub(super) fn of_type(&self, of: u32) -> Signature {
        self.types.get(of as usize).copied().unwrap_or_default()
    }
}
