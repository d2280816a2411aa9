//! `innkeeper-compiler`: compiles one component within limits, for the process that started it.

fn main() -> std::process::ExitCode {
    innkeeper_wasm::compiler_main()
}
