//! What the fuzz targets share: guests that do what a byte string says, and the models that judge the host.
//!
//! A target is a few lines over one function of this crate, so that a finding can be run again without libFuzzer.

#![forbid(unsafe_code)]

pub mod config;
pub mod hello;
pub mod house;
#[cfg(feature = "wasm")]
pub mod load;
pub mod puppet;
