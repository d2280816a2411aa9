//! One function's body.

use wasmparser::{BlockType, FunctionBody, Operator};

use super::{
    bounds::{broken, within},
    signature::{Signature, Signatures},
    work::{Kind, Work},
};
use crate::LoadError;

/// The deepest nesting of blocks.
const NESTING_MAX: u64 = 50_000;

/// The compiler's memory for each kind, in bytes, as measured.
const PLAIN_BYTES: u64 = 150;
const CALLED_BYTES: u64 = 550;
const BRANCHED_BYTES: u64 = 60;
/// A parameter or result of a block, or a local: it has a place in a table of all the compiler's blocks.
const PLACE_BYTES: u64 = 2;
const LOCAL_PLACE_BYTES: u64 = 12;

/// The compiler's blocks for one of each kind. A loop also checks fuel and deadline.
const BLOCKS_PER_BLOCK: u64 = 2;
const BLOCKS_PER_LOOP: u64 = 10;
const BLOCKS_PER_IF: u64 = 4;
const BLOCKS_PER_BRANCH: u64 = 1;

/// An open block.
struct Block {
    signature: Signature,
    is_loop: bool,
}

struct Walk<'m> {
    signatures: &'m Signatures,
    open: Vec<Block>,
    /// The compiler's blocks.
    blocks: u64,
    /// The parameters and results of all blocks.
    carried: u64,
    work: Work,
}

/// The compiler's memory for a function, and the number of locals that it declares.
pub(super) fn walk(
    signatures: &Signatures,
    signature: Signature,
    body: &FunctionBody<'_>,
) -> Result<(Work, u64), LoadError> {
    let mut groups = body.get_locals_reader().map_err(broken)?.into_iter();
    let mut locals = u64::from(signature.parameters);
    for group in groups.by_ref() {
        locals = locals.saturating_add(u64::from(group.map_err(broken)?.0));
    }
    let outermost = Block { signature: Signature { parameters: 0, ..signature }, is_loop: false };
    let mut walk = Walk { signatures, open: vec![outermost], blocks: 1, carried: 0, work: Work::default() };
    let (mut operators, mut count) = (groups.into_operators_reader(), 0_u64);
    while !operators.eof() {
        walk.operator(&operators.read().map_err(broken)?)?;
        count += 1;
    }
    walk.work.add(Kind::Carried, walk.carried.saturating_mul(walk.blocks).saturating_mul(PLACE_BYTES));
    // A local that no instruction names takes no place.
    let named = locals.min(count);
    walk.work.add(Kind::Locals, named.saturating_mul(walk.blocks).saturating_mul(LOCAL_PLACE_BYTES));
    Ok((walk.work, locals))
}

impl Walk<'_> {
    fn operator(&mut self, operator: &Operator<'_>) -> Result<(), LoadError> {
        self.work.add(Kind::Instructions, bytes_of(operator));
        match *operator {
            Operator::Block { blockty } => self.begin(blockty, false, BLOCKS_PER_BLOCK),
            Operator::Loop { blockty } => self.begin(blockty, true, BLOCKS_PER_LOOP),
            Operator::If { blockty } => self.begin(blockty, false, BLOCKS_PER_IF),
            Operator::TryTable { ref try_table } => {
                self.begin(try_table.ty, false, BLOCKS_PER_BLOCK + try_table.catches.len() as u64)
            }
            _ => {
                self.transfer(operator);
                Ok(())
            }
        }
    }

    /// Handles an instruction that leaves a block, branches, or calls.
    fn transfer(&mut self, operator: &Operator<'_>) {
        match *operator {
            Operator::End => {
                self.open.pop();
            }
            Operator::Br { relative_depth }
            | Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth } => self.branch(relative_depth, 1),
            Operator::BrTable { ref targets } => {
                self.work.add(Kind::Instructions, PLAIN_BYTES * u64::from(targets.len()));
                self.branch(targets.default(), u64::from(targets.len()) + 1);
            }
            Operator::Return => {
                let results = self.open.first().map_or(0, |outermost| outermost.signature.results);
                self.work.add(Kind::Carried, CALLED_BYTES * u64::from(results));
            }
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                self.call(self.signatures.of_function(function_index));
            }
            Operator::CallIndirect { type_index, .. }
            | Operator::ReturnCallIndirect { type_index, .. }
            | Operator::CallRef { type_index }
            | Operator::ReturnCallRef { type_index } => self.call(self.signatures.of_type(type_index)),
            _ => {}
        }
    }

    fn begin(&mut self, of: BlockType, is_loop: bool, blocks: u64) -> Result<(), LoadError> {
        let signature = match of {
            BlockType::Empty => Signature::default(),
            BlockType::Type(_) => Signature::of(0, 1),
            BlockType::FuncType(of) => self.signatures.of_type(of),
        };
        // Both arms of an `if` take its parameters.
        self.carried = self.carried.saturating_add(signature.values());
        self.work.add(Kind::Carried, CALLED_BYTES.saturating_mul(signature.values()));
        self.blocks += blocks;
        self.open.push(Block { signature, is_loop });
        within(self.open.len() as u64, NESTING_MAX, || "blocks within each other".into(), "split the function")
    }

    fn branch(&mut self, depth: u32, times: u64) {
        let to = self.open.len().checked_sub(depth as usize + 1).and_then(|place| self.open.get(place));
        let carried = to.map_or(0, |to| if to.is_loop { to.signature.parameters } else { to.signature.results });
        self.work.add(Kind::Carried, BRANCHED_BYTES.saturating_mul(u64::from(carried)).saturating_mul(times));
        self.blocks += BLOCKS_PER_BRANCH;
    }

    fn call(&mut self, signature: Signature) {
        self.work.add(Kind::Carried, CALLED_BYTES.saturating_mul(signature.values()));
    }
}

/// The compiler's memory for an instruction besides the values that it carries. Complex instructions expand to much
/// code.
fn bytes_of(operator: &Operator<'_>) -> u64 {
    match operator {
        Operator::Nop | Operator::Drop | Operator::End | Operator::LocalGet { .. } => 0,
        Operator::TableCopy { .. } => 22_000,
        Operator::CallIndirect { .. } | Operator::ReturnCallIndirect { .. } => 18_000,
        Operator::TableGet { .. } | Operator::TableInit { .. } | Operator::TableGrow { .. } => 16_000,
        Operator::TableFill { .. } => 6_000,
        Operator::Call { .. }
        | Operator::ReturnCall { .. }
        | Operator::MemoryCopy { .. }
        | Operator::MemoryFill { .. }
        | Operator::MemoryInit { .. }
        | Operator::MemoryGrow { .. }
        | Operator::TableSet { .. }
        | Operator::RefFunc { .. } => 3_000,
        _ => PLAIN_BYTES,
    }
}
