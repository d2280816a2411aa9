//! Every case over native code, which behaves, and over native code that does not.

use std::sync::Arc;

use innkeeper_check::{CASES, Options, Subject, check};
use innkeeper_core::{Limits, NativeLru, SizeClass};

#[test]
fn native_code_passes_every_case() {
    let subject = Subject::new(Arc::new(NativeLru), Limits::new(SizeClass::Small));
    let report = check(&subject, &Options::default(), &mut |_| {});
    let failed: Vec<_> = report.cases.iter().filter(|case| !case.is_passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(report.cases.len(), CASES.len());
}

#[test]
fn a_case_is_asked_for_by_the_beginning_of_its_name() {
    let subject = Subject::new(Arc::new(NativeLru), Limits::new(SizeClass::Small));
    let options = Options { only: vec!["03".into(), "A1".into()], runs: 4 };
    let names: Vec<&str> = check(&subject, &options, &mut |_| {}).cases.iter().map(|case| case.name).collect();
    assert_eq!(
        names,
        [
            "03 alone: update twice overwrites",
            "A1 alone: two instances told the same answer the same",
            "03 served: update twice overwrites"
        ]
    );
    let none = Options { only: vec!["nothing".into()], ..options };
    assert!(!check(&subject, &none, &mut |_| {}).is_passed(), "a verdict over no case is none");
}
