//! Asks the host to describe every number there is, to find sessions that it was not told of.

use innkeeper_guest::{Session, host::describe};
use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct DescribeAll;

impl Attack for DescribeAll {
    fn strike(&self, _: &Known) {
        for number in 0..=u64::MAX {
            std::hint::black_box(describe(Session(number)));
        }
    }
}

innkeeper_guest::export!(Striker<DescribeAll>);
