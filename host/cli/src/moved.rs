//! `innkeeper attack`: a pointer to the program that has the command now. It goes with the next release.

use std::process::ExitCode;

use anyhow::bail;

/// Has moved to `innkeeper-attack`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let quoted = |argument: &String| match argument.contains(char::is_whitespace) {
        true => format!(" '{argument}'"),
        false => format!(" {argument}"),
    };
    let arguments = options.arguments.iter().map(quoted).collect::<String>();
    bail!(
        "`innkeeper attack` is a program of its own now: `innkeeper-attack{arguments}`\n\
         hint: in the repository, run `cargo attack{arguments}`"
    );
}
