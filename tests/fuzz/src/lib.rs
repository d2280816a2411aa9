//! The common parts of the fuzz targets: guests that follow a byte string, and the models that judge the host.
//!
//! A target is a few lines over one function of this crate, so a finding can run again without libFuzzer.

#![forbid(unsafe_code)]

pub mod config;
pub mod hello;
pub mod house;
#[cfg(feature = "wasm")]
pub mod load;
pub mod puppet;
