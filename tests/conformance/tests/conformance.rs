//! Runs every case over every subject.

use std::process::ExitCode;

use innkeeper_conformance::{CASES, Subject};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let trial = |subject: &Subject| {
        let subject = subject.clone();
        CASES.iter().map(move |case| {
            let subject = subject.clone();
            let name = format!("{} [{}, {} readers]", case.name, subject.name, subject.readers);
            Trial::test(name, move || {
                (case.check)(&subject);
                Ok(())
            })
        })
    };
    let trials = Subject::all().iter().flat_map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
