//! Runs every case of `innkeeper check` over every honest implementation.

use std::process::ExitCode;

use innkeeper_check::{CASES, Options};
use innkeeper_conformance::honest;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for named in honest() {
        for case in CASES {
            let subject = named.subject.clone();
            let run = move || {
                let ran = case.run(&subject, &Options::default());
                ran.map_err(|failure| Failed::from(format!("{failure:#?}")))
            };
            trials.push(Trial::test(format!("{} [{}]", case.name, named.name), run));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
