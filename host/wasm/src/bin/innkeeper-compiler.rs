//! `innkeeper-compiler`: compiles one component within limits, for the process that has started it.

fn main() -> std::process::ExitCode {
    innkeeper_wasm::compiler_main()
}
