//! The parts that `innkeeper` and `innkeeper-attack` share: their start and end, the compiler process, output for a
//! terminal, and the proxy's peers on loopback.

mod start;
pub mod compiler;
pub mod progress;
pub mod table;
pub mod loopback;

pub use crate::start::{log_of_tools, main};
